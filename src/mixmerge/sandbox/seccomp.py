"""Which system calls a sandboxed process may make: a seccomp filter, assembled by hand.

The filter is a list of what is allowed; what is not in it is refused. Refusals are errors that a
program can handle (``EPERM``; ``ENOSYS`` where a libc then takes an older call), never a kill, but
for calls of another machine's kind (32-bit ``int 0x80``), which no honest program here makes.
A filter sees numbers, not what pointers point at: so ``clone3`` and ``openat2``, which hide their
flags behind a pointer, "do not exist", and paths are the matter of namespaces or landlock.
"""

import ctypes
import errno
import os
import platform
import struct
from collections.abc import Iterable
from dataclasses import dataclass, replace
from functools import cache
from typing import ClassVar, Final

from mixmerge.sandbox.syscalls import AUDIT, NEWEST, NUMBERS, Machine

PR_SET_NO_NEW_PRIVS: Final = 38
PR_GET_SECCOMP: Final = 21
_SET_MODE_FILTER, _TSYNC = 1, 1
#: No process has this number.
_PID: Final = 0x7FFFFFFF
_LIBC: Final = ctypes.CDLL(None, use_errno=True)

_ALLOW, _ERRNO, _KILL = 0x7FFF0000, 0x00050000, 0x80000000
_EPERM, _ENOSYS, _ENOTSUP = (_ERRNO | e for e in (errno.EPERM, errno.ENOSYS, errno.EOPNOTSUPP))
#: The call does nothing and says that it worked.
_IGNORE = _ERRNO | 0

#: New namespaces (TIME, NS, CGROUP, UTS, IPC, USER, PID, NET), and a child that would be the
#: runner's and not its own (PARENT).
_CLONE_REFUSED: Final = 0x80 | 0x20000 | 0x7E000000 | 0x8000
#: Not: anonymous and shared. A process can give such memory back to the kernel's accounts without
#: giving it back to the kernel, so that no sum of resident memory sees it.
_MAP_SHARED, _MAP_ANONYMOUS = 0x01, 0x20
_O_ACCMODE, _O_TRUNC = 0x3, 0x200
_S_IFMT: Final = 0xF000
#: What mknod may make: regular files (also by default) and pipes.
_PLAIN: Final = (0, 0x8000, 0x1000)

#: All but what sends signals later (F_SETOWN, F_SETSIG, F_SETOWN_EX) or watches others (F_NOTIFY,
#: F_SETLEASE): F_DUPFD .. F_SETLKW, F_GETOWN, F_GETSIG, F_OFD_*, F_DUPFD_CLOEXEC, pipes, seals.
_FCNTL: Final = (0, 1, 2, 3, 4, 5, 6, 7, 9, 11, 36, 37, 38, 1027, 1030, 1031, 1032, 1033, 1034)
#: TCGETS, TIOCGWINSZ, TIOCGPGRP, FIONREAD, FIONBIO, FIONCLEX, FIOCLEX, TCGETS2. No terminal input
#: (TIOCSTI) and no owner of a descriptor (FIOSETOWN, SIOCSPGRP).
_IOCTL: Final = (0x5401, 0x5413, 0x540F, 0x541B, 0x5421, 0x5450, 0x5451, 0x802C542A)
#: PR_GET_PDEATHSIG, GET_DUMPABLE, GET_KEEPCAPS, SET_NAME, GET_NAME, GET_SECCOMP, CAPBSET_READ,
#: SET_ and GET_TIMERSLACK, GET_NO_NEW_PRIVS, SET_ and GET_THP_DISABLE, SET_VMA (names of memory).
_PRCTL: Final = (2, 3, 7, 15, 16, 21, 23, 29, 30, 39, 41, 42, 0x53564D41)

_TIMES_AND_MODES = ["chmod", "fchmod", "fchmodat", "utime", "utimes", "futimesat", "utimensat"]
_OWNERS = ["chown", "fchown", "lchown", "fchownat"]
_SIGNALS = ["kill", "tgkill", "tkill"]
_TRUSTED = {"sendmsg", "recvmsg", "prctl", "prlimit64", "seccomp", "capset"} | {
    name for name in NUMBERS["x86_64"] if name.startswith(("landlock_", "pidfd_"))
}


