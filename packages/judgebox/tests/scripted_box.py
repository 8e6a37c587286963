"""A box whose check says what a test wants it to say, and a judge before it."""

from collections.abc import Callable, Iterator
from pathlib import Path
from types import TracebackType
from typing import Any

from judgebox import codec
from judgebox.limits import Ended, Limits
from judgebox.protocol import digest
from judgebox.testcases import CaseWriter, TestCases
from judgebox.verdict import Clocks, Outcome, Program, check

PROGRAM = Program("def f(n): ...", "f", "other", 0.0)


class Script:
    """Stands for a box and for the check in it: says what it is told to, whatever it is sent."""

    def __init__(self, frames: Callable[[list[bytes]], Iterator[bytes]], ended: Ended) -> None:
        self._frames, self._ended = frames, ended
        self.sent: list[bytes] = []
        self.request: dict[str, Any] = {}
        self.limits = Limits(0, 0, 0)
        self.killed = False

    def start(self, harness: str, request: bytes, limits: Limits) -> "Script":
        assert harness == "calls"
        self.request, self.limits = codec.unpack(request), limits
        return self

    def __enter__(self) -> "Script":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        value: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        pass

    def frames(self) -> Iterator[bytes]:
        yield from self._frames(self.sent)

    def send(self, frame: bytes) -> None:
        self.sent.append(frame)

    def kill(self) -> None:
        self.killed = True

    def wait(self) -> Ended:
        return self._ended


def written(path: Path, expected: list[Any]) -> Path:
    """A file with one set of tests, whose inputs are their numbers."""
    with CaseWriter(path) as writer:
        writer.begin("base", [codec.pack([number]) for number in range(len(expected))])
        for output in expected:
            writer.piece(codec.pack(output))
            writer.end(0.0)
    return path


def judged(
    tmp_path: Path,
    expected: list[Any],
    frames: list[bytes] | Callable[[list[bytes]], Iterator[bytes]],
    ended: Ended | None = None,
    program: Program = PROGRAM,
) -> tuple[Outcome, Script]:
    """What becomes of a program that says so, and what it was sent."""
    said = frames if callable(frames) else lambda sent: iter(frames)
    script = Script(said, ended or Ended("exit", 0, 0.0, False))
    with TestCases(written(tmp_path / "x", expected)) as sets:
        outcome = check(
            script,  # type: ignore[arg-type]
            program,
            sets.read("base"),
            Clocks(1.0, 4.0, 2**30),
        )
    return outcome._replace(failed=None), script


def outputs(*values: Any) -> bytes:
    """The message of several outputs."""
    return b"R" + codec.array([codec.pack(value) for value in values])


def whole(value: Any) -> bytes:
    """That of a large one."""
    return b"W" + codec.pack(value)


def announced(value: Any) -> bytes:
    """That of its digest."""
    return b"L" + digest(value)[1]
