"""Watches the processes that a command starts: what they hold, how long they live, what is left."""

import ctypes
import os
import socket
import subprocess
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

import psutil

_SUBREAPER = 36


@dataclass
class Seen:
    """What was seen while the command ran."""

    status: int = -1
    largest: int = 0  # peak resident memory of the largest process outside the boxes, in bytes
    #: Process that named itself (pid, name) -> seconds that it had lived when it was last seen.
    lives: dict[tuple[int, str], float] = field(default_factory=dict)
    reached: list[str] = field(default_factory=list)  # listeners in a box, from outside
    left: list[str] = field(default_factory=list)  # processes after the command had ended


def run(
    command: list[str], environment: dict[str, str], log: Path, named: str, port: int, abstract: str
) -> Seen:
    """Run a command and watch all that comes of it.

    Processes that lose their parent become children of this one. Names that hostile ones give
    themselves begin with `named`; at `port` and an `abstract` socket they try to listen.
    """
    seen = Seen()
    ctypes.CDLL(None).prctl(_SUBREAPER, 1, 0, 0, 0)
    before = set(_below())
    ended = threading.Event()

    def watch() -> None:
        here = Path("/proc/self/ns/pid").stat().st_ino
        addresses = ((socket.AF_INET, ("127.0.0.1", port)), (socket.AF_UNIX, f"\0{abstract}"))
        while not ended.wait(0.1):
            for process in set(_below()) - before:
                with suppress(OSError, UnicodeDecodeError, psutil.Error):
                    _look(process, seen, named, here)
            for family, address in addresses:
                with suppress(OSError), socket.socket(family) as line:
                    line.settimeout(0.05)
                    line.connect(address)  # type: ignore[arg-type]
                    seen.reached.append(str(address))

    with log.open("wb") as out, ThreadPoolExecutor(1) as threads:
        process = subprocess.Popen(command, env=environment, stdout=out, stderr=out)
        watching = threads.submit(watch)
        try:
            seen.status = process.wait(timeout=3600)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        finally:
            ended.set()
        watching.result()
    until = time.monotonic() + 20
    while (left := _living(before)) and time.monotonic() < until:
        time.sleep(0.05)
    seen.left = list(map(str, left))
    ctypes.CDLL(None).prctl(_SUBREAPER, 0, 0, 0, 0)
    return seen


def _look(process: psutil.Process, seen: Seen, named: str, here: int) -> None:
    name = Path(f"/proc/{process.pid}/comm").read_text().strip()
    if name.startswith(named):
        seen.lives[process.pid, name] = time.time() - process.create_time()
    if Path(f"/proc/{process.pid}/ns/pid").stat().st_ino == here:
        lines = Path(f"/proc/{process.pid}/status").read_text().splitlines()
        status = dict(line.split(":", 1) for line in lines)
        if status["Seccomp"].strip() == "0":
            seen.largest = max(seen.largest, 1024 * int(status.get("VmHWM", "0").split()[0]))


def _below() -> list[psutil.Process]:
    return psutil.Process().children(recursive=True)


def _living(before: set[psutil.Process]) -> list[psutil.Process]:
    """What runs on, without what has ended and waits for its parent (reaped here if it is ours)."""
    left = []
    for process in set(_below()) - before:
        with suppress(ChildProcessError):
            os.waitpid(process.pid, os.WNOHANG)
        with suppress(psutil.Error):
            if process.status() not in (psutil.STATUS_ZOMBIE, psutil.STATUS_DEAD):
                left.append(process)
    return left
