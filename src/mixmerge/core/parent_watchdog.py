"""A job ends itself when the Snakemake that started it is gone.

After ``kill -9`` of Snakemake they would go on and write the same files as those of the next run.
So each job watches its driver: the Snakemake (in a Slurm job the one inside it) that names itself
in the variable `DRIVER`. A script that is run by hand has none.
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
from typing import Any

import psutil  # type: ignore[import-untyped]

#: In a job's environment: the `token` of the Snakemake that started it.
DRIVER = "MIXMERGE_DRIVER"


@cache
def machine() -> str:
    """This boot of the kernel and this namespace of process ids; empty where there is no /proc."""
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
        return f"{boot}:{Path('/proc/self/ns/pid').readlink()}"
    except OSError:
        return ""


def token(pid: int) -> str | None:
    """Name a running process so that no later one of its id is taken for it; None if it is gone."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return None
    # proc(5): the name in parentheses may hold any character; then the state, and 19 on the start.
    fields = text.rpartition(")")[2].split()
    has_ended = fields[0] in "ZXx"  # and is not yet forgotten
    return None if has_ended else f"{machine()}:{pid}:{fields[19]}"


def is_here(name: str) -> bool:
    """Whether a `token` names a process that could be seen from here if it ran."""
    return bool(machine()) and name.rsplit(":", 2)[0] == machine()


def is_alive(name: str) -> bool:
    """Whether the process that a `token` of this machine names still runs."""
    return token(int(name.rsplit(":", 2)[1])) == name


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
        ctypes.CDLL(None).prctl(36, 1, 0, 0, 0)  # PR_SET_CHILD_SUBREAPER
        limit = time.monotonic() + 10
        while (family := _descendants()) and time.monotonic() < limit:
            for process in family:
                kill(process.pid)
            psutil.wait_procs(family, timeout=0.05)  # ours would stay zombies
        kill(os.getpid())

    threading.Thread(target=look, name="orphan", daemon=True).start()


def _descendants() -> list[Any]:
    """Processes below this one; psutil's `children` fails where /proc hides other users'."""
    running, family = list(psutil.process_iter(["ppid"])), [psutil.Process()]
    for parent in family:
        family += [process for process in running if process.info["ppid"] == parent.pid]
    return family[1:]


def kill(pid: int) -> None:
    """Send SIGKILL to a process that may have ended meanwhile."""
    with suppress(ProcessLookupError):
        os.kill(pid, signal.SIGKILL)
