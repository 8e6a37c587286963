"""Bubblewrap: a backend of namespaces, for whoever may make user namespaces; no root, no daemon.

The outer half, `command`, starts a runner in a box. The runner's `Cell` holds a few capabilities
in the box's user namespace, none outside of it. With them it gives each check a PID, a mount and an
IPC namespace, an empty file system in memory on /tmp and /dev/shm, and a /proc that shows nothing
but the check's own processes. The check itself holds none. When the first process of a PID
namespace ends, the kernel kills all others in it: that is how a check is ended as a whole, whatever
it did to hide.
"""

import contextlib
import ctypes
import fcntl
import os
import re
import resource
import signal
import socket
import struct
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from judgebox import check, seccomp
from judgebox.seccomp import LIBC, Refused

if TYPE_CHECKING:  # of the outside; this module is seen in the box, too
    from judgebox.runtime import Runtime

#: Kept in the box's own user namespace by the runner, not by checks: for a check's namespaces and
#: mounts (SYS_ADMIN), and to prove and lock the box.
_CAPABILITIES = ("CAP_SYS_ADMIN", "CAP_SETPCAP", "CAP_SYS_RESOURCE", "CAP_NET_ADMIN")
#: Not /dev/zero: mapped as shared, it is memory in no account (see `judgebox.seccomp`), and no file
#: system keeps a device from being opened to be written to.
_DEVICES = ("null", "full", "random", "urandom")
NAMESPACES: Final = ("user", "pid", "net", "mnt", "ipc", "uts")

_NEWNS, _NEWIPC, _NEWPID = 0x20000, 0x8000000, 0x20000000
_NEWUSER = 0x10000000
_SET_FLAGS, _GET_FLAGS, _UP = 0x8914, 0x8913, 1
_NOSUID_NODEV, _NOEXEC, _READ_ONLY, _BIND = 2 | 4, 8, 1, 4096
#: Tasks of a box, where the kernel counts them a PID namespace: what holds between two polls.
_TASKS = 1024
_KERNEL = tuple(int(number) for number in re.findall(r"\d+", os.uname().release)[:2])


def command(program: Path, runtime: "Runtime", control: int) -> list[str]:
    """The command line that starts a runner in a box which sees what `runtime` lists.

    `program` is a ``bwrap``, `control` the descriptor of the runner's end of its control socket.
    """
    arguments = [
        *(str(program), "--unshare-all", "--unshare-user", "--die-with-parent", "--new-session"),
        *("--hostname", "box", "--uid", "65534", "--gid", "65534", "--cap-drop", "ALL"),
    ]
    for name in _CAPABILITIES:
        arguments += ["--cap-add", name]
    for path in runtime.readable:
        arguments += ["--ro-bind", str(path), str(path)]
    for path, target in runtime.links.items():
        arguments += ["--symlink", target, str(path)]
    for path in runtime.hidden:
        arguments += ["--tmpfs", str(path), "--remount-ro", str(path)]
    for name, path in sorted(runtime.site.items()):
        arguments += ["--ro-bind", str(path), f"{runtime.site_at}/{name}"]
    # Neither --dev (its devpts needs a second user namespace, whose owner could not give a
    # check a /proc of its own) nor --disable-userns, for the same reason: the runner closes
    # that door itself (`Cell.prove`).
    arguments += ["--proc", "/proc", "--tmpfs", "/dev", "--dir", "/dev/shm"]
    for name in _DEVICES:
        arguments += ["--dev-bind", f"/dev/{name}", f"/dev/{name}"]
    arguments += ["--symlink", "/proc/self/fd", "/dev/fd", "--remount-ro", "/dev"]
    arguments += ["--dir", "/tmp", "--remount-ro", "/", "--chdir", "/", "--"]
    return arguments + runtime.command(__name__, control)


def namespaces() -> dict[str, int]:
    """The kernel's numbers of the namespaces that this process is in."""
    return {name: os.stat(f"/proc/self/ns/{name}").st_ino for name in NAMESPACES}  # noqa: PTH116


