"""The runner's proof that it is inside its box; without it no program is ever run.

Each function here that proves something raises `NotInside` where it does not hold. Paid for: a
prototype that emptied ``/tmp`` between programs was once started outside of its sandbox, as root.
"""

import ctypes
import errno
import fcntl
import os
import socket
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Final

from judgebox import seccomp

#: How a runner exits that found itself outside.
EXIT: Final = 97
NAMESPACES: Final = ("user", "pid", "net", "mnt", "ipc", "uts")

_NEWUSER, _GET_NO_NEW_PRIVS = 0x10000000, 39
_GET_FLAGS, _SET_FLAGS, _UP = 0x8913, 0x8914, 1
_libc = ctypes.CDLL(None, use_errno=True)


class NotInside(Exception):
    """This process is not in the box that it should be in; the message says what is wrong."""


def hello(canary: Path) -> dict[str, object]:
    """What the outside says of itself, in the first message to a runner.

    Args:
        canary: an existing file that must not be seen inside.
    """
    return {"outer": namespaces(), "canary": str(canary)}


def namespaces() -> dict[str, int]:
    """The kernel's numbers of the namespaces that this process is in."""
    return {name: os.stat(f"/proc/self/ns/{name}").st_ino for name in NAMESPACES}  # noqa: PTH116


def own_namespaces(hello: dict[str, object]) -> None:
    """Prove that no namespace is shared with the outside."""
    outer, inner = hello.get("outer"), namespaces()
    if not isinstance(outer, dict) or set(outer) != set(NAMESPACES):
        raise NotInside("the launcher did not name its own namespaces")
    shared = [name for name in NAMESPACES if outer[name] == inner[name]]
    if shared:
        raise NotInside(f"namespaces shared with the outside: {', '.join(shared)}")


def canary_unseen(hello: dict[str, object]) -> str:
    """Prove that the launcher's canary, a file that exists outside, can't be opened; its path."""
    canary = hello.get("canary")
    if not isinstance(canary, str) or not canary.startswith("/"):
        raise NotInside("the launcher named no canary")
    try:
        os.close(os.open(canary, os.O_RDONLY))
    except OSError:
        return canary
    raise NotInside(f"a file of the outside can be read: {canary}")


def read_only_root() -> None:
    """Prove that the root directory can't be written to."""
    if not os.statvfs("/").f_flag & os.ST_RDONLY or os.access("/", os.W_OK):
        raise NotInside("the root directory is writable")


def no_network() -> None:
    """Prove that there is no network but a loopback, which bubblewrap brings up: take it down."""
    names = [name for _, name in socket.if_nameindex()]
    if names not in ([], ["lo"]):
        raise NotInside(f"network interfaces are seen: {', '.join(names)}")
    if not names:
        return
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as inet:
        try:
            fcntl.ioctl(inet, _SET_FLAGS, struct.pack("16sH14x", b"lo", 0))
        except OSError as error:
            raise NotInside(f"the loopback can't be taken down: {error.strerror}") from error
        flags = fcntl.ioctl(inet, _GET_FLAGS, struct.pack("16s16x", b"lo"))
    if struct.unpack("16sH14x", flags)[1] & _UP:
        raise NotInside("the loopback is up")


def no_user_namespaces() -> None:
    """Forbid further user namespaces in this one, for good, and prove that it worked.

    The number belongs to this user namespace; the host's is another.
    """
    try:
        Path("/proc/sys/user/max_user_namespaces").write_text("0", encoding="ascii")
    except OSError as error:
        raise NotInside(f"user namespaces can't be forbidden: {error.strerror}") from error
    pid = os.fork()
    if pid == 0:
        os._exit(1 if _libc.unshare(_NEWUSER) == 0 else 0)
    if os.waitpid(pid, 0)[1] != 0:
        raise NotInside("user namespaces can be made inside")


def no_capabilities(bounding_set: bool) -> None:
    """Prove that this process holds no capability.

    Args:
        bounding_set: whether that set must be empty, too. Only root can empty it, and no_new_privs
            makes it meaningless.
    """
    for line in Path("/proc/self/status").read_text("ascii").splitlines():
        counts = line.startswith("Cap") and (bounding_set or not line.startswith("CapBnd"))
        if counts and int(line.split()[1], 16):
            raise NotInside(f"it keeps capabilities ({line.strip()})")


def filtered() -> None:
    """Prove that system calls are filtered and rights can't be gained."""
    mode = _libc.prctl(seccomp.PR_GET_SECCOMP, 0, 0, 0, 0)
    if mode != 2 or _libc.prctl(_GET_NO_NEW_PRIVS, 0, 0, 0, 0) != 1:
        raise NotInside("it has no system call filter, or may gain rights")
    refused("a socket of AF_UNIX", errno.EPERM, socket.socket, socket.AF_UNIX)


def refused(what: str, error: int, call: Callable[..., object], *arguments: object) -> None:
    """Prove that a call fails, and for this reason and no other."""
    try:
        call(*arguments)
    except OSError as found:
        if found.errno == error:
            return
        raise NotInside(f"{what} fails for another reason: {found}") from found
    raise NotInside(f"{what} works")
