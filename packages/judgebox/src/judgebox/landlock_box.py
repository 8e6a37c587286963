"""Landlock and seccomp: a backend of locks, where namespaces are not to be had.

Weaker than bubblewrap: names and sizes of files outside can be asked for (not their contents), the
check sees the machine's name, and a full disk is noticed by looking, not by the kernel.

The *sweeper*, which the judge starts (`command`), starts the *runner*, which locks itself in before
it becomes an interpreter of its own. When the runner or the judge ends, the sweeper kills what is
left of the box and deletes its folder; when it is killed, the runner kills what runs in it.
A check (`Cell`) adds a lock that leaves it the runtime and one scratch folder, and a filter that
lets it reach no process but its own and never leave its process group: killing that ends it whole.
"""

import contextlib
import ctypes
import errno
import glob
import json
import os
import resource
import select
import signal
import socket
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NoReturn

from judgebox import check, landlock, seccomp
from judgebox.landlock import DEVICE, LIST, READ, SCOPED, WRITE, Scratch
from judgebox.seccomp import LIBC

if TYPE_CHECKING:  # of the outside; the sweeper is started without any package
    from judgebox.runtime import Runtime

#: The variable in which the runner finds what it needs to know of its lock.
PLAN: Final = "JUDGEBOX_LOCKED_IN"
#: Devices, and what may be done with them. Memory that /dev/zero gives to who may write to it is in
#: no account (see `judgebox.seccomp`).
DEVICES: Final = {
    **dict.fromkeys(("/dev/null", "/dev/full", "/dev/random", "/dev/urandom"), DEVICE),
    "/dev/zero": READ,
}
_SET_PDEATHSIG, _SET_CHILD_SUBREAPER = 1, 36
#: Looking at the disk takes at most this share of a core; it is done once in so many seconds.
_LOOKING, _EVERY = 0.25, 0.1
#: At the end of the path: a package of ours must not stand before the standard library.
_START = (
    "import sys; sys.path.append(sys.argv.pop(1)); from judgebox.landlock_box import main; main()"
)
#: Processes and threads beyond the machine's at the box's start: no program of a box gets here, for
#: checks are polled; it is what stops a fork bomb between two polls.
_TASKS = 4096
_POLITE = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


def command(runtime: "Runtime", control: int) -> list[str]:
    """The command line of a sweeper, whose runner may read what `runtime` lists.

    The end of the sweeper's standard input is how it knows that the judge has ended. `control` is
    the runner's end of its control socket. Raises `Refused` without landlock or a filter.
    """
    seccomp.machine()
    plan = {
        "below": tempfile.gettempdir(),
        "command": runtime.command(__name__, control),
        "control": control,
        "environment": runtime.environment,
        "hidden": [str(path.resolve()) for path in runtime.hidden],
        "readable": [str(path.resolve()) for path in runtime.readable],
        "site": {name: str(path.resolve()) for name, path in runtime.site.items()},
        "version": landlock.version(),
    }
    sources = str(Path(__file__).resolve().parent.parent)
    return [str(runtime.interpreter), "-I", "-S", "-B", "-c", _START, sources, json.dumps(plan)]


def main() -> NoReturn:
    """Sweep after the box that the first argument describes (JSON; see `command`)."""
    plan: dict[str, Any] = json.loads(sys.argv[1])
    seccomp.drop_capabilities()
    adopt_orphans()
    for number in _POLITE:
        signal.signal(number, signal.SIG_IGN)
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)  # a judge's own setting is inherited
    place = Scratch(plan["below"], "judgebox-")
    try:
        sweeper = os.getpid()
        runner = os.fork()
        if runner == 0:
            try:
                _become_runner(plan, place.path, sweeper)
            except Exception as error:
                print(f"{type(error).__name__}: {error}", file=sys.stderr, flush=True)
            finally:
                os._exit(1)
        os.close(plan["control"])
        select.select([os.pidfd_open(runner), 0], [], [])
        os.kill(runner, signal.SIGKILL)
        code = os.waitstatus_to_exitcode(os.waitpid(runner, 0)[1])
        while pids := children():  # whatever the runner left behind
            for pid in pids:
                with contextlib.suppress(ProcessLookupError):
                    group = os.getpgid(pid)
                    # A check's group at once; only this process leads none of those.
                    if group not in (0, os.getpgrp()):
                        os.killpg(group, signal.SIGKILL)
                    os.kill(pid, signal.SIGKILL)
            os.waitpid(-1, 0)
    finally:
        place.remove()
    sys.exit(code if code >= 0 else 1)


