"""A judge: ``python -m mixmerge.evaluate.worker BENCH``.

It reads one JSON request a line and answers with one line. Programs run in its box, which is
started once and kept warm; this process only sees what comes out of there, and compares it with
what is expected. Its parent (`mixmerge.evaluate.workers`) starts it with a scratch directory as
home and working directory, a reduced environment and a fixed hash seed.
"""

import json
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from judgebox.box import BoxFailed
from judgebox.runtime import PackageError, SetupError
from mixmerge.core.errors import UserError
from mixmerge.evaluate import recorded_tests, reference, testset
from mixmerge.evaluate.bench import Bench, bound_own_memory
from mixmerge.evaluate.check import FAIL, PASS, Program, check


def main() -> None:
    """Answer requests until standard input ends."""
    bench = Bench.from_argument(sys.argv[1])
    bound_own_memory()
    requests, answers = _private_channel()
    for line in requests:
        answer = _answer(bench, **json.loads(line))
        answers.write(json.dumps(answer) + "\n")
        answers.flush()


def _answer(bench: Bench, do: str, **request: Any) -> dict[str, Any]:
    for left in (1, 0):
        try:
            return _DO[do](bench, **request)
        except PackageError as error:
            return {"refused": f"code_scoring.packages: {error}"}
        except (UserError, SetupError) as error:
            return {"refused": str(error)}
        except BoxFailed as error:  # no program is to blame for it
            if not left:
                return {"refused": f"the sandbox could not isolate a program: {error}"}
    raise AssertionError("not reached")


def _private_channel() -> tuple[Any, Any]:
    """Move requests and answers off descriptors 0 and 1, which children inherit."""
    inner, outer = os.dup(0), os.dup(1)
    null = os.open(os.devnull, os.O_RDWR)
    os.dup2(null, 0)
    os.dup2(null, 1)
    os.close(null)
    return os.fdopen(inner, encoding="utf-8"), os.fdopen(outer, "w", encoding="utf-8")


def _judge(
    bench: Bench,
    tests: str,
    code: str,
    dataset: str,
    entry_point: str,
    atol: float,
    min_time_limit: float,
    time_limit_factor: float,
    recorded: bool = False,
    alone: bool = False,
) -> dict[str, Any]:
    """Verdicts of one solution.

    Returns:
        ``verdicts``: "base" and "plus" -> pass, fail or timeout (plus only where there are plus
        tests; not run where base did not pass). ``starved``, ``timed_out``: see
        `mixmerge.evaluate.check`.
    """
    program = Program(code, entry_point, dataset, atol, recorded)
    verdicts: dict[str, str] = {}
    starved = timed_out = False
    with testset.Reader(Path(tests)) as sets:
        for name in sets.names:
            if name == "plus" and verdicts["base"] != PASS:
                verdicts[name] = FAIL
                continue
            outcome = check(
                bench.box,
                program,
                sets.read(name),
                min_time_limit=min_time_limit,
                time_limit_factor=time_limit_factor,
                memory_bytes=bench.memory_bytes,
                alone=alone,
            )
            verdicts[name] = outcome.verdict
            starved = starved or outcome.starved
            timed_out = timed_out or outcome.timed_out
    return {"verdicts": verdicts, "starved": starved, "timed_out": timed_out}


def _extract(bench: Bench, completion: str, entry_point: str, prompt: str) -> dict[str, Any]:
    """The program in a completion; None where the search for it was given up."""
    from mixmerge.evaluate.extraction import GivenUp, solution

    try:
        return {"program": solution(completion, entry_point, prompt)}
    except GivenUp:
        return {"program": None}


_DO: dict[str, Callable[..., dict[str, Any]]] = {
    "extract": _extract,
    "judge": _judge,
    "expect": reference.expect,
    "record": recorded_tests.record,
}

if __name__ == "__main__":
    main()