class Refused(OSError):
    """The kernel or the machine offers no filter; the message says which and why."""


@dataclass(frozen=True)
class Profile:
    """What the processes behind a filter may do, beside what all may.

    Attributes:
        signals_to: the only process that signals may be sent to; None: the kernel sees to it that
            no other is in reach (a PID namespace, or landlock's scope).
        groups: sessions and process groups may be changed.
        own_files: all files in sight are theirs (a file system of their own): modes, times and
            owners may be changed. Otherwise changes of mode and time are silently not made.
        truncate: files may be truncated by name. Landlock before version 3 does not govern that.
        trusted: our own code, which passes descriptors and locks itself in further.
    """

    signals_to: int | None = None
    groups: bool = False
    own_files: bool = False
    truncate: bool = True
    trusted: bool = False


#: Foreign code in namespaces of its own.
BOXED: Final = Profile(groups=True, own_files=True)
#: The runner where there are no namespaces.
RUNNER: Final = Profile(groups=True, own_files=True, trusted=True)

_Code = list[tuple[int, int, int, int]]


def _load(offset: int) -> _Code:
    return [(0x20, 0, 0, offset)]  # BPF_LD | BPF_W | BPF_ABS


def _argument(number: int, mask: int = 0xFFFFFFFF) -> _Code:
    # The low half: the kernel reads these arguments as 32 bits, both machines little-endian.
    return [*_load(16 + 8 * number), (0x54, 0, 0, mask)]


def _return(action: int) -> _Code:
    return [(0x06, 0, 0, action)]


def _unless(code: int, value: int, action: int) -> _Code:
    """Return the action unless ``A code value`` holds (0x15 equal, 0x35 not below, 0x45 bits)."""
    return [(code, 1, 0, value), *_return(action)]


def _when(code: int, value: int, action: int) -> _Code:
    return [(code, 0, 1, value), *_return(action)]


def _only(
    number: int, values: Iterable[int], otherwise: int = _EPERM, mask: int = 0xFFFFFFFF
) -> _Code:
    allowed = [part for value in values for part in _when(0x15, value, _ALLOW)]
    return _argument(number, mask) + allowed + _return(otherwise)


def _rules(profile: Profile) -> dict[str, _Code]:
    """Return what is to be done about each call that is not simply allowed or refused."""
    rules: dict[str, _Code] = {
        "clone": _argument(0) + _when(0x45, _CLONE_REFUSED, _EPERM) + _return(_ALLOW),
        "clone3": _return(_ENOSYS),
        "openat2": _return(_ENOSYS),
        "mmap": _argument(3, _MAP_SHARED | _MAP_ANONYMOUS)
        + _when(0x15, _MAP_SHARED | _MAP_ANONYMOUS, _EPERM)
        + _return(_ALLOW),
        "fcntl": _only(1, _FCNTL),
        "ioctl": _only(1, _IOCTL, _ENOTSUP),
        # A pair of streams reaches nobody but who has it; asyncio's loop cannot start without.
        # (One of datagrams could be pointed at another socket.)
        "socketpair": _argument(0) + _unless(0x15, 1, _EPERM) + _only(1, [1], mask=0xF),
        # Of oneself only: another's limit on CPU time would be its death.
        "prlimit64": _only(0, [0]),
        "sched_setaffinity": _only(0, [0]),
        "prctl": _only(0, _PRCTL),
        "mknod": _only(1, _PLAIN, mask=_S_IFMT),
        "mknodat": _only(2, _PLAIN, mask=_S_IFMT),
    }
    # shutil takes this error, and only this, for a file system without such attributes.
    rules |= {name: _return(_ENOTSUP) for name in NUMBERS["x86_64"] if "xattr" in name}
    refused = {*_TRUSTED, "setsid", "setpgid"}
    if profile.trusted:
        refused -= _TRUSTED
        rules = {name: code for name, code in rules.items() if name not in _TRUSTED}
    if profile.groups:
        refused -= {"setsid", "setpgid"}
    if not profile.own_files:
        rules |= {name: _return(_IGNORE) for name in _TIMES_AND_MODES}
        refused |= set(_OWNERS)
    if not profile.truncate:
        # Opening to read is enough to truncate, and landlock 1 and 2 see only the reading.
        for name, flags in (("open", 1), ("openat", 2)):
            sly = _argument(flags, _O_ACCMODE | _O_TRUNC) + _when(0x15, _O_TRUNC, _EPERM)
            rules[name] = sly + _return(_ALLOW)
        refused.add("truncate")
    if profile.signals_to is not None:
        rules |= {name: _only(0, [profile.signals_to]) for name in _SIGNALS}
    return {name: _return(_EPERM) for name in refused} | rules


