"""One program run over one set of tests: in the box it is called, here its outputs are judged.

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
from typing import NamedTuple

from judgebox import codec
from judgebox.box import Box
from judgebox.limits import Limits
from mixmerge.evaluate.judging import FAIL, PASS, Judging, Program
from mixmerge.evaluate.testset import TestSet

__all__ = ["FAIL", "PASS", "TIMEOUT", "Outcome", "Program", "check"]

TIMEOUT = "timeout"

#: Seconds that all tests of a set may take together, unless the reference is slow (EvalPlus's).
_CAP = 60.0
#: Beside others a test is ended at so many times its limit. Neighbours make a program take up to
#: 1.3 times the processor time (reading 128 MB at random; eight programs, two cores, AMD EPYC).
_GRACE = 1.5
#: Bytes that may come out of a check: so many times those that are expected, and more; at most all.
_FACTOR, _MORE, _ALL_BYTES = 10, 16 * 2**20, 256 * 2**20


class Outcome(NamedTuple):
    """How a check ended."""

    verdict: str
    """pass, fail or timeout."""

    starved: bool
    """Whether it is to be run again, alone: something else may be to blame for how it ended (see
    `sandbox.limits.Ended`), or a test took longer than it may, and came back."""

    timed_out: bool = False
    """Whether it did not pass and a test, or all of them together, ran out of time."""


def check(
    box: Box,
    program: Program,
    tests: TestSet,
    *,
    min_time_limit: float,
    time_limit_factor: float,
    memory_bytes: int,
    alone: bool = False,
    seed: int = 0,
) -> Outcome:
    """Run a program over a set of tests.

    Args:
        box: where it runs.
        program: what runs.
        tests: inputs, expected outputs and the reference's times.
        min_time_limit: least CPU seconds a test may take.
        time_limit_factor: multiple of the reference's time that it may take.
        memory_bytes: address space of the program.
        alone: whether nothing else runs beside it. Then a test has no more than its time, and each
            output is judged before the next call. Else those of the last milliseconds may be lost
            with a program that ends in a time-out, though one was wrong.
        seed: where the program's random generators start.
    """
    if not len(tests):  # MBPP+ has a problem without plus tests
        return Outcome(PASS, False)
    limits = [max(min_time_limit, time_limit_factor * seconds) for seconds in tests.times]
    total = min(max(_CAP, time_limit_factor * sum(tests.times)), sum(limits)) + 1
    judging = Judging(program, tests, limits)
    request = {
        "code": program.code,
        "entry_point": program.entry_point,
        "truth": False,
        "alone": alone,
        "grace": 1.0 if alone else _GRACE,
        "iterated": judging.iterates,
        "recorded": program.recorded,
        "seed": seed,
    }
    room = 0.0 if alone else (_GRACE - 1) * max(limits)
    bounds = Limits(
        cpu_seconds=total + room,
        wall_seconds=2 * (total + room),
        memory_bytes=memory_bytes,
        output_bytes=min(_FACTOR * tests.output_bytes + _MORE, _ALL_BYTES),
    )
    try:
        data = codec.pack(request)
    except codec.CodecError:  # a program of gigabytes
        return Outcome(FAIL, False)
    started = time.monotonic()
    with box.start("calls", data, bounds) as running:
        verdict = judging.verdict(running)
        if verdict is None:
            ended = running.wait()
            if ended.reason in ("cpu", "wall"):
                return Outcome(TIMEOUT, ended.starved, True)
            return Outcome(FAIL, ended.starved, judging.timed_out)
        running.kill()
        if verdict == FAIL:
            return Outcome(FAIL, False, judging.timed_out)
        late = judging.late or judging.timed_out
        if time.monotonic() - started > 1:  # those that took less have all kept to their limits
            late = late or running.wait().cpu_seconds > total
        return Outcome(PASS, late and not alone)
