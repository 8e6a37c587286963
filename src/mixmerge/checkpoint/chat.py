"""Chats as text and tokens, by a checkpoint's chat template, which runs in a process of its own.

Training and generation both go through here, so that what one is taught the other does. Templates
are programs by whoever made the checkpoint: `chat_process` runs them, within bounds.
"""

import json
import os
import re
import signal
import socket
import struct
import subprocess
import sys
import threading
from contextlib import suppress
from dataclasses import dataclass
from functools import cache, cached_property
from multiprocessing.connection import Connection
from typing import Any

from mixmerge.checkpoint import chat_process
from mixmerge.core.errors import UserError

Messages = list[dict[str, str]]
Span = tuple[int, int]

#: Bounds of one chat; the longest rows take milliseconds.
CPU_SECONDS = 10.0
_MEMORY_MIB, _TEXT_MIB = 1024, 64
#: By the clock; only a machine that stands still comes near.
_WALL_SECONDS = 600

#: A non-character of Unicode, in no text that may be exchanged: splits what must not be joined.
_BREAK = "\ufdd0"
_HALVES = re.compile("[\ud800-\udfff]")
_MARK = re.compile(r"\{%-?\s*generation\s*-?%\}")


class BadTemplate(UserError):
    """A chat template that refuses a chat, or was stopped; the message says which and why."""

    line: int | None = None
    """Where in the template, if that is known."""


@dataclass(frozen=True)
class Chat:
    """A tokenizer with a chat template."""

    tokenizer: Any
    template: str
    source: str = "of the checkpoint"
    """Where the template came from, for messages."""

    @cached_property
    def _control(self) -> re.Pattern[str]:
        """Matches tokens by which a template, never a message's text, gives a chat its form."""
        names = set(self.tokenizer.all_special_tokens)
        for token in self.tokenizer.added_tokens_decoder.values():
            if token.special or token.content in self.template:
                names.add(token.content)
        words = sorted((name for name in names if name.strip()), key=len, reverse=True)
        return re.compile("|".join(map(re.escape, words)) or "(?!)")

    def render(self, messages: Messages, *, prompt: bool = False) -> tuple[str, list[Span]]:
        """A chat's text, and the character spans within its ``{% generation %}`` marks.

        The text is for `encode` only: marks split what looks like a special token in a message.
        With ``prompt`` it ends with the assistant's turn opened.
        """
        answer = _ask(
            {
                "conversations": [[self._inert(message) for message in messages]],
                "chat_template": self.template,
                "add_generation_prompt": prompt,
                "return_assistant_tokens_mask": _MARK.search(self.template) is not None,
                **self.tokenizer.special_tokens_map,
            }
        )
        where = f"chat template ({self.source})"
        if "fault" in answer:
            raise BadTemplate(
                f"{where}: {answer['fault']}, and was stopped: it never ends, or was made to do "
                "harm. Read it, and name another under the model's `chat_template`"
            )
        if "refusal" in answer:
            error = BadTemplate(f"{where}: refuses a chat: {answer['refusal']}")
            error.line = answer["line"]
            raise error
        return answer["text"], [(start, end) for start, end in answer["spans"]]

    def _inert(self, message: dict[str, str]) -> dict[str, str]:
        # Half of a pair, legal in JSON, has no UTF-8, which tokenizers work on.
        content = _HALVES.sub("\ufffd", message["content"].replace(_BREAK, ""))
        broken = self._control.sub(lambda match: match[0][0] + _BREAK + match[0][1:], content)
        return {**message, "content": broken}

    def encode(self, texts: list[str]) -> list[list[int]]:
        """Tokens of rendered texts, each text for itself."""
        pieces = [text.split(_BREAK) for text in texts]
        flat = [piece for group in pieces for piece in group]
        ids = iter(self.tokenizer(flat, add_special_tokens=False)["input_ids"])
        return [[token for _ in group for token in next(ids)] for group in pieces]

    def prompt(self, messages: Messages) -> list[int]:
        """Tokens of a chat with the assistant's turn opened."""
        return self.encode([self.render(messages, prompt=True)[0]])[0]

    def closing_token(self) -> int | None:
        """The token with which the template closes an answer, None if that is ordinary text."""
        question, answer = {"role": "user", "content": "q"}, {"role": "assistant", "content": "a"}
        opened = self.render([question], prompt=True)[0]
        whole = self.render([question, answer])[0]
        added = self.tokenizer.added_tokens_decoder
        return next((id_ for id_ in self.encode([whole[len(opened) :]])[0] if id_ in added), None)


_lock = threading.Lock()
os.register_at_fork(
    before=_lock.acquire, after_in_parent=_lock.release, after_in_child=_lock.release
)


def _ask(request: dict[str, Any]) -> dict[str, Any]:
    """Send a request and return the answer; a ``fault`` where the process ended."""
    with _lock:
        process, connection = _renderer()
        with suppress(EOFError, OSError):
            connection.send_bytes(json.dumps(request).encode())
            answer: dict[str, Any] = json.loads(connection.recv_bytes(_TEXT_MIB << 20))
            return answer
        _renderer.cache_clear()
        connection.close()
        process.kill()  # it has ended, or does not answer
        code = process.wait()
    if code in (-signal.SIGPROF, -signal.SIGKILL):
        return {"fault": f"takes over {CPU_SECONDS:g} s for one chat"}
    return {"fault": f"ended the process that renders it ({code})"}


def _start() -> "tuple[subprocess.Popen[bytes], Connection]":
    # Nothing of the environment goes along: tokens, proxies, paths.
    quiet = {"LC_ALL": "C.UTF-8", "HF_HUB_OFFLINE": "1", "TRANSFORMERS_VERBOSITY": "error"}
    threads = {f"{library}_NUM_THREADS": "1" for library in ("OMP", "OPENBLAS", "MKL")}
    arguments = json.dumps([sys.path, CPU_SECONDS, _MEMORY_MIB << 20, _TEXT_MIB << 20])
    ours, theirs = socket.socketpair()
    for option in (socket.SO_RCVTIMEO, socket.SO_SNDTIMEO):
        ours.setsockopt(socket.SOL_SOCKET, option, struct.pack("ll", _WALL_SECONDS, 0))
    with theirs:
        process = subprocess.Popen(
            [sys.executable, "-I", chat_process.__file__, arguments],
            stdin=theirs.fileno(),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            env={**quiet, **threads, "HOME": os.devnull},
            cwd="/",
        )
    return process, Connection(ours.detach())


#: The rendering process; the next chat starts another where it was ended, and a fork its own.
_renderer = cache(_start)
os.register_at_fork(after_in_child=_renderer.cache_clear)  # the parent's must end with the parent
