"""The process in which chat templates run: transformers' sandboxed Jinja, and hard bounds around.

Jinja keeps a template from Python's insides, but not from looping for ever or making gigabytes of
text. `mixmerge.checkpoint.chat` starts this, and sends JSON over the socket that is its input.
"""

import json
import os
import signal
import sys
from typing import Any

if __name__ == "__main__":
    # -I and a path of the caller's: the environment is empty.
    sys.path[:], *bounds = json.loads(sys.argv[1])

from multiprocessing.connection import Connection

from mixmerge.checkpoint.jail import lock_in
from mixmerge.core.errors import one_line


def serve(cpu_seconds: float, memory_bytes: int, text_bytes: int) -> None:
    """Answer requests, each the arguments of transformers' renderer, until the caller is gone.

    A chat that takes longer ends the process by SIGPROF.
    """
    caller = Connection(os.dup(0))
    nowhere = os.open(os.devnull, os.O_RDWR)
    for number in (0, 1, 2):
        os.dup2(nowhere, number)
    # What a render or its failure imports late: afterwards no file can be opened.
    good = "{% generation %}{{ messages | tojson }}{{ strftime_now('%d') }}{% endgeneration %}"
    for template in (good, "{{ raise_exception('x') }}", "{% for %}", "{{ ''.__class__ }}"):
        _answer(json.dumps({"conversations": [[]], "chat_template": template}), 0, text_bytes)
    lock_in(memory_bytes)
    while True:
        try:
            request = caller.recv_bytes()
        except EOFError:
            return
        # The default action of SIGPROF ends the process, within whatever C code it may be.
        signal.setitimer(signal.ITIMER_PROF, cpu_seconds)
        answer = _answer(request, memory_bytes, text_bytes)
        signal.setitimer(signal.ITIMER_PROF, 0)
        caller.send_bytes(answer)


def _answer(request: bytes | str, memory_bytes: int, text_bytes: int) -> bytes:
    """A chat's text and marked spans, the template's own error, or its fault, as JSON."""
    from transformers.utils.chat_template_utils import render_jinja_template

    try:
        texts, spans = render_jinja_template(**json.loads(request))
        answer = json.dumps({"text": texts[0], "spans": spans[0] if spans else []}).encode()
        if len(answer) <= text_bytes:
            return answer
        failure: dict[str, Any] = {"fault": f"writes over {text_bytes >> 20} MiB for one chat"}
    except MemoryError:
        failure = {"fault": f"needs over {memory_bytes >> 20} MiB for one chat"}
    except Exception as error:  # a template may raise anything
        message = one_line(error, 500)
        if type(error).__name__ != "TemplateError":  # what a template says itself
            message = f"{type(error).__name__}: {message}"
        failure = {"refusal": message, "line": getattr(error, "lineno", None)}
    return json.dumps(failure).encode()


if __name__ == "__main__":
    serve(*bounds)
