"""A box whose check says what a test wants it to say, and a judge before it."""

import hashlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from judgebox import codec
from judgebox.check import Ended, Limits
from judgebox.codec import CaseWriter, open_cases
from judgebox.compare import equals_its_like, is_floats
from judgebox.judging import Clocks, Outcome, Program, judge_set

PROGRAM = Program("def f(n): ...", "f", "other", 0.0)


class Script:
    """Stands for a box and for the check in it: says what it is told to, whatever it is sent."""

    def __init__(self, frames: Callable[[list[bytes]], Iterator[bytes]], ended: Ended) -> None:
        self._frames, self._ended = frames, ended
        self.sent: list[bytes] = []
        self.limits = Limits(0, 0, 0)
        self.killed = False

    def start(self, harness: str, request: bytes, limits: Limits) -> "Script":
        assert harness == "calls"
        self.limits = limits
        return self

    def __enter__(self) -> "Script":
        return self

    def __exit__(self, *error: object) -> None:
        pass

    def frames(self) -> Iterator[bytes]:
        yield from self._frames(self.sent)

    def send(self, frame: bytes) -> None:
        self.sent.append(frame)

    def kill(self) -> None:
        self.killed = True

    def wait(self) -> Ended:
        return self._ended


def add(writer: CaseWriter, output: Any, seconds: float = 0.0) -> None:
    """Add an expected output, as a reference's side describes it."""
    same, data = equals_its_like(output), codec.pack(output)
    writer.piece(data[:10])
    writer.piece(data[10:])
    writer.end(seconds, is_floats(output), same)


def written(path: Path, expected: list[Any]) -> Path:
    """A file with one set of tests, whose inputs are their numbers."""
    with CaseWriter(path) as writer:
        writer.begin("base", [codec.pack([number]) for number in range(len(expected))])
        for output in expected:
            add(writer, output)
    return path


def judged(
    tmp_path: Path,
    expected: list[Any],
    frames: list[bytes] | Callable[[list[bytes]], Iterator[bytes]],
    ended: Ended | None = None,
) -> tuple[Outcome, Script]:
    """What becomes of a program that says so, and what it was sent."""
    said = frames if callable(frames) else lambda sent: iter(frames)
    script = Script(said, ended or Ended("exit", 0, 0.0, False))
    with open_cases(written(tmp_path / "x", expected)) as sets:
        outcome = judge_set(script, PROGRAM, sets["base"], Clocks(1.0, 4.0, 2**30))  # type: ignore[arg-type]
    return outcome._replace(failed=None), script


def outputs(*values: Any) -> bytes:
    """The message of outputs."""
    return b"R" + codec.pack([codec.pack(value) for value in values])


def announced(value: Any) -> bytes:
    """The message of a large one's digest."""
    return b"L" + hashlib.sha256(codec.pack(value)).digest()
