"""Chat templates rendered in a process of their own, within bounds; see `templater`."""

import atexit
import json
import os
import select
import signal
import subprocess
import sys
import threading
from pathlib import Path
from typing import IO, Any

from mixmerge.checkpoint import templater
from mixmerge.core.errors import UserError

#: Of one chat: the longest rows take milliseconds.
CPU_SECONDS = 10.0
MEMORY_BYTES = 1 << 30
TEXT_BYTES = 64 << 20
#: By the clock; only a machine that stands still comes near.
_WALL_SECONDS = 600.0
_MEGABYTE = 1 << 20


class BadTemplate(UserError):
    """A chat template that refuses a chat, or was stopped; the message says which and why.

    Attributes:
        line: where in the template, if that is known.
    """

    def __init__(self, message: str, line: int | None = None) -> None:
        super().__init__(message)
        self.line = line


def render(
    template: str,
    messages: list[dict[str, str]],
    *,
    prompt: bool,
    marks: bool,
    special: dict[str, Any],
    source: str,
) -> tuple[str, list[tuple[int, int]]]:
    """Render one chat with transformers' sandboxed Jinja, in the process kept for that.

    Args:
        template: the Jinja text.
        messages: the chat.
        prompt: whether to open the assistant's turn.
        marks: whether to tell what stands within ``{% generation %}`` marks.
        special: names that the template may use, such as ``bos_token``.
        source: where the template came from, for messages.

    Returns:
        The text, and the character spans of the marks.

    Raises:
        BadTemplate: it raises an error, reaches for what the sandbox forbids, takes over
            `CPU_SECONDS`, needs over `MEMORY_BYTES`, or writes over `TEXT_BYTES`.
    """
    request = {"messages": messages, "template": template, "prompt": prompt, "marks": marks}
    answer = _process().ask(json.dumps({**request, "special": special}).encode())
    if "text" in answer:
        return answer["text"], [(start, end) for start, end in answer["spans"]]
    where = f"chat template ({source})"
    kind = answer["kind"]
    if kind == templater.REFUSED:
        error = answer["error"]
        said = "" if error == "TemplateError" else f"{error}: "
        raise BadTemplate(f"{where}: refuses a chat: {said}{answer['said']}", answer["line"])
    does = {
        templater.TOO_MUCH: f"needs over {MEMORY_BYTES // _MEGABYTE} MiB for one chat",
        templater.TOO_LONG: f"writes over {TEXT_BYTES // _MEGABYTE} MiB for one chat",
        "slow": f"takes over {CPU_SECONDS:g} s for one chat",
    }.get(kind, f"ended the process that renders it ({kind})")
    raise BadTemplate(
        f"{where}: {does}, and was stopped: it never ends, or was made to do harm. Read it, and "
        "name another under the model's `chat_template`"
    )


class _Process:
    """The process, started at the first request and again where a template ended it."""

    def __init__(self) -> None:
        self.owner = os.getpid()
        self._lock = threading.Lock()
        self._process: subprocess.Popen[bytes] | None = None

    def ask(self, request: bytes) -> dict[str, Any]:
        """Send a request and return the answer; ``{"kind": ...}`` where the process ended."""
        with self._lock:
            process = self._process or self._start()
            assert process.stdin is not None and process.stdout is not None
            try:
                process.stdin.write(len(request).to_bytes(templater.LENGTH_BYTES, "little"))
                process.stdin.write(request)
                process.stdin.flush()
            except BrokenPipeError:
                return self._ended()
            data = _frame(process.stdout)
            return self._ended() if data is None else dict(json.loads(data))

    def close(self) -> None:
        """End the process."""
        process, self._process = self._process, None
        if process is None or self.owner != os.getpid():
            return
        process.kill()
        process.wait()
        for stream in (process.stdin, process.stdout):
            if stream is not None:
                stream.close()

    def _start(self) -> subprocess.Popen[bytes]:
        bounds = [str(bound) for bound in (CPU_SECONDS, MEMORY_BYTES, TEXT_BYTES)]
        # Nothing of the environment goes along: tokens, proxies, paths.
        quiet = {"LC_ALL": "C.UTF-8", "HF_HUB_OFFLINE": "1", "TRANSFORMERS_VERBOSITY": "error"}
        threads = {f"{library}_NUM_THREADS": "1" for library in ("OMP", "OPENBLAS", "MKL")}
        self._process = subprocess.Popen(
            [sys.executable, "-I", str(Path(templater.__file__)), json.dumps(sys.path), *bounds],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env={**quiet, **threads, "HOME": os.devnull},
            cwd="/",
            bufsize=0,
        )
        return self._process

    def _ended(self) -> dict[str, Any]:
        process = self._process
        assert process is not None
        process.kill()  # where it did not answer in time
        code = process.wait()
        self.close()
        return {"kind": "slow" if code in (-signal.SIGPROF, -signal.SIGKILL) else str(code)}


def _frame(stream: IO[bytes]) -> bytes | None:
    """One frame; None where the process ended before, or does not answer."""
    head = _exactly(stream, templater.LENGTH_BYTES)
    length = int.from_bytes(head, "little") if head else TEXT_BYTES + 1
    return None if length > TEXT_BYTES else _exactly(stream, length)


def _exactly(stream: IO[bytes], count: int) -> bytes | None:
    pieces: list[bytes] = []
    waiting = select.poll()
    waiting.register(stream, select.POLLIN)
    while count:
        if not waiting.poll(_WALL_SECONDS * 1000):
            return None
        piece = stream.read(min(count, _MEGABYTE))
        if not piece:
            return None
        pieces.append(piece)
        count -= len(piece)
    return b"".join(pieces)


_kept: _Process | None = None


def _process() -> _Process:
    """This process's own; a fork of one that had one starts another."""
    global _kept
    if _kept is None or _kept.owner != os.getpid():
        _kept = _Process()
        atexit.register(_kept.close)
    return _kept
