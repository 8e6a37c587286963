"""A check in namespaces of its own: the inner half of the bubblewrap backend.

The runner holds a few capabilities in the box's user namespace, none outside of it. With them it
gives each check a PID, a mount and an IPC namespace, an empty file system in memory on /tmp and
/dev/shm, and a /proc that shows nothing but the check's own processes. The check itself holds none.
When the first process of a PID namespace ends, the kernel kills all others in it: that is how a
check is ended as a whole, whatever it did to hide.
"""

import ctypes
import fcntl
import os
import resource
import signal
import socket
import struct
import threading
from pathlib import Path
from typing import Final

from judgebox import proof, seccomp, watch
from judgebox.backend import Cell
from judgebox.limits import Limits, Reason
from judgebox.syscalls import NUMBERS

_NEWNS, _NEWIPC, _NEWUSER, _NEWPID = 0x20000, 0x8000000, 0x10000000, 0x20000000
_SETTID, _CLEARTID, _GET_TID_ADDRESS = 0x1000000, 0x200000, 40
_NOSUID_NODEV, _NOEXEC, _READ_ONLY, _BIND = 2 | 4, 8, 1, 4096
_CAPBSET_READ, _CAPBSET_DROP, _CAP_AMBIENT, _CLEAR_ALL = 23, 24, 47, 4
_CAPABILITY_VERSION_3 = 0x20080522
_GET_FLAGS, _SET_FLAGS, _UP = 0x8913, 0x8914, 1
#: Tasks of a box, where the kernel counts them a PID namespace: what holds between two polls.
_TASKS = 1024

# CDLL gives up the interpreter's lock during a call, which a child of a bare `clone` could not take
# back from a thread that it does not have.
_libc = ctypes.CDLL(None, use_errno=True)
_syscall = ctypes.PyDLL(None, use_errno=True).syscall


def cell() -> Cell:
    """The cell that `judgebox.runner` works with."""
    return Namespaces()


