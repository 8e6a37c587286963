"""One program run over one set of tests, by clocks that the machine's load cannot bend.

EvalPlus 0.3.1 measures wall-clock time, so that a program may fail because its neighbours had the
cores. Its comparison of outputs is used here as it is (`unsafe_execute`), its clocks are not:

- A test may take so many seconds of the program's own CPU time (``ITIMER_PROF``).
- All tests of a set together, too (``RLIMIT_CPU``, which also ends what never comes back to the
  interpreter); EvalPlus's cap of a minute gives way where the reference needs more itself.
- Waiting (sleep, locks) counts apart, and what it waits for a core does not count: the kernel
  says how long that was.

Random generators start from a fixed state, so that a program that draws numbers draws the same ones
every time.
"""

import contextlib
import math
import mmap
import os
import random
import resource
import signal
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple, NoReturn

# numpy.random: unlike `random`, it keeps its state over a fork, so it is seeded once, here.
import numpy.random
from evalplus import eval as evalplus_eval
from evalplus.eval import FAIL, PASS, TIMEOUT
from evalplus.eval.utils import TimeoutException

from mixmerge.evaluate.testset import TestSet

#: Seconds that all tests of a set may take together, unless the reference is slow (EvalPlus's).
_CAP = 60.0
#: What the child leaves in the shared byte; 0 where it ended before it could.
_CODES = {1: PASS, 2: FAIL}
#: Share of a core that a program gets at the very least, where the kernel does not say.
_LEAST_SHARE = 0.1

# A solution gets the same 966 frames here as under `python -m evalplus.evaluate`, whatever stands
# on the stack above `unsafe_execute`.
_FRAMES = 970


class Outcome(NamedTuple):
    """How a check ended."""

    verdict: str
    """pass, fail or timeout (also for a program that brought its process down)."""

    starved: bool
    """Whether something other than the program may be to blame: it waited too long, or was killed
    from outside, as by a machine out of memory."""


class _Value:
    """Stands in for a shared `multiprocessing.Value`."""

    def __init__(self, value: int) -> None:
        self.value = value


def check(
    dataset: str,
    code: str,
    entry_point: str,
    tests: TestSet,
    atol: float,
    min_time_limit: float,
    time_limit_factor: float,
) -> Outcome:
    """Run a program over a set of tests in a forked process.

    Args:
        dataset: whose special oracles apply.
        code: the program.
        entry_point: the function that is tested.
        tests: inputs, expected outputs and the reference's times.
        atol: absolute tolerance of floating-point outputs.
        min_time_limit: least CPU seconds a test may take.
        time_limit_factor: multiple of the reference's time that it may take.
    """
    limits = [max(min_time_limit, time_limit_factor * seconds) for seconds in tests.times]
    total = min(max(_CAP, time_limit_factor * sum(tests.times)), sum(limits)) + 1
    left = mmap.mmap(-1, 1)
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGCHLD})
    started = time.monotonic()
    pid = os.fork()
    if pid == 0:
        _run(dataset, code, entry_point, tests, atol, limits, total, left)
    killed = _wait(pid, started, total)
    verdict = _CODES.get(left[0], TIMEOUT)
    left.close()
    return Outcome(verdict, killed and verdict == TIMEOUT)


def _run(
    dataset: str,
    code: str,
    entry_point: str,
    tests: TestSet,
    atol: float,
    limits: list[float],
    total: float,
    left: mmap.mmap,
) -> NoReturn:
    """The forked process; never returns to the code that forked it."""
    leave = os._exit
    try:
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGCHLD})
        random.seed(0)
        seconds = math.ceil(total)
        resource.setrlimit(resource.RLIMIT_CPU, (seconds, seconds + 1))
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        unknown = 3
        status, progress = _Value(unknown), _Value(0)
        details = [False] * len(tests.inputs)
        sys.setrecursionlimit(_depth() + _FRAMES)
        evalplus_eval.unsafe_execute(
            dataset,
            entry_point,
            code,
            tests.inputs,
            tests.expected,
            limits,
            atol,
            True,
            status,
            details,
            progress,
        )
        if status.value != unknown:
            passed = status.value == 0 and progress.value == len(details) and all(details)
            left[0] = 1 if passed else 2
    finally:
        leave(0)


def _depth() -> int:
    depth, frame = 0, sys._getframe()
    while frame := frame.f_back:  # type: ignore[assignment]
        depth += 1
    return depth


def _wait(pid: int, started: float, total: float) -> bool:
    """Wait for a check to end; kill it when it has waited longer than its tests may run.

    Returns:
        Whether it was killed by us, or by others before it had used up its own time.
    """
    patience = total
    while True:
        signal.sigtimedwait({signal.SIGCHLD}, patience)
        found, status, usage = os.wait4(pid, os.WNOHANG)
        if found:
            used = usage.ru_utime + usage.ru_stime
            return os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGKILL and used < total
        waited = _waited(pid, time.monotonic() - started)
        if waited >= total:
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)
            return True
        patience = max(0.1, total - waited)


def _waited(pid: int, wall: float) -> float:
    """Seconds for which a process neither ran nor asked for a core."""
    try:
        text = Path(f"/proc/{pid}/schedstat").read_text(encoding="ascii")
        running, queued, _ = (int(number) for number in text.split())
    except (OSError, ValueError):
        return wall * _LEAST_SHARE
    return wall - (running + queued) / 1e9


@contextlib.contextmanager
def _cpu_limit(seconds: float) -> Iterator[None]:
    """EvalPlus's `time_limit` over the process's CPU time."""

    def expired(number: int, frame: Any) -> None:
        raise TimeoutException("Timed out!")

    signal.signal(signal.SIGPROF, expired)
    signal.setitimer(signal.ITIMER_PROF, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)


evalplus_eval.time_limit = _cpu_limit
numpy.random.seed(0)
