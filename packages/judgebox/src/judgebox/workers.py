"""Worker processes side by side, each in its own scratch directory; most of them judges."""

import json
import os
import queue
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import AbstractContextManager
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from judgebox.judging import Program
from judgebox.runtime import PACKAGES, PackageError, SetupError
from judgebox.verdict import TIMEOUT, Clocks

#: Variables of ours that a worker keeps; credentials and the rest stay out of its reach.
_KEPT = (*("PATH", "PYTHONPATH", "LD_LIBRARY_PATH", "LANG", "LC_ALL", "TZ", "JUDGEBOX_BACKEND"),)


class WorkerDied(Exception):
    """A worker ended, or gave no answer in time, twice over the same request."""


class Workers(AbstractContextManager["Workers"]):
    """A fixed number of workers; requests are answered as they finish.

    Args:
        count: how many work side by side.
        memory_bytes: address space of a program.
        packages: distributions that programs may import.
        module: what a worker runs; it calls `judgebox.worker.serve`.
        patience: seconds after which a silent worker is given up.
    """

    def __init__(
        self,
        count: int = 1,
        memory_bytes: int = Clocks().memory_bytes,
        packages: Sequence[str] = PACKAGES,
        *,
        module: str = "judgebox.worker",
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

    def __exit__(
        self,
        kind: type[BaseException] | None,
        value: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
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
        The answer is ``{"verdicts", "failed", "starved", "timed_out"}``, see
        `judgebox.verdict.Verdict`.
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
        """Send a request and wait; None where the worker died or stayed silent.

        Args:
            request: what to do; see `judgebox.worker`.
            patience: seconds to wait.
        """
        process = self._process or self._start()
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

    def _start(self) -> "subprocess.Popen[str]":
        # -P: nothing is imported from the working directory.
        self._process = subprocess.Popen(
            [sys.executable, "-P", "-m", *self._command],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            cwd=self._directory,
            env=self._environment,
            encoding="utf-8",
        )
        return self._process

    def stop(self) -> None:
        """End the process."""
        if self._process is not None:
            self._process.kill()
            self._process.communicate()
            self._process = None
