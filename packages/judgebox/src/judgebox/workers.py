"""Worker processes side by side, each with a scratch directory and a warm box of its own."""

import contextlib
import json
import multiprocessing
import os
import queue
import resource
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import AbstractContextManager
from functools import partial
from multiprocessing.connection import Connection
from typing import Any

from judgebox import SetupError
from judgebox.box import Box, BoxFailed
from judgebox.judging import TIMEOUT, Outcome
from judgebox.runtime import FIXED, PACKAGES

#: Variables of ours that a worker keeps; credentials and the rest stay out of its reach.
_KEPT = ("PATH", "PYTHONPATH", "LD_LIBRARY_PATH", "LANG", "LC_ALL", "TZ", "JUDGEBOX_BACKEND")
#: Address space of a worker: outputs that would need more to be compared fail their program.
_OWN_BYTES = 4 * 2**30

#: What a worker calls with its box, such as a `functools.partial` of `judgebox.judge`.
Request = Callable[[Box], Any]


class Workers(AbstractContextManager["Workers"]):
    """Workers whose programs may import the packages; `patience`: seconds for an answer."""

    def __init__(
        self, count: int = 1, packages: Sequence[str] = PACKAGES, patience: float = 600
    ) -> None:
        self._patience = patience
        self._left = False
        self._all = [_Worker(packages) for _ in range(count)]
        self._idle: queue.SimpleQueue[_Worker] = queue.SimpleQueue()
        for worker in self._all:
            self._idle.put(worker)

    def __exit__(self, *error: object) -> None:
        self._left = True
        for worker in self._all:  # also one that is still at work
            worker.stop()
            worker.scratch.cleanup()

    def answers(self, requests: Iterable[Request]) -> Iterator[tuple[int, Any]]:
        """Yield ``(number of the request, answer)`` in the order in which they finish.

        None where the worker ended, or gave no answer in time, twice over the same request.
        `SetupError`: what a worker was asked can't be done, as where no sandbox can be had.
        """
        with ThreadPoolExecutor(len(self._all)) as threads:
            futures = {threads.submit(self._ask, request): n for n, request in enumerate(requests)}
            try:
                for future in as_completed(futures):
                    yield futures[future], future.result()
            finally:
                for future in futures:
                    future.cancel()

    def judged(
        self, requests: Sequence[Callable[..., dict[str, Outcome]]]
    ) -> Iterator[tuple[int, dict[str, Outcome] | None]]:
        """Answers to requests of `judge`; what timed out, or was starved, is judged again alone."""
        again = []
        for number, outcomes in self.answers([partial(call, alone=False) for call in requests]):
            ends = outcomes.values() if outcomes is not None else ()
            if any(outcome.starved or outcome.verdict == TIMEOUT for outcome in ends):
                again.append(number)
            else:
                yield number, outcomes
        for number in sorted(again):  # one after another: each has the machine to itself
            for _, outcomes in self.answers([partial(requests[number], alone=True)]):
                yield number, outcomes

    def _ask(self, request: Request) -> Any:
        worker = self._idle.get()
        try:
            answer = worker.ask(request, self._patience)
            if answer is None and not self._left:
                answer = worker.ask(request, self._patience)
        finally:
            self._idle.put(worker)
        if answer is not None and isinstance(answer[0], SetupError):
            raise answer[0]
        return answer and answer[0]


class _Worker:
    """One process, started when first asked and again after it died."""

    def __init__(self, packages: Sequence[str]) -> None:
        self._packages = json.dumps([*packages])
        self.scratch = tempfile.TemporaryDirectory(prefix="judgebox-", ignore_cleanup_errors=True)
        self._environment = {name: os.environ[name] for name in _KEPT if name in os.environ}
        self._environment |= FIXED | dict.fromkeys(("HOME", "TMPDIR"), self.scratch.name)
        self._process: subprocess.Popen[bytes] | None = None

    def ask(self, request: Request, patience: float) -> tuple[Any] | None:
        """The answer to a request; None where the process died, or was silent for so long."""
        if self._process is None:
            self._connection, theirs = multiprocessing.Pipe()
            with theirs:
                # -P: nothing is imported from the working directory.
                command = [sys.executable, "-P", "-m", "judgebox.workers", str(theirs.fileno())]
                self._process = subprocess.Popen(
                    [*command, self._packages],
                    stdin=subprocess.DEVNULL,
                    stdout=subprocess.DEVNULL,
                    cwd=self.scratch.name,
                    env=self._environment,
                    pass_fds=[theirs.fileno()],
                )
        with contextlib.suppress(EOFError, OSError):
            self._connection.send(request)
            if self._connection.poll(patience):
                return (self._connection.recv(),)
        self.stop()
        return None

    def stop(self) -> None:
        """End the process."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None


def main() -> None:
    """Answer requests until there are no more; what a worker does."""
    connection = Connection(int(sys.argv[1]))
    os.set_inheritable(connection.fileno(), False)
    box = Box(json.loads(sys.argv[2]))  # started when it is first needed
    # So that what comes out of a box can't fill the machine's memory. Only the soft limit: a box
    # may raise its own again.
    _, hard = resource.getrlimit(resource.RLIMIT_AS)
    bound = _OWN_BYTES if hard == resource.RLIM_INFINITY else min(_OWN_BYTES, hard)
    resource.setrlimit(resource.RLIMIT_AS, (bound, hard))
    while True:
        try:
            request: Request = connection.recv()
        except EOFError:
            return
        try:
            try:
                answer = request(box)
            except BoxFailed:  # no program is to blame for it
                answer = request(box)
        except SetupError as error:
            answer = error
        except BoxFailed as error:
            answer = SetupError(f"the sandbox could not isolate a program: {error}")
        connection.send(answer)


if __name__ == "__main__":
    main()
