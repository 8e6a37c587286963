"""A job ends itself when the Snakemake that started it is gone.

``kill -9`` gives Snakemake no time to end its jobs, which would go on and write the same files as
those of the next run. So each job watches its driver: the Snakemake (in a Slurm job the one inside
it) that names itself in the variable `DRIVER`. A script that is run by hand has none.
"""

import ctypes
import os
import signal
import sys
import threading
import time
from contextlib import suppress
from functools import cache
from pathlib import Path

#: In a job's environment: the `token` of the Snakemake that started it.
DRIVER = "MIXMERGE_DRIVER"

_PROC = Path("/proc")
_PR_SET_CHILD_SUBREAPER = 36


@cache
def machine() -> str:
    """This boot of the kernel and this namespace of process ids; empty where there is no /proc."""
    try:
        boot = (_PROC / "sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
        return f"{boot}:{(_PROC / 'self/ns/pid').readlink()}"
    except OSError:
        return ""


def token(pid: int) -> str | None:
    """Name a running process so that no later one of its id is taken for it; None if it is gone."""
    stat = _stat(pid)
    if stat is None:
        return None
    # Field 22 of proc(5)'s stat, counted from the state, which is field 3.
    return f"{machine()}:{pid}:{stat[19]}"


def is_here(name: str) -> bool:
    """Whether a `token` names a process that could be seen from here if it ran."""
    return bool(machine()) and name.rsplit(":", 2)[0] == machine()


def is_alive(name: str) -> bool:
    """Whether the process that a `token` of this machine names still runs."""
    return token(int(name.rsplit(":", 2)[1])) == name


def descendants(pid: int) -> list[int]:
    """Running processes below a process, parents before their children."""
    children: dict[int, list[int]] = {}
    for entry in _PROC.iterdir():
        stat = _stat(int(entry.name)) if entry.name.isdigit() else None
        if stat is not None:
            children.setdefault(int(stat[1]), []).append(int(entry.name))
    processes = [pid]
    for parent in processes:
        processes.extend(children.get(parent, []))
    return processes[1:]


def watch() -> None:
    """End this process and all below it as soon as its driver or its parent is gone.

    The parent is the shell that Snakemake waits for: without it, the job is taken for failed.
    """
    driver = os.environ.get(DRIVER)
    if driver is None or not is_here(driver):
        return
    parent = os.getppid()

    def look() -> None:
        # Signals are the main thread's: it may be waiting to be woken by one.
        signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())
        while os.getppid() == parent and is_alive(driver):
            time.sleep(0.5)
        print("error: Snakemake is gone, so this job ends", file=sys.stderr, flush=True)
        # What loses its parent by this comes to us, not to init, and is found by the next look.
        ctypes.CDLL(None).prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
        limit = time.monotonic() + 10
        while (family := descendants(os.getpid())) and time.monotonic() < limit:
            for pid in family:
                kill(pid)
            time.sleep(0.05)
        kill(os.getpid())

    threading.Thread(target=look, name="orphan", daemon=True).start()


def kill(pid: int) -> None:
    """Send SIGKILL to a process that may have ended meanwhile."""
    with suppress(ProcessLookupError):
        os.kill(pid, signal.SIGKILL)


def _stat(pid: int) -> list[str] | None:
    """The fields of a process's stat from its state on; None where no such process runs."""
    try:
        text = (_PROC / str(pid) / "stat").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return None
    # The name before the state stands in parentheses and may hold spaces and parentheses itself.
    stat = text.rpartition(")")[2].split()
    return None if stat[0] in "ZXx" else stat  # ended, and not yet forgotten