def _search(parts: list[tuple[int, _Code]]) -> _Code:
    """Find the part that a number is in: its code stands from its first number to the next part's.

    By halves: a list would be gone through at each call, and for each number at installation.
    """
    if len(parts) == 1:
        return parts[0][1]
    half = len(parts) // 2
    below, above = _search(parts[:half]), _search(parts[half:])
    return [(0x35, 0, 1, parts[half][0]), (0x05, 0, 0, len(below)), *below, *above]


def assemble(profile: Profile, machine: Machine) -> bytes:
    """Return the filter's program, in the kernel's ``struct sock_filter`` (8 bytes a step).

    Args:
        profile: what is allowed.
        machine: whose numbers.
    """
    if profile.signals_to is None:
        return _assembled(profile, machine)
    # Every check has a process of its own, and no time for more than to put its number in.
    anyone, this = (struct.pack("=HBBI", 0x15, 0, 1, pid) for pid in (_PID, profile.signals_to))
    return _assembled(replace(profile, signals_to=_PID), machine).replace(anyone, this)


@cache
def _assembled(profile: Profile, machine: Machine) -> bytes:
    numbers = NUMBERS[machine]
    does = dict.fromkeys(numbers.values(), _return(_ALLOW))
    does |= {numbers[name]: code for name, code in _rules(profile).items() if name in numbers}
    parts: list[tuple[int, _Code]] = []
    for number in range(NEWEST + 1):
        code = does.get(number, _return(_EPERM))
        if not parts or parts[-1][1] != code:
            parts.append((number, code))
    # What is newer, and x86's x32 calls (from 0x40000000 on), "do not exist".
    parts.append((NEWEST + 1, _return(_ENOSYS)))
    code = _load(4) + _unless(0x15, AUDIT[machine], _KILL) + _load(0) + _search(parts)
    return b"".join(struct.pack("=HBBI", *step) for step in code)


def machine() -> Machine:
    """Return the machine whose numbers this process uses.

    Raises:
        Refused: it is none that the filter knows.
    """
    name = platform.machine()
    if name not in NUMBERS or struct.calcsize("P") != 8:
        bits = 8 * struct.calcsize("P")
        raise Refused(
            f"no system call filter for {name} ({bits} bits): known are 64-bit {list(NUMBERS)}"
        )
    return name


class _Program(ctypes.Structure):
    _fields_: ClassVar = [("len", ctypes.c_ushort), ("filter", ctypes.c_char_p)]


def install(profile: Profile) -> None:
    """Put the filter on all threads of this process and its children to come, for good.

    Sets no_new_privs first, without which the kernel lets only root do so.

    Raises:
        Refused: the machine is unknown, or the kernel said no.
    """
    program = assemble(profile, machine())
    if _LIBC.prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0):
        raise Refused(f"prctl(PR_SET_NO_NEW_PRIVS): {os.strerror(ctypes.get_errno())}")
    call = NUMBERS[machine()]["seccomp"]
    argument = ctypes.byref(_Program(len(program) // 8, program))
    words = [ctypes.c_ulong(word) for word in (call, _SET_MODE_FILTER, _TSYNC)]
    # A filter is stacked on those before it; a call must pass them all.
    result = _LIBC.syscall(*words, argument)
    if result > 0:
        raise Refused(f"seccomp: thread {result} cannot take the filter")
    if result:
        raise Refused(f"seccomp: {os.strerror(ctypes.get_errno())}")
    if _LIBC.prctl(PR_GET_SECCOMP, 0, 0, 0, 0) != 2:
        raise Refused("seccomp: the filter was taken but is not on")