class Cell:
    """The inner half: a check's first process is that of a PID namespace, which ends with it.

    (To itself it can't send a signal that it does not handle: such a process is immune to them.)
    """

    def __init__(self) -> None:
        seccomp.assemble(seccomp.BOXED, seccomp.machine())  # once; every check installs the same
        self._pid_namespace = os.open("/proc/self/ns/pid", os.O_RDONLY | os.O_CLOEXEC)

    def prove(self, hello: dict[str, Any]) -> None:
        """Prove that this is a box, close its last doors, and try a check."""
        outer, inner = hello.get("outer"), namespaces()
        if not isinstance(outer, dict) or set(outer) != set(NAMESPACES):
            raise Refused("the launcher did not name its own namespaces")
        shared = [name for name in NAMESPACES if outer[name] == inner[name]]
        if shared:
            raise Refused(f"namespaces shared with the outside: {', '.join(shared)}")
        seccomp.prove_canary_unseen(hello)
        if not os.statvfs("/").f_flag & os.ST_RDONLY or os.access("/", os.W_OK):
            raise Refused("the root directory is writable")
        names = [name for _, name in socket.if_nameindex()]
        if names not in ([], ["lo"]):
            raise Refused(f"network interfaces are seen: {', '.join(names)}")
        for name in names:  # a loopback, which bubblewrap brings up: take it down
            with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as inet:
                fcntl.ioctl(inet, _SET_FLAGS, struct.pack("16sH14x", name.encode(), 0))
                flags = fcntl.ioctl(inet, _GET_FLAGS, struct.pack("16s16x", name.encode()))
            if struct.unpack("16sH14x", flags)[1] & _UP:
                raise Refused("the loopback is up")
        if _KERNEL >= (6, 14):
            # Tasks of the box; before, the number was the whole machine's, which root's box could
            # write. A second line of defence behind RLIMIT_NPROC and polling.
            with contextlib.suppress(OSError):
                Path("/proc/sys/kernel/pid_max").write_text(str(_TASKS), encoding="ascii")
        # The number belongs to this user namespace; the host's is another.
        Path("/proc/sys/user/max_user_namespaces").write_text("0", encoding="ascii")
        pid = os.fork()
        if pid == 0:
            os._exit(LIBC.unshare(_NEWUSER) == 0)
        if os.waitpid(pid, 0)[1]:
            raise Refused("user namespaces can be made inside")
        self._try_a_check()

    def fork(self) -> int:
        """Fork the first process of a new PID namespace."""
        _called(LIBC.unshare(_NEWPID), "unshare of the PID namespace")
        try:
            return os.fork()
        finally:
            LIBC.setns(self._pid_namespace, _NEWPID)  # in the child, it fails and does nothing

    def confine(self, limits: check.Limits) -> None:
        """Mount what the check sees of its own, then let go of capabilities and system calls."""
        _called(LIBC.unshare(_NEWNS | _NEWIPC), "unshare of mounts and queues")
        # A signal to one's own process group reaches beyond the PID namespace.
        os.setsid()
        inodes = max(1024, limits.file_bytes // 4096)
        options = f"size={limits.file_bytes},nr_inodes={inodes},mode=0777"
        _mount("tmpfs", "/tmp", _NOSUID_NODEV, options)
        _mount("/tmp", "/dev/shm", _BIND)
        # Read-only: where bubblewrap was started by root, /proc/sys/kernel/core_pattern and others
        # would be writable by their owner, capabilities or not.
        flags = _NOSUID_NODEV | _NOEXEC | _READ_ONLY
        _mount("proc", "/proc", flags, "subset=pid" if _KERNEL >= (5, 8) else "")
        os.chdir("/tmp")
        seccomp.drop_capabilities()
        # Counted in the box's own user namespace (since Linux 5.14); root is exempt, hence the
        # polling and the bound of tasks.
        if _KERNEL >= (5, 14):
            most = 2 * check.THREADS * limits.processes
            resource.setrlimit(resource.RLIMIT_NPROC, (most, most))
        seccomp.install(seccomp.BOXED)

    def kill(self, init: int) -> None:
        """Kill the first process of the namespace, and so all."""
        os.kill(init, signal.SIGKILL)

    def excess(self, init: int, limits: check.Limits) -> None:
        """Nothing: the kernel bounds its files."""

    def _try_a_check(self) -> None:
        """Run through what a check goes through, which must see and may do nothing else."""
        ours, theirs = os.pipe()
        pid = self.fork()
        if pid == 0:
            fault = "ended early"
            try:
                self.confine(check.Limits(1, 1, 2**30))
                if os.getpid() != 1 or [n for n in os.listdir("/proc") if n.isdigit()] != ["1"]:  # noqa: PTH208
                    raise Refused("it sees other processes")
                if not os.statvfs("/proc").f_flag & os.ST_RDONLY:
                    raise Refused("its /proc is writable")
                if os.listdir("/tmp") or os.listdir("/dev/shm"):  # noqa: PTH208
                    raise Refused("its /tmp is not empty")
                seccomp.prove_confined(bounding_set=True)
                fault = "none"
            except OSError as error:
                fault = str(error)
            finally:
                os.write(theirs, fault.encode())
                os._exit(0)
        os.waitpid(pid, 0)
        os.close(theirs)
        fault = os.read(ours, 4096).decode()
        os.close(ours)
        if fault != "none":
            raise Refused(f"a check can't be isolated: {fault or 'it died without a word'}")


def _mount(source: str, target: str, flags: int, options: str = "") -> None:
    names = (source.encode(), target.encode(), source.encode())
    result = LIBC.mount(*names, ctypes.c_ulong(flags), options.encode())
    _called(result, f"mount of {source} at {target}")


def _called(result: int, what: str) -> None:
    if result:
        error = ctypes.get_errno()
        raise OSError(error, f"{what}: {os.strerror(error)}")
