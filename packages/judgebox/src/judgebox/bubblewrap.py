"""Bubblewrap: a backend of namespaces, for whoever may make user namespaces; no root, no daemon.

The outer half, `Bubblewrap`, starts a runner in a box. The runner's `Cell` holds a few capabilities
in the box's user namespace, none outside of it. With them it gives each check a PID, a mount and an
IPC namespace, an empty file system in memory on /tmp and /dev/shm, and a /proc that shows nothing
but the check's own processes. The check itself holds none. When the first process of a PID
namespace ends, the kernel kills all others in it: that is how a check is ended as a whole, whatever
it did to hide.
"""

import ctypes
import functools
import os
import resource
import signal
import struct
import subprocess
import threading
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from judgebox import limits as limit
from judgebox import seccomp, self_check
from judgebox.spawn import Launched, launch

if TYPE_CHECKING:  # of the outside; this module is seen in the box, too
    from judgebox.runtime import Runtime

#: Kept in the box's own user namespace by the runner until it has set itself up; checks keep none.
#: SYS_ADMIN: namespaces and mounts of a check. The others: to prove, and to lock, the box.
_CAPABILITIES = ("CAP_SYS_ADMIN", "CAP_SETPCAP", "CAP_SYS_RESOURCE", "CAP_NET_ADMIN")
#: Not /dev/zero: mapped as shared, it is memory in no account (see `judgebox.seccomp`), and no file
#: system keeps a device from being opened to be written to.
_DEVICES = ("null", "full", "random", "urandom")

_NEWNS, _NEWIPC, _NEWPID = 0x20000, 0x8000000, 0x20000000
_SETTID, _CLEARTID, _GET_TID_ADDRESS = 0x1000000, 0x200000, 40
_NOSUID_NODEV, _NOEXEC, _READ_ONLY, _BIND = 2 | 4, 8, 1, 4096
_CAPBSET_READ, _CAPBSET_DROP, _CAP_AMBIENT, _CLEAR_ALL = 23, 24, 47, 4
_CAPABILITY_VERSION_3 = 0x20080522
#: Tasks of a box, where the kernel counts them a PID namespace: what holds between two polls.
_TASKS = 1024

# CDLL gives up the interpreter's lock during a call, which a child of a bare `clone` could not take
# back from a thread that it does not have.
_libc = ctypes.CDLL(None, use_errno=True)
_syscall = ctypes.PyDLL(None, use_errno=True).syscall


@dataclass(frozen=True)
class Bubblewrap:
    """The outer half of the backend, by one ``bwrap`` program."""

    program: Path
    NAME: str = "bubblewrap"

    @property
    def label(self) -> str:
        """What a message calls it."""
        return f"bubblewrap ({self.program})"

    def launch(self, runtime: "Runtime") -> Launched:
        """Start a runner in a box that sees what `runtime` lists; see `judgebox.spawn.Cell`.

        Raises:
            Refused: ``bwrap`` can't be executed.
        """
        environment = {"PATH": os.defpath}
        command = functools.partial(self._command, runtime)
        return launch(command, environment, stdin=subprocess.DEVNULL)

    def _command(self, runtime: "Runtime", control: int) -> list[str]:
        arguments = [
            *(str(self.program), "--unshare-all", "--unshare-user", "--die-with-parent"),
            *("--new-session", "--hostname", "box", "--uid", "65534", "--gid", "65534"),
            *("--cap-drop", "ALL", "--clearenv"),
        ]
        for name in _CAPABILITIES:
            arguments += ["--cap-add", name]
        for name, value in runtime.environment.items():
            arguments += ["--setenv", name, value]
        for path in runtime.readable:
            arguments += ["--ro-bind", str(path), str(path)]
        for path, target in runtime.links:
            arguments += ["--symlink", target, str(path)]
        for path in runtime.hidden:
            arguments += ["--tmpfs", str(path), "--remount-ro", str(path)]
        for name, path in sorted(runtime.site.items()):
            arguments += ["--ro-bind", str(path), f"{runtime.site_at}/{name}"]
        # Neither --dev (its devpts needs a second user namespace, whose owner could not give a
        # check a /proc of its own) nor --disable-userns, for the same reason: the runner closes
        # that door itself (`judgebox.self_check.no_user_namespaces`).
        arguments += ["--proc", "/proc", "--tmpfs", "/dev", "--dir", "/dev/shm"]
        for name in _DEVICES:
            arguments += ["--dev-bind", f"/dev/{name}", f"/dev/{name}"]
        arguments += ["--symlink", "/proc/self/fd", "/dev/fd", "--remount-ro", "/dev"]
        arguments += ["--dir", "/tmp", "--remount-ro", "/", "--chdir", "/", "--"]
        return arguments + runtime.command(__name__, control)


