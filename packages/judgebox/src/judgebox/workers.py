"""Worker processes side by side, each with its own scratch directory and its own warm box.

A worker, ``python -m judgebox.workers CONTEXT``, reads one JSON request a line and answers with one
line. Programs run in its box; it only sees what comes out of there, and compares it with what is
expected.
"""

import functools
import json
import os
import queue
import resource
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any, NamedTuple, Self

from judgebox import SetupError, codec, reference
from judgebox.box import Box, BoxFailed
from judgebox.judging import TIMEOUT, Clocks, Program, judge
from judgebox.runtime import FIXED, PACKAGES, PackageError

#: Variables of ours that a worker keeps; credentials and the rest stay out of its reach.
_KEPT = ("PATH", "PYTHONPATH", "LD_LIBRARY_PATH", "LANG", "LC_ALL", "TZ", "JUDGEBOX_BACKEND")
#: Address space of a worker: outputs that would need more to be compared fail their program.
_OWN_BYTES = 4 * 2**30


class WorkerDied(Exception):
    """A worker ended, or gave no answer in time, twice over the same request."""


class Workers(AbstractContextManager["Workers"]):
    """A fixed number of workers; requests are answered as they finish.

    A reference has so many bytes of address space; programs may import the packages' distributions.
    A worker runs the module, which calls `serve`; after `patience` seconds it is given up.
    """

    def __init__(
        self,
        count: int = 1,
        memory_bytes: int = Clocks().memory_bytes,
        packages: Sequence[str] = PACKAGES,
        *,
        module: str = "judgebox.workers",
        patience: float = 600,
    ) -> None:
        self._count, self._patience = count, patience
        self._command = [module, json.dumps([memory_bytes, [*packages]])]
        self._scratch = tempfile.TemporaryDirectory(prefix="judgebox-", ignore_cleanup_errors=True)
        self._idle: queue.SimpleQueue[_Worker] = queue.SimpleQueue()
        self._all: list[_Worker] = []

    def __enter__(self) -> Self:
        for number in range(self._count):
            self._all.append(_Worker(Path(self._scratch.name, str(number)), self._command))
            self._idle.put(self._all[-1])
        return self

    def __exit__(self, *error: object) -> None:
        for worker in self._all:  # also one that is still at work
            worker.stop()
        self._scratch.cleanup()

    def answers(
        self, requests: Iterable[dict[str, Any]]
    ) -> Iterator[tuple[int, dict[str, Any] | WorkerDied]]:
        """Yield ``(number of the request, answer)`` in the order in which they finish.

        `SetupError`: what a worker was asked can't be done, as where no sandbox can be had.
        """
        with ThreadPoolExecutor(self._count) as threads:
            futures = {threads.submit(self._ask, request): n for n, request in enumerate(requests)}
            try:
                for future in as_completed(futures):
                    yield futures[future], future.result()
            finally:
                for future in futures:
                    future.cancel()

    def _ask(self, request: dict[str, Any]) -> dict[str, Any] | WorkerDied:
        worker = self._idle.get()
        try:
            answer = worker.ask(request, self._patience) or worker.ask(request, self._patience)
        finally:
            self._idle.put(worker)
        if answer is not None and "refused" in answer:
            raise (PackageError if answer["package"] else SetupError)(answer["refused"])
        return WorkerDied() if answer is None else answer


def judge_request(cases: Path, program: Program, clocks: Clocks, **options: bool) -> dict[str, Any]:
    """The request that makes a worker judge a program by a file of test cases.

    The options are those of `judgebox.judge`, such as ``alone``, which is false unless it is said.
    The answer has the fields of `judgebox.judging.Verdict`.
    """
    return {
        "do": "judge",
        "cases": str(cases.resolve()),
        "program": program._asdict(),
        "clocks": clocks._asdict(),
        "alone": False,
        **options,
    }


def needs_another_run(answer: dict[str, Any] | WorkerDied) -> bool:
    """Whether a program is to be judged again, alone, before its verdict counts."""
    if isinstance(answer, WorkerDied):
        return False
    return answer["starved"] or TIMEOUT in answer["verdicts"].values()