class Namespaces:
    """See `judgebox.backend.Cell`."""

    #: The check's first process is its namespace's, and what it leaves behind ends with it. (To
    #: itself it can't send a signal that it does not handle: such a process is immune to them.)
    NEEDS_INIT: Final = False

    def __init__(self) -> None:
        machine = seccomp.machine()
        # Assembled once; every check installs the same.
        seccomp.assemble(seccomp.BOXED, machine)
        flags, thread = _NEWPID | _NEWNS | _NEWIPC | signal.SIGCHLD, _thread_id()
        if thread:
            flags |= _SETTID | _CLEARTID
        last = (thread, 0) if machine == "x86_64" else (0, thread)
        self._clone: Final = (NUMBERS[machine]["clone"], flags, 0, 0, *last)

    def prove(self, hello: dict[str, object]) -> dict[str, object]:
        """Prove that this is a box, close its last doors, and try a check."""
        proof.own_namespaces(hello)
        proof.unseen(hello)
        proof.read_only_root()
        _loopback_down()
        _bound_tasks()
        _no_user_namespaces()
        self._try()
        return {"namespaces": proof.namespaces()}

    def fork(self) -> int:
        """Fork the first process of new namespaces."""
        pid: int = _syscall(*map(ctypes.c_long, self._clone))
        if pid < 0:
            raise OSError(ctypes.get_errno(), "clone with new namespaces")
        return pid

    def enter(self, limits: Limits) -> None:
        """Mount what the check sees of its own, then let go of all capabilities."""
        # A signal to one's own process group reaches beyond the PID namespace.
        os.setsid()
        inodes = max(1024, limits.file_bytes // 4096)
        options = f"size={limits.file_bytes},nr_inodes={inodes},mode=0777"
        _mount("tmpfs", "/tmp", _NOSUID_NODEV, options)
        _mount("/tmp", "/dev/shm", _BIND)
        # Read-only: where bubblewrap was started by root, /proc/sys/kernel/core_pattern and others
        # would be writable by their owner, capabilities or not.
        proc = _NOSUID_NODEV | _NOEXEC | _READ_ONLY
        try:
            _mount("proc", "/proc", proc, "subset=pid")
        except OSError:  # before Linux 5.8
            _mount("proc", "/proc", proc)
        os.chdir("/tmp")
        _drop_capabilities()

    def restrict(self, limits: Limits) -> None:
        """Leave nothing but the system calls of ordinary programs."""
        # Counted in the box's own user namespace (since Linux 5.14); root is exempt, hence the
        # polling and `_bound_tasks`.
        if _kernel() >= (5, 14):
            most = 2 * watch.THREADS * limits.processes
            resource.setrlimit(resource.RLIMIT_NPROC, (most, most))
        seccomp.install(seccomp.BOXED)

    def kill(self, init: int) -> None:
        """Kill the first process of the namespace, and so all."""
        os.kill(init, signal.SIGKILL)

    def tree(self, init: int, most: int) -> list[int]:
        """All processes of the check: its orphans become children of its init."""
        return watch.descendants(init, most)

    def excess(self, init: int, limits: Limits) -> Reason | None:
        """Nothing: the file system's size is bounded by the kernel."""
        return None

    def _try(self) -> None:
        """Run through what a check goes through; all of it must be offered here."""
        ours, theirs = os.pipe()
        pid = self.fork()
        if pid == 0:
            said = "ended early"
            try:
                limits = Limits(1, 1, 2**30)
                self.enter(limits)
                said = _inside()
                self.restrict(limits)
                said = said or _unfiltered()
            except OSError as error:
                said = str(error)
            finally:
                os.write(theirs, said.encode())
                os._exit(0)
        os.close(theirs)
        with open(ours, "rb") as end:  # noqa: PTH123
            said = end.read().decode()
        os.waitpid(pid, 0)
        if said:
            raise proof.NotInside(f"a check can't be isolated: {said}")


def _inside() -> str:
    """What is wrong with this check's isolation; nothing where all is well."""
    if os.getpid() != 1 or [name for name in os.listdir("/proc") if name.isdigit()] != ["1"]:  # noqa: PTH208
        return "it sees other processes"
    if not os.statvfs("/proc").f_flag & os.ST_RDONLY:
        return "its /proc is writable"
    if os.listdir("/tmp") or os.listdir("/dev/shm"):  # noqa: PTH208
        return "its /tmp is not empty"
    status = Path("/proc/self/status").read_text(encoding="ascii")
    for line in status.splitlines():
        if line.startswith("Cap") and int(line.split()[1], 16):
            return f"it keeps capabilities ({line.strip()})"
    return ""


def _unfiltered() -> str:
    try:
        socket.socket(socket.AF_UNIX)
    except PermissionError:
        return ""
    return "its system calls are not filtered"


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
    header = struct.pack("Ii", _CAPABILITY_VERSION_3, 0)
    if _libc.capset(header, bytes(24)):
        raise OSError(ctypes.get_errno(), "capset")


def _loopback_down() -> None:
    """Prove that there is no network but a loopback, which bubblewrap brings up: take it down."""
    names = [name for _, name in socket.if_nameindex()]
    if names not in ([], ["lo"]):
        raise proof.NotInside(f"network interfaces are seen: {', '.join(names)}")
    if not names:
        return
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as inet:
        try:
            fcntl.ioctl(inet, _SET_FLAGS, struct.pack("16sH14x", b"lo", 0))
        except OSError as error:
            raise proof.NotInside(f"the loopback can't be taken down: {error.strerror}") from error
        flags = fcntl.ioctl(inet, _GET_FLAGS, struct.pack("16s16x", b"lo"))
    if struct.unpack("16sH14x", flags)[1] & _UP:
        raise proof.NotInside("the loopback is up")


def _no_user_namespaces() -> None:
    """Forbid further user namespaces in this one, for good, and prove that it worked.

    The number belongs to this user namespace; the host's is another.
    """
    try:
        Path("/proc/sys/user/max_user_namespaces").write_text("0", encoding="ascii")
    except OSError as error:
        raise proof.NotInside(f"user namespaces can't be forbidden: {error.strerror}") from error
    pid = os.fork()
    if pid == 0:
        os._exit(1 if _libc.unshare(_NEWUSER) == 0 else 0)
    if os.waitpid(pid, 0)[1] != 0:
        raise proof.NotInside("user namespaces can be made inside")


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