class Cell:
    """The inner half of the backend; see `judgebox.spawn.Cell`.

    A check's first process is that of its PID namespace, and what it leaves behind ends with it.
    (To itself it can't send a signal that it does not handle: such a process is immune to them.)
    """

    def __init__(self) -> None:
        machine = seccomp.machine()
        # Assembled once; every check installs the same.
        seccomp.assemble(seccomp.BOXED, machine)
        flags, thread = _NEWPID | _NEWNS | _NEWIPC | signal.SIGCHLD, _thread_id()
        if thread:
            flags |= _SETTID | _CLEARTID
        last = (thread, 0) if machine == "x86_64" else (0, thread)
        self._clone: Final = (seccomp.NUMBERS[machine]["clone"], flags, 0, 0, *last)

    def prove(self, hello: dict[str, object]) -> None:
        """Prove that this is a box, close its last doors, and try a check."""
        self_check.own_namespaces(hello)
        self_check.canary_unseen(hello)
        self_check.read_only_root()
        self_check.no_network()
        _bound_tasks()
        self_check.no_user_namespaces()
        self._try_a_check()

    def fork(self) -> int:
        """Fork the first process of new namespaces."""
        pid: int = _syscall(*map(ctypes.c_long, self._clone))
        if pid < 0:
            raise OSError(ctypes.get_errno(), "clone with new namespaces")
        return pid

    def enter(self, limits: limit.Limits) -> None:
        """Mount what the check sees of its own, then let go of all capabilities."""
        # A signal to one's own process group reaches beyond the PID namespace.
        os.setsid()
        inodes = max(1024, limits.file_bytes // 4096)
        options = f"size={limits.file_bytes},nr_inodes={inodes},mode=0777"
        _mount("tmpfs", "/tmp", _NOSUID_NODEV, options)
        _mount("/tmp", "/dev/shm", _BIND)
        # Read-only: where bubblewrap was started by root, /proc/sys/kernel/core_pattern and others
        # would be writable by their owner, capabilities or not.
        flags = _NOSUID_NODEV | _NOEXEC | _READ_ONLY
        try:
            _mount("proc", "/proc", flags, "subset=pid")
        except OSError:  # before Linux 5.8
            _mount("proc", "/proc", flags)
        os.chdir("/tmp")
        _drop_capabilities()

    def restrict(self, limits: limit.Limits) -> None:
        """Leave nothing but the system calls of ordinary programs."""
        # Counted in the box's own user namespace (since Linux 5.14); root is exempt, hence the
        # polling and `_bound_tasks`.
        if _kernel() >= (5, 14):
            most = 2 * limit.THREADS * limits.processes
            resource.setrlimit(resource.RLIMIT_NPROC, (most, most))
        seccomp.install(seccomp.BOXED)

    def kill(self, init: int) -> None:
        """Kill the first process of the namespace, and so all."""
        os.kill(init, signal.SIGKILL)

    def tree(self, init: int, most: int) -> list[int]:
        """All processes of the check: its orphans become children of its first one."""
        return limit.descendants(init, most)

    def excess(self, init: int, limits: limit.Limits) -> limit.Reason | None:
        """Nothing: the file system's size is bounded by the kernel."""
        return None

    def _try_a_check(self) -> None:
        """Run through what a check goes through; all of it must be offered here."""
        ours, theirs = os.pipe()
        pid = self.fork()
        if pid == 0:
            fault = "ended early"
            try:
                limits = limit.Limits(1, 1, 2**30)
                self.enter(limits)
                _prove_isolation()
                self.restrict(limits)
                self_check.filtered()
                fault = ""
            except (OSError, self_check.NotInside) as error:
                fault = str(error)
            finally:
                os.write(theirs, fault.encode())
                os._exit(0)
        os.close(theirs)
        with open(ours, "rb") as end:  # noqa: PTH123
            fault = end.read().decode()
        os.waitpid(pid, 0)
        if fault:
            raise self_check.NotInside(f"a check can't be isolated: {fault}")


def _prove_isolation() -> None:
    """Prove that this check sees nothing but its own, and holds no capability."""
    if os.getpid() != 1 or [name for name in os.listdir("/proc") if name.isdigit()] != ["1"]:  # noqa: PTH208
        raise self_check.NotInside("it sees other processes")
    if not os.statvfs("/proc").f_flag & os.ST_RDONLY:
        raise self_check.NotInside("its /proc is writable")
    if os.listdir("/tmp") or os.listdir("/dev/shm"):  # noqa: PTH208
        raise self_check.NotInside("its /tmp is not empty")
    self_check.no_capabilities(bounding_set=True)


def _thread_id() -> int:
    """Where libc keeps the number of its only thread; 0 where it can't be said.

    `os.fork` writes the new process's there, and so must a bare `clone`: locks go by it.
    """
    address = ctypes.c_ulong()
    if _libc.prctl(_GET_TID_ADDRESS, ctypes.byref(address), 0, 0, 0) or not address.value:
        return 0
    kept = ctypes.c_int.from_address(address.value).value
    return address.value if kept == threading.get_native_id() else 0


def _mount(source: str, target: str, flags: int, options: str = "") -> None:
    names = (source.encode(), target.encode(), source.encode())
    if _libc.mount(*names, ctypes.c_ulong(flags), options.encode()):
        error = ctypes.get_errno()
        raise OSError(error, f"mount of {source} at {target}: {os.strerror(error)}")


def _drop_capabilities() -> None:
    number = 0
    while (held := _libc.prctl(_CAPBSET_READ, number, 0, 0, 0)) >= 0:
        if held and _libc.prctl(_CAPBSET_DROP, number, 0, 0, 0):
            raise OSError(ctypes.get_errno(), f"capability {number} stays in the bounding set")
        number += 1
    _libc.prctl(_CAP_AMBIENT, _CLEAR_ALL, 0, 0, 0)
    if _libc.capset(struct.pack("Ii", _CAPABILITY_VERSION_3, 0), bytes(24)):
        raise OSError(ctypes.get_errno(), "capset")


def _bound_tasks() -> None:
    """Bound the tasks of the box where that number belongs to a PID namespace (Linux 6.14).

    Before, it was the whole machine's, which root's box could write.
    """
    if _kernel() < (6, 14):
        return
    try:
        Path("/proc/sys/kernel/pid_max").write_text(str(_TASKS), encoding="ascii")
    except OSError:
        return  # a second line of defence behind RLIMIT_NPROC and polling


def _kernel() -> tuple[int, int]:
    major, minor = os.uname().release.split(".")[:2]
    return int(major), int("".join(digit for digit in minor if digit.isdigit()))
