"""The process that runs solutions against tests: ``python -m mixmerge.evaluate.worker``.

It reads one JSON request a line and answers with one line. It imports EvalPlus's checker and
nothing else, because each check forks this process: a small parent is a cheap fork. Its parent
(`mixmerge.evaluate.workers`) starts it with a scratch directory as home and working directory, a
reduced environment and a fixed hash seed.

This is no sandbox: EvalPlus's `reliability_guard` keeps honest mistakes from doing harm.
"""

import json
import multiprocessing
import os
import resource
import sys
import time
from pathlib import Path
from typing import Any

from mixmerge.evaluate import testset
from mixmerge.evaluate.problems import coarse_seconds

# A check that had less of a core than this and failed by the clock may owe it to its neighbours.
_FULL_CORE = 0.95

# The interpreter's default of 1000 frames, less what `python -m evalplus.evaluate` has on its stack
# above this worker when it forks a check: a solution gets the same 966 frames here as there.
_RECURSION_LIMIT = 983

# EvalPlus 0.3.1 skips the bookkeeping of HumanEval/32's special oracle and so fails every
# solution; upstream has mended it since. The wrapper asks the same question (is the polynomial
# zero there, within the tolerance?) in a way that the ordinary comparison can answer.
_FIND_ZERO = """

def _wrapped(find_zero):
    import math

    def check(xs):
        out = find_zero(xs)
        return abs(sum(c * math.pow(out, i) for i, c in enumerate(xs))) <= {atol!r}

    return check


find_zero = _wrapped(find_zero)
"""


def main() -> None:
    """Answer requests until standard input ends."""
    requests, answers = _private_channel()
    multiprocessing.set_start_method("fork")
    for line in requests:
        request = json.loads(line)
        do = _judge if request.pop("do") == "judge" else _expect
        answer = do(**request)
        answers.write(json.dumps(answer) + "\n")
        answers.flush()


def _private_channel() -> tuple[Any, Any]:
    """Move requests and answers off descriptors 0 and 1, and keep them from forked checks.

    A solution that writes to descriptor 1 must not be able to answer for its judge.
    """
    inner, outer = os.dup(0), os.dup(1)
    null = os.open(os.devnull, os.O_RDWR)
    os.dup2(null, 0)
    os.dup2(null, 1)

    def forget() -> None:
        os.close(inner)
        os.close(outer)
        os.dup2(null, 2)

    os.register_at_fork(after_in_child=forget)
    return os.fdopen(inner, encoding="utf-8"), os.fdopen(outer, "w", encoding="utf-8")


def _judge(
    tests: str,
    code: str,
    dataset: str,
    entry_point: str,
    atol: float,
    min_time_limit: float,
    time_limit_factor: float,
) -> dict[str, Any]:
    """Verdicts of one solution.

    Returns:
        ``verdicts``: "base" and "plus" -> pass, fail or timeout (plus only where there are plus
        tests; not run where base did not pass). ``starved``: whether a verdict other than pass
        may be due to the machine's load.
    """
    from evalplus.eval import PASS, untrusted_check

    sys.setrecursionlimit(_RECURSION_LIMIT)
    sets = testset.load(Path(tests))
    special = dataset == "humaneval" and entry_point == "find_zero"
    verdicts: dict[str, str] = {}
    starved = False
    for name in sorted(sets):
        if name == "plus" and verdicts["base"] != PASS:
            verdicts[name] = "fail"
            continue
        one = sets[name]
        wall, used = time.monotonic(), _children_seconds()
        verdicts[name], _ = untrusted_check(
            "other" if special else dataset,
            code + _FIND_ZERO.format(atol=atol) if special else code,
            one.inputs,
            entry_point,
            expected=[True] * len(one.inputs) if special else one.expected,
            atol=0 if special else atol,
            ref_time=one.times,
            fast_check=True,
            min_time_limit=min_time_limit,
            gt_time_limit_factor=time_limit_factor,
        )
        wall, used = time.monotonic() - wall, _children_seconds() - used
        late = verdicts[name] != PASS and wall >= min_time_limit
        starved = starved or (late and used < _FULL_CORE * wall)
    return {"verdicts": verdicts, "starved": starved}


def _children_seconds() -> float:
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


def _expect(draft: str, tests: str, code: str, entry_point: str, not_none: bool) -> dict[str, Any]:
    """Run a canonical solution over the inputs in ``draft`` and write its outputs to ``tests``.

    Returns:
        ``error``: what went wrong, or None.
    """
    from evalplus.gen.util import trusted_exec

    sys.setrecursionlimit(1000)
    sets = testset.load(Path(draft))
    try:
        for one in sets.values():
            one.expected, times = trusted_exec(
                code, one.inputs, entry_point, record_time=True, output_not_none=not_none
            )
            one.times = [coarse_seconds(seconds) for seconds in times]
        testset.dump(sets, Path(tests))
    except BaseException as error:  # a canonical solution may raise anything, even SystemExit
        return {"error": f"{type(error).__name__}: {error}"}
    return {"error": None}


if __name__ == "__main__":
    main()
