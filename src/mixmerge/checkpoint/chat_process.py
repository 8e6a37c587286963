"""The process in which chat templates run: transformers' sandboxed Jinja, and hard bounds around.

A chat template is a program by whoever made the checkpoint. Jinja's sandbox keeps it from Python's
insides, but it may still loop for ever or make gigabytes of text, which in the process that trains
could not be ended. So it runs here: `mixmerge.checkpoint.chat` starts this and talks to it.

The process can open no file, start nothing, and gets none of the caller's environment; landlock and
seccomp hold it too where the kernel has them. Frames on descriptors 0 and 1: 8 bytes length, little
endian, then JSON.
"""

import json
import os
import signal
import sys
from typing import IO, Any

if __name__ == "__main__":
    # -I and a path of the caller's: the environment is empty.
    sys.path[:] = json.loads(sys.argv[1])

from mixmerge.checkpoint.jail import lock_in

LENGTH_BYTES = 8
#: Kinds of answers beside ``text``.
REFUSED, TOO_LONG, TOO_MUCH = "refused", "too long", "too much memory"


def serve(cpu_seconds: float, memory_bytes: int, text_bytes: int) -> None:
    """Answer requests until standard input ends.

    Args:
        cpu_seconds: of one chat; a chat that takes longer ends the process by SIGPROF.
        memory_bytes: beside what the libraries take.
        text_bytes: longest answer.
    """
    requests, answers = os.fdopen(os.dup(0), "rb"), os.fdopen(os.dup(1), "wb")
    nowhere = os.open(os.devnull, os.O_RDWR)
    for number in (0, 1, 2):
        os.dup2(nowhere, number)
    _warm_up()
    lock_in(memory_bytes)
    while request := _read(requests):
        # The default action of SIGPROF ends the process, within whatever C code it may be.
        signal.setitimer(signal.ITIMER_PROF, cpu_seconds)
        answer = _answer(json.loads(request), text_bytes)
        signal.setitimer(signal.ITIMER_PROF, 0)
        answers.write(len(answer).to_bytes(LENGTH_BYTES, "little") + answer)
        answers.flush()


def _warm_up() -> None:
    """Import all that a render or its failure imports late: afterwards no file can be opened."""
    good = "{% generation %}{{ messages | tojson }}{{ strftime_now('%d') }}{% endgeneration %}"
    for template in (good, "{{ raise_exception('x') }}", "{% for %}", "{{ ''.__class__ }}"):
        _answer({"messages": [], "template": template, "prompt": False, "marks": False}, 1 << 20)


def _answer(request: dict[str, Any], text_bytes: int) -> bytes:
    try:
        answer = _render(**request)
    except MemoryError:
        answer = {"kind": TOO_MUCH}
    except Exception as error:  # a template may raise anything
        message = " ".join(str(error).split())[:500]
        line = getattr(error, "lineno", None)
        answer = {"kind": REFUSED, "error": type(error).__name__, "message": message, "line": line}
    try:
        data = json.dumps(answer).encode()
    except MemoryError:
        data = json.dumps({"kind": TOO_MUCH}).encode()
    return data if len(data) <= text_bytes else json.dumps({"kind": TOO_LONG}).encode()


def _render(
    messages: list[dict[str, str]],
    template: str,
    prompt: bool,
    marks: bool,
    special: dict[str, Any] | None = None,
) -> dict[str, Any]:
    from transformers.utils.chat_template_utils import render_jinja_template

    texts, spans = render_jinja_template(
        conversations=[messages],
        chat_template=template,
        add_generation_prompt=prompt,
        return_assistant_tokens_mask=marks,
        **(special or {}),
    )
    return {"text": texts[0], "spans": spans[0] if marks else []}


def _read(stream: IO[bytes]) -> bytes:
    """The next request; nothing at the end."""
    length = int.from_bytes(stream.read(LENGTH_BYTES), "little")
    return stream.read(length)


if __name__ == "__main__":
    serve(float(sys.argv[2]), int(sys.argv[3]), int(sys.argv[4]))