def _become_runner(plan: dict[str, Any], place: str, sweeper: int) -> NoReturn:
    die_with(sweeper, signal.SIGTERM)
    for number in _POLITE:
        signal.signal(number, signal.SIG_DFL)
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    checks, site = f"{place}/checks", Path(place, "site")
    os.mkdir(checks)  # noqa: PTH102
    for name, path in plan["site"].items():  # links, as there is no mounting
        (site / name).parent.mkdir(parents=True, exist_ok=True)
        (site / name).symlink_to(path)
    # A check's own lock need not be as fine as this one, for it is added to this one.
    reads = sorted({*plan["readable"], *map(os.path.dirname, plan["site"].values()), str(site)})
    rules = list(readable(plan["readable"], set(plan["hidden"])))
    rules += [(path, READ) for path in (*plan["site"].values(), str(site), "/proc")]
    # The runner offers itself first where memory runs out.
    rules += [*DEVICES.items(), ("/proc/self/oom_score_adj", DEVICE)]
    cell = {"checks": checks, "reads": reads, "version": plan["version"]}
    environment = plan["environment"] | {"PYTHONPATH": str(site), "HOME": checks, "TMPDIR": checks}
    environment[PLAN] = json.dumps(cell)
    resource.setrlimit(resource.RLIMIT_CORE, check.NO_CORE_DUMP)
    # The user's processes and threads (the kernel exempts root).
    tasks = len(glob.glob("/proc/[0-9]*/task/*")) + _TASKS  # noqa: PTH207  some go meanwhile
    hard = resource.getrlimit(resource.RLIMIT_NPROC)[1]
    most = tasks if hard == resource.RLIM_INFINITY else min(hard, tasks)
    resource.setrlimit(resource.RLIMIT_NPROC, (most, most))
    os.chdir("/")
    landlock.lock([*rules, (checks, WRITE)], plan["version"])
    seccomp.install(seccomp.RUNNER)
    os.execve(plan["command"][0], plan["command"], environment)


def readable(paths: list[str], hidden: set[str]) -> Iterator[tuple[str, int]]:
    """Rules for all that lies at and below paths, but for what is hidden there.

    Landlock can only add. So a folder with something hidden below may be listed (down to the
    hidden files' names, not their contents), and each of its other entries is allowed by itself.
    What a link among these points at is allowed where it is, or not at all.
    """
    for path in paths:
        if path in hidden:
            continue
        if not any(other.startswith(f"{path}/") for other in hidden):
            yield path, READ
            continue
        yield path, LIST
        entries = [entry.path for entry in os.scandir(path) if not entry.is_symlink()]
        yield from readable(entries, hidden)


