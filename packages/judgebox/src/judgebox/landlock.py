"""Which files a process may reach: Linux's landlock, by its three system calls.

A process gives up rights for itself and its children, for good; it needs no rights for that. Each
call of `lock` adds a layer, and an access must pass all of them. What landlock does not govern, in
any version: looking at a file's size and times (stat), modes, times, owners and locks of files.
Version by version it governs: 1 opening, making and removing files and running programs; 2 moving
files between folders (before: never allowed); 3 truncating; 4 TCP; 5 ioctl on devices; 6 signals
and abstract unix sockets, to others than processes behind the same lock; 7 its log.
"""

import contextlib
import ctypes
import errno
import os
import stat
import struct
from collections.abc import Iterable
from typing import Final

from judgebox.seccomp import PR_SET_NO_NEW_PRIVS, Refused

#: The newest version that this module makes use of.
NEWEST = 7
#: The first version in which a locked process cannot send signals past its lock.
SCOPED: Final = 6
#: The first version that governs truncating.
TRUNCATES: Final = 3

_EXECUTE, _WRITE_FILE, _READ_FILE, _READ_DIR = 1 << 0, 1 << 1, 1 << 2, 1 << 3
_MAKE_CHAR, _MAKE_SOCK, _MAKE_BLOCK = 1 << 6, 1 << 9, 1 << 11
_REFER, _TRUNCATE, _IOCTL_DEV = 1 << 13, 1 << 14, 1 << 15
_OF_FILES: Final = _EXECUTE | _WRITE_FILE | _READ_FILE | _TRUNCATE | _IOCTL_DEV

#: Read a file or all below a folder, and run programs there.
READ: Final = _EXECUTE | _READ_FILE | _READ_DIR
#: List a folder and those below it, without reading their files.
LIST: Final = _READ_DIR
#: Read and write a device such as /dev/null.
DEVICE: Final = _READ_FILE | _WRITE_FILE | _TRUNCATE
#: Everything below a folder but running programs, devices and sockets.
WRITE: Final = 0xFFFF & ~(_EXECUTE | _MAKE_CHAR | _MAKE_SOCK | _MAKE_BLOCK | _IOCTL_DEV)

_CREATE, _ADD, _RESTRICT = 444, 445, 446  # the same numbers on all machines
_VERSION, _PATH_BENEATH = 1, 1
#: A program that is refused something a million times must not fill the machine's audit log.
_NO_LOG: Final = 1
_LOGS: Final = 7
_BIND_TCP, _CONNECT_TCP = 1 << 0, 1 << 1
_ABSTRACT_SOCKETS, _SIGNALS = 1 << 0, 1 << 1

_LIBC: Final = ctypes.CDLL(None, use_errno=True)
_WHY: Final = {
    errno.ENOSYS: "this kernel has no landlock (it came with Linux 5.13)",
    errno.EPERM: "something around this process (a container's own filter) refuses it",
    errno.EOPNOTSUPP: "landlock is in this kernel, but not on: it is not in the boot option lsm=",
}


def version() -> int:
    """Return the kernel's landlock version (its "ABI"), 1 or more.

    Raises:
        Refused: there is none, and why.
    """
    found = _call(_CREATE, None, 0, _VERSION)
    if found < 1:
        number = ctypes.get_errno()
        raise Refused(f"landlock: {_WHY.get(number, os.strerror(number))}")
    return found


def handled(version: int) -> tuple[int, int, int]:
    """Return what a version can forbid: rights on files, on TCP, and scopes.

    Args:
        version: of landlock.
    """
    files = (1 << 13) - 1
    files |= (_REFER if version >= 2 else 0) | (_TRUNCATE if version >= TRUNCATES else 0)
    files |= _IOCTL_DEV if version >= 5 else 0
    tcp = _BIND_TCP | _CONNECT_TCP if version >= 4 else 0
    return files, tcp, _ABSTRACT_SOCKETS | _SIGNALS if version >= SCOPED else 0


def lock(rules: Iterable[tuple[str, int]], version: int) -> None:
    """Give up, in this process and its children to come, all that no rule allows.

    Sets no_new_privs, as landlock demands. For a process with one thread: others stay unlocked.

    Args:
        rules: paths (those that do not exist are left out) and what is allowed on them and below.
        version: up to which landlock is used; not above the kernel's.

    Raises:
        Refused: the kernel said no.
    """
    files, tcp, scopes = handled(version)
    words = (files, tcp, scopes)[: 1 if version < 4 else 2 if version < SCOPED else 3]
    attributes = struct.pack(f"={len(words)}Q", *words)
    ruleset = _must(_CREATE, attributes, len(attributes), 0)
    try:
        for path, rights in rules:
            _allow(ruleset, path, rights & files)
        if _LIBC.prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0):
            raise Refused(f"prctl(PR_SET_NO_NEW_PRIVS): {os.strerror(ctypes.get_errno())}")
        _must(_RESTRICT, ruleset, _NO_LOG if version >= _LOGS else 0)
    finally:
        os.close(ruleset)


def _allow(ruleset: int, path: str, rights: int) -> None:
    with contextlib.suppress(FileNotFoundError):
        place = os.open(path, os.O_PATH | os.O_CLOEXEC)
        try:
            if not stat.S_ISDIR(os.fstat(place).st_mode):
                rights &= _OF_FILES
            if rights:
                _must(_ADD, ruleset, _PATH_BENEATH, struct.pack("=Qi", rights, place), 0)
        finally:
            os.close(place)


def _must(call: int, *arguments: int | bytes | None) -> int:
    result = _call(call, *arguments)
    if result < 0:
        raise Refused(f"landlock (system call {call}): {os.strerror(ctypes.get_errno())}")
    return result


def _call(call: int, *arguments: int | bytes | None) -> int:
    words = [a if a is None or isinstance(a, bytes) else ctypes.c_ulong(a) for a in arguments]
    result: int = _LIBC.syscall(ctypes.c_long(call), *words)
    return result
