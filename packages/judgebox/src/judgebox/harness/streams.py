"""What a solution prints goes where the tests look for it, and what it reads comes from there."""

import builtins
import io
import sys
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from judgebox.harness.solution import SolutionLink


class _Out(io.TextIOBase):
    """Keeps what is written for the next message to the examiner."""

    def __init__(self, link: "SolutionLink", name: str) -> None:
        self._link, self._name = link, name

    def writable(self) -> bool:
        return True

    def write(self, text: str) -> int:
        if not isinstance(text, str):
            raise TypeError(f"write() argument must be str, not {type(text).__name__}")
        self._link.output.append([self._name, text])
        return len(text)


class _In(io.TextIOBase):
    """Reads what the tests have put into their standard input."""

    def __init__(self, link: "SolutionLink") -> None:
        self._link = link

    def readable(self) -> bool:
        return True

    def read(self, size: int | None = -1, /) -> str:
        return self._read("read", size)

    def readline(self, size: int | None = -1, /) -> str:  # type: ignore[override]
        return self._read("readline", size)

    def _read(self, name: str, size: int | None) -> str:
        found = self._link.ask("stdin", {"name": name, "size": -1 if size is None else size})
        return str(found)


def forward_streams(link: "SolutionLink") -> None:
    """Put streams in the place of the process's own, which lead nowhere."""

    def asked(prompt: Any = "", /) -> Any:
        return link.ask("input", {}, prompt=str(prompt))

    sys.stdout, sys.stderr, sys.stdin = _Out(link, "stdout"), _Out(link, "stderr"), _In(link)
    builtins.input = asked
