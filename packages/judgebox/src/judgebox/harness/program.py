"""Run a Python program as it is: for tests, and for programs that try to get out."""

from typing import Any

from judgebox.harness import Channel


def run(request: bytes, channel: Channel) -> None:
    """Execute a program.

    Args:
        request: its source. Its globals hold ``send(bytes)`` and ``receive() -> bytes | None``.
        channel: what these two stand for.
    """
    names: dict[str, Any] = {
        "__name__": "__main__",
        "send": channel.send,
        "receive": channel.receive,
    }
    exec(compile(request, "<program>", "exec"), names)
