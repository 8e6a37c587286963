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
from dataclasses import asdict
from pathlib import Path
from typing import Any, Self

from judgebox import codec, reference
from judgebox.box import Box, BoxFailed
from judgebox.judging import Program
from judgebox.runtime import PACKAGES, PackageError, SetupError
from judgebox.verdict import TIMEOUT, Clocks, judge

#: Variables of ours that a worker keeps; credentials and the rest stay out of its reach.
_KEPT = ("PATH", "PYTHONPATH", "LD_LIBRARY_PATH", "LANG", "LC_ALL", "TZ", "JUDGEBOX_BACKEND")
#: Address space of a worker: outputs that would need more to be compared fail their program.
_OWN_BYTES = 4 * 2**30


class WorkerDied(Exception):
    """A worker ended, or gave no answer in time, twice over the same request."""


class Workers(AbstractContextManager["Workers"]):
    """A fixed number of workers; requests are answered as they finish.

    Args:
        count: how many work side by side.
        memory_bytes: address space of a reference.
        packages: distributions that programs may import.
        module: what a worker runs; it calls `serve`.
        patience: seconds after which a silent worker is given up.
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
        self._count = count
        self._command = [module, json.dumps([memory_bytes, [*packages]])]
        self._patience = patience
        self._scratch = tempfile.TemporaryDirectory(prefix="judgebox-", ignore_cleanup_errors=True)
        self._idle: queue.SimpleQueue[_Worker] = queue.SimpleQueue()
        self._all: list[_Worker] = []

    def __enter__(self) -> Self:
        for number in range(self._count):
            worker = _Worker(Path(self._scratch.name, str(number)), self._command)
            self._all.append(worker)
            self._idle.put(worker)
        return self

    def __exit__(self, *error: object) -> None:
        for worker in self._all:
            worker.stop()
        self._scratch.cleanup()

    def answers(
        self, requests: Iterable[dict[str, Any]]
    ) -> Iterator[tuple[int, dict[str, Any] | WorkerDied]]:
        """Yield ``(number of the request, answer)`` in the order in which they finish.

        Raises:
            SetupError: what a worker was asked can't be done, as where no sandbox can be had.
        """
        with ThreadPoolExecutor(self._count) as threads:
            futures = {
                threads.submit(self._ask, request): number
                for number, request in enumerate(requests)
            }
            try:
                for future in as_completed(futures):
                    yield futures[future], future.result()
            finally:
                for future in futures:
                    future.cancel()

    def _ask(self, request: dict[str, Any]) -> dict[str, Any] | WorkerDied:
        worker = self._idle.get()
        try:
            for _ in range(2):
                answer = worker.ask(request, self._patience)
                if answer is not None and "refused" in answer:
                    error = PackageError if answer["package"] else SetupError
                    raise error(answer["refused"])
                if answer is not None:
                    return answer
            return WorkerDied()
        finally:
            self._idle.put(worker)


def judge_request(cases: Path, program: Program, clocks: Clocks, **options: bool) -> dict[str, Any]:
    """The request that makes a worker judge a program; see `judgebox.judge`.

    Args:
        cases: file of test cases.
        program: what is judged.
        clocks: what it may use.
        options: of `judgebox.judge`, such as ``alone``, which is false unless it is said.

    Returns:
        The answer has the fields of `judgebox.verdict.Verdict`.
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
        self._directory = directory
        self._command = command
        directory.mkdir()
        self._environment = {name: os.environ[name] for name in _KEPT if name in os.environ} | {
            "HOME": str(directory),
            "OMP_NUM_THREADS": "1",
            "OPENBLAS_NUM_THREADS": "1",
            "PYTHONDONTWRITEBYTECODE": "1",
            # In the box, too: the order of a set's strings is that of the expected outputs.
            "PYTHONHASHSEED": "0",
            "TMPDIR": str(directory),
        }
        self._process: subprocess.Popen[str] | None = None

    def ask(self, request: dict[str, Any], patience: float) -> dict[str, Any] | None:
        """Send a request and wait for so many seconds; None where the worker died or was silent."""
        process = self._process = self._process or self._started()
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

    def _started(self) -> "subprocess.Popen[str]":
        # -P: nothing is imported from the working directory.
        return subprocess.Popen(
            [sys.executable, "-P", "-m", *self._command],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            cwd=self._directory,
            env=self._environment,
            encoding="utf-8",
        )

    def stop(self) -> None:
        """End the process."""
        if self._process is not None:
            self._process.kill()
            self._process.communicate()
            self._process = None


class Context:
    """What a worker answers with.

    Args:
        memory_bytes: address space of a reference.
        packages: distributions that programs may import.
    """

    def __init__(self, memory_bytes: int, packages: Sequence[str]) -> None:
        self.memory_bytes = memory_bytes
        self._packages = packages

    @functools.cached_property
    def box(self) -> Box:
        """A box, started when it is first needed."""
        return Box(self._packages).__enter__()


def serve(handlers: Mapping[str, Callable[..., dict[str, Any]]]) -> None:
    """Answer requests until standard input ends; what a worker does.

    Args:
        handlers: what to do -> what does it, with a `Context` and the request's other fields.
    """
    context = Context(*json.loads(sys.argv[1]))
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
    return asdict(judge(context.box, Program(**program), Path(cases), Clocks(**clocks), **options))


def _expect(
    context: Context, cases: str, program: dict[str, Any], not_none: bool
) -> dict[str, Any]:
    """A reference's outputs; ``error`` says what went wrong."""
    try:
        seconds = reference.expect(
            context.box, Path(cases), Program(**program), context.memory_bytes, not_none
        )
    except (reference.Failed, codec.CodecError) as error:
        return {"error": str(error)}
    return {"error": None, "seconds": seconds}


def _record(context: Context, cases: str, **request: Any) -> dict[str, Any]:
    """A reference's calls; the fields of `judgebox.reference.Recording`."""
    recording = reference.record_reference(
        context.box, Path(cases), memory_bytes=context.memory_bytes, **request
    )
    return recording._asdict()


if __name__ == "__main__":
    serve({"judge": _judge, "expect": _expect, "record": _record})
