"""One program run over its test cases: in the box it is called, here its outputs are judged.

EvalPlus 0.3.1 measures wall-clock time, so that a program may fail because its neighbours had the
cores. The clocks here do not depend on the machine's load:

- A test may take so many seconds of the program's own processor time.
- All tests of a set together, too; EvalPlus's cap of a minute gives way where the reference needs
  more itself.
- Waiting (sleep, locks) counts apart, and what it waits for a core does not count.

A test that takes longer than it may fails, as in EvalPlus; a set of tests that does is a time-out.
No program fails for what its neighbours did to the caches of its core: beside others a test is let
run for half as long again. If it comes back in between, its program is run again alone, and so is
one whose set timed out. What does not come back by then would not have in time alone either.
"""

import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from judgebox import codec
from judgebox.box import Box
from judgebox.check import Limits
from judgebox.judging import FAIL, PASS, Judging, Program
from judgebox.testcases import CaseSet, open_cases

TIMEOUT = "timeout"

#: Seconds that all tests of a set may take together, unless the reference is slow (EvalPlus's).
_CAP = 60.0
#: Beside others a test is ended at so many times its limit. Neighbours make a program take up to
#: 1.3 times the processor time (reading 128 MB at random; eight programs, two cores, AMD EPYC).
_GRACE = 1.5
#: Bytes that may come out of a check: so many times those that are expected, and more; at most all.
_FACTOR, _MORE, _ALL_BYTES = 10, 16 * 2**20, 256 * 2**20


class Clocks(NamedTuple):
    """What a program may use."""

    min_time_limit: float = 1.0
    """Least seconds of processor time that a test may take."""

    time_limit_factor: float = 4.0
    """Multiple of the reference's time that it may take."""

    memory_bytes: int = 8 * 2**30
    """Address space of the program."""


class Outcome(NamedTuple):
    """How a check of one set of tests ended."""

    verdict: str
    """pass, fail or timeout."""

    starved: bool = False
    """Whether it is to be run again, alone: something else may be to blame for how it ended (see
    `judgebox.check.Ended`), or a test took longer than it may, and came back."""

    timed_out: bool = False
    """Whether it did not pass and a test, or all of them together, ran out of time."""

    failed: int | None = None
    """Number of the first test that did not pass, None where there is none."""


@dataclass
class Verdict:
    """What became of a program."""

    verdicts: dict[str, str] = field(default_factory=dict)
    """Set of tests, "base" and perhaps "plus" -> pass, fail or timeout."""

    failed: dict[str, int | None] = field(default_factory=dict)
    """Set of tests -> number of its first test that did not pass, if one was reached."""

    starved: bool = False
    timed_out: bool = False
    """As of an `Outcome`, of any set."""


def judge(
    box: Box,
    program: Program,
    cases: Path,
    clocks: Clocks | None = None,
    *,
    alone: bool = True,
    every_set: bool = False,
) -> Verdict:
    """Judge a program by a file of test cases.

    Args:
        box: where it runs.
        program: what runs.
        cases: the file (`judgebox.testcases`).
        clocks: what the program may use; by default what EvalPlus lets it use.
        alone: see `check`.
        every_set: whether later sets are run though an earlier one did not pass. Else they fail.

    Raises:
        SetupError: no such file, or no sandbox can be had.
    """
    verdict = Verdict()
    with open_cases(cases) as sets:
        for name, tests in sets.items():
            if not every_set and not {*verdict.verdicts.values()} <= {PASS}:
                verdict.verdicts[name] = FAIL
                continue
            outcome = check(box, program, tests, clocks or Clocks(), alone=alone)
            verdict.verdicts[name], verdict.failed[name] = outcome.verdict, outcome.failed
            verdict.starved |= outcome.starved
            verdict.timed_out |= outcome.timed_out
    return verdict


def check(
    box: Box,
    program: Program,
    tests: CaseSet,
    clocks: Clocks,
    *,
    alone: bool = False,
    seed: int = 0,
) -> Outcome:
    """Run a program over a set of tests.

    Args:
        box: where it runs.
        program: what runs.
        tests: inputs, expected outputs and the reference's times.
        clocks: what the program may use.
        alone: whether nothing else runs beside it. Then a test has no more than its time, and each
            output is judged before the next call. Else those of the last milliseconds may be lost
            with a program that ends in a time-out, though one was wrong.
        seed: where the program's random generators start.
    """
    if not len(tests):  # MBPP+ has a problem without plus tests
        return Outcome(PASS)
    factor = clocks.time_limit_factor
    limits = [max(clocks.min_time_limit, factor * seconds) for seconds in tests.times]
    total = min(max(_CAP, factor * sum(tests.times)), sum(limits)) + 1
    judging = Judging(program, tests, limits)
    request = program._asdict() | {
        "truth": False,
        "alone": alone,
        "grace": 1.0 if alone else _GRACE,
        "iterated": judging.comparison.iterates,
        "seed": seed,
    }
    room = 0.0 if alone else (_GRACE - 1) * max(limits)
    bounds = Limits(
        cpu_seconds=total + room,
        wall_seconds=2 * (total + room),
        memory_bytes=clocks.memory_bytes,
        output_bytes=min(_FACTOR * tests.output_bytes + _MORE, _ALL_BYTES),
    )
    try:
        data = codec.pack(request)
    except codec.CodecError:  # a program of gigabytes
        return Outcome(FAIL)
    started = time.monotonic()
    with box.start("calls", data, bounds) as running:
        verdict = judging.verdict(running)
        failed = judging.judged if verdict != PASS and judging.loaded else None
        if verdict is None:
            ended = running.wait()
            if ended.reason in ("cpu", "wall"):
                return Outcome(TIMEOUT, ended.starved, True, failed)
            return Outcome(FAIL, ended.starved, judging.timed_out, failed)
        running.kill()
        if verdict == FAIL:
            return Outcome(FAIL, False, judging.timed_out, failed)
        late = bool(judging.said_of_time)
        if time.monotonic() - started > 1:  # those that took less have all kept to their limits
            late = late or running.wait().cpu_seconds > total
        return Outcome(PASS, late and not alone)
