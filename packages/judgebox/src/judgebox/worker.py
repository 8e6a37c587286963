"""A judge as a process of its own: ``python -m judgebox.worker CONTEXT``.

It reads one JSON request a line and answers with one line. Programs run in its box, which is
started once and kept warm; this process only sees what comes out of there, and compares it with
what is expected. Its parent (`judgebox.workers`) starts it with a scratch directory as home and
working directory, a reduced environment and a fixed hash seed.
"""

import json
import os
import resource
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from judgebox import codec, reference
from judgebox.box import Box, BoxFailed
from judgebox.judging import Program
from judgebox.runtime import PackageError, SetupError
from judgebox.verdict import Clocks, judge

#: Address space of a judge: outputs that would need more to be compared fail their program.
_OWN_BYTES = 4 * 2**30


class JudgeContext:
    """What a judge works with; its box is started when it is first needed.

    Args:
        memory_bytes: address space of a program.
        packages: distributions that programs may import.
    """

    def __init__(self, memory_bytes: int, packages: Sequence[str]) -> None:
        self.memory_bytes = memory_bytes
        self._packages = packages
        self._box: Box | None = None

    @property
    def box(self) -> Box:
        """A warm box.

        Raises:
            SetupError: no sandbox can be had.
        """
        if self._box is None:
            self._box = Box(self._packages).__enter__()
        return self._box

    def close(self) -> None:
        """End the box."""
        if self._box is not None:
            self._box.__exit__(None, None, None)
            self._box = None


#: Answers one request: the context, and the request's fields.
Handler = Callable[..., dict[str, Any]]


def serve(handlers: Mapping[str, Handler]) -> None:
    """Answer requests until standard input ends.

    Args:
        handlers: what to do -> what does it.
    """
    context = JudgeContext(*json.loads(sys.argv[1]))
    bound_own_memory()
    requests, answers = _private_channel()
    for line in requests:
        answer = _answer(context, handlers, **json.loads(line))
        answers.write(json.dumps(answer) + "\n")
        answers.flush()


def bound_own_memory() -> None:
    """Bound this process, so that what comes out of a box can't fill the machine's memory.

    Only the soft limit: processes that are started from here may raise theirs again.
    """
    _, hard = resource.getrlimit(resource.RLIMIT_AS)
    bound = _OWN_BYTES if hard == resource.RLIM_INFINITY else min(_OWN_BYTES, hard)
    resource.setrlimit(resource.RLIMIT_AS, (bound, hard))


def _answer(
    context: JudgeContext, handlers: Mapping[str, Handler], do: str, **request: Any
) -> dict[str, Any]:
    for left in (1, 0):
        try:
            return handlers[do](context, **request)
        except SetupError as error:
            return {"refused": str(error), "package": isinstance(error, PackageError)}
        except BoxFailed as error:  # no program is to blame for it
            if not left:
                message = f"the sandbox could not isolate a program: {error}"
                return {"refused": message, "package": False}
    raise AssertionError("not reached")


def _private_channel() -> tuple[Any, Any]:
    """Move requests and answers off descriptors 0 and 1, which children inherit."""
    inner, outer = os.dup(0), os.dup(1)
    null = os.open(os.devnull, os.O_RDWR)
    os.dup2(null, 0)
    os.dup2(null, 1)
    os.close(null)
    return os.fdopen(inner, encoding="utf-8"), os.fdopen(outer, "w", encoding="utf-8")


def _judge(
    context: JudgeContext,
    cases: str,
    program: dict[str, Any],
    clocks: dict[str, Any],
    **options: bool,
) -> dict[str, Any]:
    """Verdicts of one program; see `judgebox.workers.judge_request`."""
    verdict = judge(context.box, Program(**program), Path(cases), Clocks(**clocks), **options)
    return {
        "verdicts": verdict.sets,
        "failed": verdict.failed,
        "starved": verdict.starved,
        "timed_out": verdict.timed_out,
    }


def _expect(
    context: JudgeContext, draft: str, cases: str, program: dict[str, Any], not_none: bool
) -> dict[str, Any]:
    """A reference's outputs; ``error`` says what went wrong."""
    try:
        seconds = reference.expect(
            context.box,
            Path(draft),
            Path(cases),
            Program(**program),
            context.memory_bytes,
            not_none,
        )
    except (reference.Failed, codec.CodecError) as error:
        return {"error": str(error)}
    return {"error": None, "seconds": seconds}


def _record(context: JudgeContext, cases: str, **request: Any) -> dict[str, Any]:
    """A reference's calls; the fields of `judgebox.reference.Recording`."""
    recording = reference.record_reference(
        context.box, Path(cases), memory_bytes=context.memory_bytes, **request
    )
    return recording._asdict()


if __name__ == "__main__":
    serve({"judge": _judge, "expect": _expect, "record": _record})
