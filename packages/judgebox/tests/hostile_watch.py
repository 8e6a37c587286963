"""Watches the processes that a command starts: what they hold, how long they live, what is left."""

import ctypes
import os
import socket
import subprocess
import threading
import time
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

_SUBREAPER = 36


@dataclass
class Seen:
    """What was seen while the command ran; memory in bytes, of processes outside the boxes."""

    status: int = -1
    seconds: float = 0.0
    largest: int = 0
    """Peak resident memory of the largest process."""
    together: int = 0
    """Most resident memory of all at one time."""
    lives: dict[tuple[int, str], tuple[float, float]] = field(default_factory=dict)
    """Process that named itself (pid, name) -> when it was first and last seen."""
    reached: list[str] = field(default_factory=list)
    """Listeners of programs in a box that could be reached from outside."""
    left: list[str] = field(default_factory=list)
    """Processes that were there after the command had ended."""


def run(
    command: list[str], environment: dict[str, str], log: Path, named: str, port: int, abstract: str
) -> Seen:
    """Run a command and watch all that comes of it.

    Processes that lose their parent become children of this one, so none gets out of sight.

    Args:
        command: what is run, with this environment, output in ``log``.
        environment: all of it.
        log: where its output goes.
        named: beginning of the names that hostile processes give themselves.
        port: where a hostile program tries to listen, on the loopback.
        abstract: the same, name of an abstract socket.
    """
    seen = Seen()
    ctypes.CDLL(None).prctl(_SUBREAPER, 1, 0, 0, 0)
    before = set(_below(os.getpid()))
    ended = threading.Event()
    with log.open("wb") as out:
        started = time.monotonic()
        process = subprocess.Popen(command, env=environment, stdout=out, stderr=out)
        thread = threading.Thread(target=_watch, args=(seen, before, ended, named, port, abstract))
        thread.start()
        try:
            seen.status = process.wait(timeout=3600)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        finally:
            ended.set()
            thread.join()
        seen.seconds = time.monotonic() - started
    until = time.monotonic() + 3
    while (left := _living(before)) and time.monotonic() < until:
        time.sleep(0.05)
    seen.left = [f"{pid} {_comm(pid)} {_cmdline(pid)}" for pid in left]
    ctypes.CDLL(None).prctl(_SUBREAPER, 0, 0, 0, 0)
    return seen


def _watch(
    seen: Seen, before: set[int], ended: threading.Event, named: str, port: int, abstract: str
) -> None:
    here = _namespace(os.getpid())
    while not ended.wait(0.1):
        together = 0
        for pid in set(_below(os.getpid())) - before:
            name = _comm(pid)
            if name.startswith(named):
                now = time.monotonic()
                first, _ = seen.lives.get((pid, name), (now, now))
                seen.lives[pid, name] = (first, now)
            status = _status(pid)
            if _namespace(pid) == here and status.get("Seccomp") == "0":
                together += _kilobytes(status, "VmRSS")
                seen.largest = max(seen.largest, 1024 * _kilobytes(status, "VmHWM"))
        seen.together = max(seen.together, 1024 * together)
        for family, address in (
            (socket.AF_INET, ("127.0.0.1", port)),
            (socket.AF_UNIX, f"\0{abstract}"),
        ):
            with suppress(OSError), socket.socket(family) as line:
                line.settimeout(0.05)
                line.connect(address)  # type: ignore[arg-type]
                seen.reached.append(str(address))


def _below(root: int) -> list[int]:
    """All descendants of a process."""
    parents: dict[int, list[int]] = {}
    for path in Path("/proc").iterdir():
        if path.name.isdigit():
            with suppress(OSError, ValueError):
                parent = int((path / "stat").read_text().rpartition(") ")[2].split()[1])
                parents.setdefault(parent, []).append(int(path.name))
    found, waiting = [], [root]
    while waiting:
        children = parents.get(waiting.pop(), [])
        found += children
        waiting += children
    return found


def _living(before: set[int]) -> list[int]:
    """What runs on, without what has ended and waits for its parent (reaped here if it is ours)."""
    left = []
    for pid in set(_below(os.getpid())) - before:
        with suppress(ChildProcessError):
            os.waitpid(pid, os.WNOHANG)
        if _status(pid).get("State", "Z")[0] not in "ZX":
            left.append(pid)
    return left


def _status(pid: int) -> dict[str, str]:
    with suppress(OSError):
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
        return {name: text.strip() for name, _, text in (line.partition(":") for line in lines)}
    return {}


def _kilobytes(status: dict[str, str], name: str) -> int:
    return int(status.get(name, "0 kB").split()[0])


def _namespace(pid: int) -> str:
    with suppress(OSError):
        return str(Path(f"/proc/{pid}/ns/pid").readlink())
    return ""


def _comm(pid: int) -> str:
    with suppress(OSError, UnicodeDecodeError):
        return Path(f"/proc/{pid}/comm").read_text().strip()
    return ""


def _cmdline(pid: int) -> str:
    with suppress(OSError):
        return Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode()[:200]
    return ""