class _Worker:
    """One process, started when first asked and again after it died."""

    def __init__(self, directory: Path, command: list[str]) -> None:
        self._directory, self._command = directory, command
        directory.mkdir()
        self._environment = {name: os.environ[name] for name in _KEPT if name in os.environ}
        self._environment |= FIXED | {"HOME": str(directory), "TMPDIR": str(directory)}
        self._process: subprocess.Popen[str] | None = None

    def ask(self, request: dict[str, Any], patience: float) -> dict[str, Any] | None:
        """Send a request and wait for so many seconds; None where the worker died or was silent."""
        if self._process is None:
            # -P: nothing is imported from the working directory.
            self._process = subprocess.Popen(
                [sys.executable, "-P", "-m", *self._command],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                cwd=self._directory,
                env=self._environment,
                encoding="utf-8",
            )
        process = self._process
        assert process.stdin is not None and process.stdout is not None
        timer = threading.Timer(patience, process.kill)
        timer.start()
        try:
            process.stdin.write(json.dumps(request) + "\n")
            process.stdin.flush()
            line = process.stdout.readline()
        except BrokenPipeError:
            line = ""
        finally:
            timer.cancel()
        if not line.endswith("\n"):
            self.stop()
            return None
        answer: dict[str, Any] = json.loads(line)
        return answer

    def stop(self) -> None:
        """End the process."""
        if self._process is not None:
            self._process.kill()
            self._process.communicate()
            self._process = None


class Context(NamedTuple):
    """What a worker answers with."""

    box: Callable[[], Box]  # started when it is first needed
    memory_bytes: int  # address space of a reference


def serve(handlers: Mapping[str, Callable[..., dict[str, Any]]]) -> None:
    """Answer requests until standard input ends; what a worker does.

    `handlers`: what to do -> what does it, with a `Context` and the request's other fields.
    """
    memory_bytes, packages = json.loads(sys.argv[1])
    context = Context(functools.cache(lambda: Box(packages).__enter__()), memory_bytes)
    # So that what comes out of a box can't fill the machine's memory. Only the soft limit: a box
    # may raise its own again.
    _, hard = resource.getrlimit(resource.RLIMIT_AS)
    bound = _OWN_BYTES if hard == resource.RLIM_INFINITY else min(_OWN_BYTES, hard)
    resource.setrlimit(resource.RLIMIT_AS, (bound, hard))
    # Requests and answers move off descriptors 0 and 1, which children inherit.
    requests = os.fdopen(os.dup(0), encoding="utf-8")
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    null = os.open(os.devnull, os.O_RDWR)
    os.dup2(null, 0)
    os.dup2(null, 1)
    for line in requests:
        request = json.loads(line)
        handler = handlers[request.pop("do")]
        try:
            try:
                answer = handler(context, **request)
            except BoxFailed:  # no program is to blame for it
                answer = handler(context, **request)
        except SetupError as error:
            answer = {"refused": str(error), "package": isinstance(error, PackageError)}
        except BoxFailed as error:
            message = f"the sandbox could not isolate a program: {error}"
            answer = {"refused": message, "package": False}
        answers.write(json.dumps(answer) + "\n")
        answers.flush()


def _judge(
    context: Context, cases: str, program: dict[str, Any], clocks: dict[str, Any], **options: bool
) -> dict[str, Any]:
    """Verdicts of one program; see `judge_request`."""
    limits = Clocks(**clocks)
    return judge(context.box(), Program(**program), Path(cases), limits, **options)._asdict()


def _expect(
    context: Context, cases: str, program: dict[str, Any], not_none: bool
) -> dict[str, Any]:
    """A reference's outputs; ``error`` says what went wrong."""
    box, memory_bytes = context.box(), context.memory_bytes
    try:
        seconds = reference.expect(box, Path(cases), Program(**program), memory_bytes, not_none)
    except (reference.Failed, codec.CodecError) as error:
        return {"error": str(error)}
    return {"error": None, "seconds": seconds}


def _record(context: Context, cases: str, **request: Any) -> dict[str, Any]:
    """A reference's calls; the fields of `judgebox.reference.Recording`."""
    recording = reference.record_reference(
        context.box(), Path(cases), memory_bytes=context.memory_bytes, **request
    )
    return recording._asdict()


if __name__ == "__main__":
    serve({"judge": _judge, "expect": _expect, "record": _record})
