"""Records, in the box, the calls that tests make of a reference; messages: README.md."""

import functools
import io
import os
import random
import sys
import threading
import time
import types
from collections.abc import Callable, Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout, suppress
from pathlib import Path
from typing import Any, NoReturn

import numpy.random
import pytest

from judgebox import codec
from judgebox.calls import swallow
from judgebox.check import Channel
from judgebox.codec import Raised

#: Fixtures with which a test sees or changes more than arguments and results.
_FIXTURES = {
    *("caplog", "capfd", "capfdbinary", "capsys", "capsysbinary", "monkeypatch", "pytester"),
    *("recwarn", "testdir", "tmp_path", "tmp_path_factory", "tmpdir", "tmpdir_factory"),
}
# Plugins that no test sees, but that cost time.
_NEEDLESS = (
    *("cacheprovider", "unraisableexception", "threadexception", "faulthandler"),
    *("doctest", "junitxml", "pastebin", "stepwise", "setuponly", "setupplan"),
)


class Unrecordable(BaseException):
    """The tests can't be recorded; the message is the reason's key. No test catches it."""


class Recorder:
    """A plugin of pytest's that sends every call of the functions that it wraps.

    A `strict` one refuses what changes its arguments or prints; HumanEval's checks do without.
    """

    def __init__(self, channel: Channel, strict: bool) -> None:
        self._channel, self.strict = channel, strict
        self._thread = threading.get_ident()
        self.expected: list[tuple[type[BaseException], ...]] = [()]
        self.reason: str | None = None  # why the tests can't be recorded
        self.passed = 0

    def refuse(self, reason: str) -> NoReturn:
        """End the tests."""
        self.reason = self.reason or reason
        raise Unrecordable(self.reason)

    def wrap(self, name: str, function: Callable[..., Any]) -> Callable[..., Any]:
        """The function, recorded under a name; for tests, as it does not see itself wrapped."""

        @functools.wraps(function)
        def recorded(*arguments: Any, **named: Any) -> Any:
            if threading.get_ident() != self._thread:
                self.refuse("threads")
            call = self._packed([name, [*arguments], named], "argument_no_data")
            started = time.process_time()
            try:
                with self._watched_output():
                    result = function(*arguments, **named)
            except Unrecordable:
                raise
            except BaseException as error:
                seconds = time.process_time() - started
                # What tests accept: the types that they expect, or else its own.
                expected = isinstance(error, self.expected[-1])
                kinds = self.expected[-1] if expected else [type(error)]
                self._send(call, Raised([kind.__name__ for kind in kinds]), seconds)
                raise
            seconds = time.process_time() - started
            after = [name, [*arguments], named]
            if self.strict and self._packed(after, "argument_no_data") != call:
                self.refuse("mutates_arguments")
            self._send(call, result, seconds)
            return result

        return recorded

    def _packed(self, value: Any, reason: str) -> bytes:
        try:
            return codec.pack(value)
        except codec.CodecError:
            self.refuse(reason)

    def _send(self, call: bytes, result: Any, seconds: float) -> None:
        packed = self._packed(result, "result_no_data")
        self._channel.send(b"C" + codec.pack([seconds, call, packed]))

    @contextmanager
    def _watched_output(self) -> Iterator[None]:
        if not self.strict:  # a check may itself look at what is printed
            return (yield)
        written = io.BytesIO()
        file = io.TextIOWrapper(written, "utf-8", "replace", write_through=True)
        try:
            with redirect_stdout(file), redirect_stderr(file):
                yield
        finally:
            if written.closed or written.getvalue():
                self.refuse("prints")

    def pytest_runtest_setup(self, item: Any) -> None:
        """Refuse tests with certain fixtures."""
        if _FIXTURES.intersection(getattr(item, "fixturenames", ())):
            self.refuse("fixtures")

    def pytest_runtest_logreport(self, report: Any) -> None:
        """Count tests that passed."""
        self.passed += report.when == "call" and report.outcome == "passed"


def run(request: bytes, channel: Channel) -> None:
    """Run the tests of a reference solution and send its calls; see `judgebox.record_reference`."""
    program = codec.unpack(request)
    leave = os._exit
    recorder = Recorder(channel, strict=program["form"] == "pytest")
    random.seed(0)
    numpy.random.seed(0)
    passed = False
    with suppress(BaseException):  # a test's own, or `Unrecordable`
        solution = _solution(recorder, program)
        passed = (
            _run_pytest(recorder, program) if recorder.strict else _run_check(solution, program)
        )
    ended = passed and recorder.reason is None
    channel.send(b"D" if ended else b"E" + (recorder.reason or "reference_fails").encode())
    leave(0)


def _solution(recorder: Recorder, program: dict[str, Any]) -> types.ModuleType:
    """The module `solution`: tested functions recorded, but not where they call each other."""
    own = types.ModuleType("solution")
    sys.modules["solution"] = own
    exec(compile(f"{program['prelude']}\n{program['code']}", "solution.py", "exec"), vars(own))
    module = types.ModuleType("solution")
    vars(module).update(vars(own))
    for name in program["names"]:
        value = vars(own).get(name)
        if isinstance(value, type):
            if not issubclass(value, BaseException):
                recorder.refuse("classes")
        elif callable(value):
            setattr(module, name, recorder.wrap(name, value))
        elif value is not None:
            recorder.refuse("no_function")
    sys.modules["solution"] = module
    return module


def _run_check(solution: types.ModuleType, program: dict[str, Any]) -> bool:
    """Run HumanEval's tests; helpers of the prompt are theirs, not the solution's."""
    (name,) = program["names"]
    names: dict[str, Any] = {"__name__": "tests"}
    with swallow():
        exec(compile(program["prelude"], "prelude.py", "exec"), names)
        names[name] = getattr(solution, name)
        exec(compile(program["test"], "tests.py", "exec"), names)
        names["check"](names[name])
    return True


def _run_pytest(recorder: Recorder, program: dict[str, Any]) -> bool:
    """Run a file of tests; returns whether there are some, and all passed."""
    directory = str(Path.cwd())
    Path("test_solution.py").write_text(program["test"], encoding="utf-8")
    os.environ["PYTEST_DISABLE_PLUGIN_AUTOLOAD"] = "1"
    # Nothing above the directory is read: neither configuration nor folders.
    options = ["-c", os.devnull, "--rootdir", directory, "--confcutdir", directory]
    options += ["-q", "-x", "--capture=no", "--assert=plain", "--noconftest", "-W", "ignore"]
    options += [f"-pno:{name}" for name in _NEEDLESS]
    original = pytest.raises

    @contextmanager
    def context(expected: Any, **options: Any) -> Iterator[Any]:
        kinds = expected if isinstance(expected, tuple) else (expected,)
        recorder.expected.append(tuple(kind for kind in kinds if isinstance(kind, type)))
        try:
            with original(expected, **options) as caught:
                yield caught
        finally:
            recorder.expected.pop()

    def raises(expected: Any, *call: Any, **options: Any) -> Any:
        """``pytest.raises`` that tells the recorder what is expected."""
        if not call:
            return context(expected, **options)
        with context(expected) as caught:
            call[0](*call[1:], **options)
        return caught

    pytest.raises = raises  # type: ignore[assignment]
    code = pytest.main([*options, f"{directory}/test_solution.py"], plugins=[recorder])
    return code == pytest.ExitCode.OK and recorder.passed > 0