class Cell:
    """The inner half: a check's first process takes in its orphans, as in a PID namespace."""

    def __init__(self) -> None:
        if PLAN not in os.environ:
            raise seccomp.Refused(f"{PLAN} is not set: nobody locked this process in")
        plan: dict[str, Any] = json.loads(os.environ.pop(PLAN))
        self._checks, self._reads, self._version = plan["checks"], plan["reads"], plan["version"]
        self._scratch: dict[int, Scratch] = {}
        self._look_at: dict[int, float] = {}
        self._own = ""
        self._profile = seccomp.Profile(truncate=self._version >= landlock.TRUNCATES)
        # Assembled once; but for an old landlock every check installs the same.
        seccomp.assemble(self._profile, seccomp.machine())
        adopt_orphans()

    def prove(self, hello: dict[str, Any]) -> None:
        """Prove that files, sockets and other processes are out of reach."""
        canary = seccomp.prove_canary_unseen(hello)
        for flags in (os.O_RDONLY, os.O_WRONLY):
            seccomp.prove_refused(f"opening {canary}", errno.EACCES, os.open, canary, flags)
        folder = os.path.dirname(canary)  # noqa: PTH120
        seccomp.prove_refused(f"listing {folder}", errno.EACCES, os.listdir, folder)
        for family in (socket.AF_UNIX, socket.AF_INET, socket.AF_INET6, socket.AF_NETLINK):
            what = f"a socket of {family.name}"
            seccomp.prove_refused(what, errno.EPERM, socket.socket, family)
        seccomp.prove_confined(bounding_set=False)
        if self._version >= SCOPED:
            seccomp.prove_refused("a signal to its parent", errno.EPERM, os.kill, os.getppid(), 0)
        children()  # raises where the kernel does not say whose child is whose

    def fork(self) -> int:
        """Fork the first process of a check, which leads a process group of its own."""
        scratch = Scratch(self._checks, "check-")
        parent = os.getpid()
        pid = os.fork()
        if pid == 0:
            die_with(parent, signal.SIGKILL)
            os.setpgid(0, 0)
            self._own = scratch.path
            return 0
        # Both do it, so that neither goes on before it is done.
        with contextlib.suppress(PermissionError, ProcessLookupError):
            os.setpgid(pid, pid)
        self._scratch[pid] = scratch
        return pid

    def confine(self, limits: check.Limits) -> None:
        """Lock this process in with its scratch folder."""
        adopt_orphans()  # whose processor time must not get lost to the limits
        os.environ["HOME"] = os.environ["TMPDIR"] = self._own
        tempfile.tempdir = None
        os.chdir(self._own)
        # What of these folders the check may not see, the runner's own lock keeps from it as well.
        rules = [*((path, READ) for path in self._reads), *DEVICES.items(), (self._own, WRITE)]
        landlock.lock(rules, self._version)
        signals_to = None if self._version >= SCOPED else os.getpid()
        seccomp.install(replace(self._profile, signals_to=signals_to))

    def kill(self, init: int) -> None:
        """Kill the process group, wait until it is gone, and see to its scratch folder."""
        # All at once: the kernel lets no fork slip through between the members of a group.
        os.killpg(init, signal.SIGKILL)
        os.waitid(os.P_PID, init, os.WEXITED | os.WNOWAIT)
        # Whose parent has ended is the runner's child now; so when none is left, all have ended.
        while orphans := [pid for pid in children() if pid != init and os.getpgid(pid) == init]:
            for pid in orphans:
                os.waitpid(pid, 0)
        self._look_at.pop(init, None)
        if init in self._scratch:
            with contextlib.suppress(OSError):  # the sweeper tries again when the box ends
                self._scratch.pop(init).remove()

    def excess(self, init: int, limits: check.Limits) -> check.Reason | None:
        """Look, at times, at what the check takes of the disk."""
        now, began = time.monotonic(), time.process_time()
        if now < self._look_at.get(init, now) or init not in self._scratch:
            return None
        pids = check.descendants(init, limits.processes + 1)
        used = self._scratch[init].used(limits.file_bytes, pids)
        # By its processor time: a busy machine must not make looks rare.
        took = time.process_time() - began
        self._look_at[init] = time.monotonic() + max(_EVERY, took / _LOOKING)
        return "disk" if used > limits.file_bytes else None


def adopt_orphans() -> None:
    """Become the parent of processes whose parents, descending from this one, end."""
    if LIBC.prctl(_SET_CHILD_SUBREAPER, 1, 0, 0, 0):
        raise OSError(ctypes.get_errno(), "prctl(PR_SET_CHILD_SUBREAPER)")


def die_with(parent: int, number: int) -> None:
    """Have this process sent a signal when its parent ends, or end it where that has happened."""
    LIBC.prctl(_SET_PDEATHSIG, number, 0, 0, 0)
    if os.getppid() != parent:
        os._exit(1)


def children() -> list[int]:
    """Process ids of the children of this process, whichever of its threads forked them."""
    tasks = Path("/proc/self/task").iterdir()
    return [int(pid) for task in tasks for pid in (task / "children").read_text("ascii").split()]
