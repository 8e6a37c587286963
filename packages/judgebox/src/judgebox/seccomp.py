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
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import ClassVar, Final

#: Instructions of classic BPF: operation, steps to skip if true and if not, operand.
Code = list[tuple[int, int, int, int]]

_LINES = Path(__file__).with_name("syscalls.tsv").read_text("ascii").splitlines()
_ROWS = [line.split("\t") for line in _LINES if not line.startswith("#")]
#: Machine -> names of system calls -> numbers; see the file.
NUMBERS: Final = {
    machine: {row[0]: int(row[column]) for row in _ROWS if row[column] != "-"}
    for column, machine in ((1, "x86_64"), (2, "aarch64"))
}
_KINDS: Final = {row[0]: row[3] for row in _ROWS if len(row) == 4}
#: Calls up to this number existed when the list was made; what is newer "does not exist".
NEWEST: Final = 450
#: ``AUDIT_ARCH_*`` of linux/audit.h: what a filter sees as the machine of a call.
AUDIT: Final = {"x86_64": 0xC000003E, "aarch64": 0xC00000B7}

#: The C library.
LIBC: Final = ctypes.CDLL(None, use_errno=True)
_SET_NO_NEW_PRIVS, _GET_SECCOMP = 38, 21
_SET_MODE_FILTER, _TSYNC = 1, 1

# What a filter answers: SECCOMP_RET_ALLOW, KILL_PROCESS, ERRNO with the error's number.
_ALLOW, _KILL, _ERRNO = 0x7FFF0000, 0x80000000, 0x00050000
_EPERM, _ENOSYS, _ENOTSUP, _ENOMEM = (
    _ERRNO | e for e in (errno.EPERM, errno.ENOSYS, errno.EOPNOTSUPP, errno.ENOMEM)
)
#: The call does nothing and says that it worked.
_IGNORE = _ERRNO | 0
# Comparisons: equal, not below, any of these bits.
_EQUAL, _NOT_BELOW, _ANY_BIT = 0x15, 0x35, 0x45
# Where the call's number, the machine and the first argument stand in what a filter sees.
_NUMBER, _MACHINE, _ARGUMENTS = 0, 4, 16

#: New namespaces (TIME, NS, CGROUP, UTS, IPC, USER, PID, NET), and a child that would be the
#: runner's and not its own (PARENT).
_CLONE_REFUSED: Final = 0x80 | 0x20000 | 0x7E000000 | 0x8000
#: Not: anonymous and shared. A process can give such memory back to the kernel's accounts without
#: giving it back to the kernel, so that no sum of resident memory sees it.
_SHARED_ANONYMOUS = 0x01 | 0x20
#: From a pool of the machine's that resident memory leaves out.
_MAP_HUGETLB = 0x40000
_O_ACCMODE, _O_TRUNC = 0x3, 0x200
#: What mknod may make: regular files (also by default) and pipes.
_S_IFMT, _PLAIN = 0xF000, (0, 0x8000, 0x1000)
#: All but what sends signals later (F_SETOWN, F_SETSIG, F_SETOWN_EX) or watches others (F_NOTIFY,
#: F_SETLEASE): F_DUPFD .. F_GETLK, F_GETOWN, F_GETSIG, F_OFD_GETLK, F_DUPFD_CLOEXEC, pipes, seals.
_FCNTL: Final = (0, 1, 2, 3, 4, 5, 9, 11, 36, 1027, 1030, 1031, 1032, 1033, 1034)
#: F_SETLK, F_SETLKW, F_OFD_SETLK, F_OFD_SETLKW: said to be done, and not. A file may have any
#: number of locks, in memory that is in no account; and where they fail, sqlite works on no file.
_LOCKS: Final = (6, 7, 37, 38)
_RLIMIT_CORE: Final = 4
#: TCGETS, TIOCGWINSZ, TIOCGPGRP, FIONREAD, FIONBIO, FIONCLEX, FIOCLEX, TCGETS2. No terminal input
#: (TIOCSTI) and no owner of a descriptor (FIOSETOWN, SIOCSPGRP).
_IOCTL: Final = (0x5401, 0x5413, 0x540F, 0x541B, 0x5421, 0x5450, 0x5451, 0x802C542A)
#: PR_GET_PDEATHSIG, GET_DUMPABLE, GET_KEEPCAPS, SET_NAME, GET_NAME, GET_SECCOMP, CAPBSET_READ,
#: SET_ and GET_TIMERSLACK, GET_NO_NEW_PRIVS, SET_ and GET_THP_DISABLE, SET_VMA (names of memory).
_PRCTL: Final = (2, 3, 7, 15, 16, 21, 23, 29, 30, 39, 41, 42, 0x53564D41)


class Refused(OSError):
    """The kernel or the machine does not offer a mechanism; the message says which and why."""


@dataclass(frozen=True)
class Profile:
    """What the processes behind a filter may do, beside what all may.

    Attributes:
        signals_to: the only process that signals may be sent to; None: the kernel sees to it that
            no other is in reach (a PID namespace, or landlock's scope).
        own_files: all files in sight are theirs (a file system of their own), and all processes
            end with the first: modes, times, owners, sessions and process groups may be changed.
            Otherwise changes of mode and time are silently not made.
        truncate: files may be truncated by name. Landlock before version 3 does not govern that.
        trusted: our own code, which passes descriptors and locks itself in further.
    """

    signals_to: int | None = None
    own_files: bool = False
    truncate: bool = True
    trusted: bool = False


#: Foreign code in namespaces of its own.
BOXED: Final = Profile(own_files=True)
#: The runner where there are no namespaces.
RUNNER: Final = Profile(own_files=True, trusted=True)


def _load(offset: int) -> Code:
    return [(0x20, 0, 0, offset)]  # BPF_LD | BPF_W | BPF_ABS


def _argument(number: int, mask: int = 0xFFFFFFFF, high: bool = False) -> Code:
    """Load half an argument, the low one: the kernel reads most arguments as 32 bits."""
    return [*_load(_ARGUMENTS + 8 * number + 4 * high), (0x54, 0, 0, mask)]


def _give(action: int) -> Code:
    return [(0x06, 0, 0, action)]


def _unless(comparison: int, value: int, action: int) -> Code:
    """Return the action unless what is loaded compares so with the value."""
    return [(comparison, 1, 0, value), *_give(action)]


def _when(comparison: int, value: int, action: int) -> Code:
    """Return the action where what is loaded compares so with the value."""
    return [(comparison, 0, 1, value), *_give(action)]


def _only(number: int, values: Iterable[int], otherwise: int, mask: int = 0xFFFFFFFF) -> Code:
    """Allow the call where an argument has one of these values."""
    allowed = [step for value in values for step in _when(_EQUAL, value, _ALLOW)]
    return _argument(number, mask) + allowed + _give(otherwise)


def _rules(profile: Profile) -> dict[str, Code]:
    """Return what is to be done about each call that is not simply allowed or refused."""
    own = profile.own_files
    kinds = {
        # shutil takes this error, and only this, for a file system without such attributes.
        "attribute": _ENOTSUP,
        "group": _ALLOW if own else _EPERM,
        "mode": _ALLOW if own else _IGNORE,
        "owner": _ALLOW if own else _EPERM,
        # It fills a disk in no time, and libc writes instead.
        "space": _ALLOW if own else _ENOTSUP,
        "signal": _ALLOW,
        "trusted": _ALLOW if profile.trusted else _EPERM,
    }
    rules = {name: _give(kinds[kind]) for name, kind in _KINDS.items()} | {
        "clone": _argument(0) + _when(_ANY_BIT, _CLONE_REFUSED, _EPERM) + _give(_ALLOW),
        "clone3": _give(_ENOSYS),
        "openat2": _give(_ENOSYS),
        "mmap": _argument(3)
        + _when(_ANY_BIT, _MAP_HUGETLB, _ENOMEM)
        + _argument(3, _SHARED_ANONYMOUS)
        + _when(_EQUAL, _SHARED_ANONYMOUS, _EPERM)
        + _give(_ALLOW),
        "fcntl": _argument(1)
        + [step for lock in _LOCKS for step in _when(_EQUAL, lock, _IGNORE)]
        + _only(1, _FCNTL, _EPERM),
        "ioctl": _only(1, _IOCTL, _ENOTSUP),
        # A pair of streams reaches nobody but who has it; asyncio's loop cannot start without.
        # (One of datagrams could be pointed at another socket.)
        "socketpair": _argument(0) + _unless(_EQUAL, 1, _EPERM) + _only(1, [1], _EPERM, 0xF),
        "sched_setaffinity": _only(0, [0], _EPERM),
        "mknod": _only(1, _PLAIN, _EPERM, _S_IFMT),
        "mknodat": _only(2, _PLAIN, _EPERM, _S_IFMT),
    }
    if not profile.trusted:
        # Of oneself only: another's limit on CPU time would be its death. And at any other limit
        # than `runner`'s, a program that core dumps are piped to would see each crash.
        rules |= {
            "prlimit64": _argument(0)
            + _unless(_EQUAL, 0, _EPERM)
            + _argument(1)
            + _unless(_EQUAL, _RLIMIT_CORE, _ALLOW)
            # Nothing is set where the pointer to new limits, of which a filter sees halves, is 0.
            + [*_argument(2), *_unless(_EQUAL, 0, _IGNORE)]
            + [*_argument(2, high=True), *_unless(_EQUAL, 0, _IGNORE), *_give(_ALLOW)],
            "setrlimit": _argument(0) + _when(_EQUAL, _RLIMIT_CORE, _IGNORE) + _give(_ALLOW),
            "prctl": _only(0, _PRCTL, _EPERM),
        }
    if not profile.truncate:
        # Opening to read is enough to truncate, and landlock 1 and 2 see only the reading.
        for name, flags in (("open", 1), ("openat", 2)):
            sly = _argument(flags, _O_ACCMODE | _O_TRUNC) + _when(_EQUAL, _O_TRUNC, _EPERM)
            rules[name] = sly + _give(_ALLOW)
        rules["truncate"] = _give(_EPERM)
    if profile.signals_to is not None:
        to_one = _only(0, [profile.signals_to], _EPERM)
        rules |= {name: to_one for name, kind in _KINDS.items() if kind == "signal"}
    return rules


@cache
def assemble(profile: Profile, machine: str) -> bytes:
    """Return the filter's program, in the kernel's ``struct sock_filter`` (8 bytes a step).

    Args:
        profile: what is allowed.
        machine: whose numbers.
    """
    numbers = NUMBERS[machine]
    does = dict.fromkeys(numbers.values(), _give(_ALLOW))
    does |= {numbers[name]: code for name, code in _rules(profile).items() if name in numbers}
    parts: list[tuple[int, Code]] = []
    for number in range(NEWEST + 1):
        code = does.get(number, _give(_EPERM))
        if not parts or parts[-1][1] != code:
            parts.append((number, code))
    # What is newer, and x86's x32 calls (from 0x40000000 on), "do not exist".
    parts.append((NEWEST + 1, _give(_ENOSYS)))
    right = _load(_MACHINE) + _unless(_EQUAL, AUDIT[machine], _KILL)
    return b"".join(struct.pack("=HBBI", *step) for step in right + _load(_NUMBER) + _search(parts))


def _search(parts: list[tuple[int, Code]]) -> Code:
    """Find the part that a number is in: its code stands from its first number to the next part's.

    By halves: a list would be gone through at each call, and for each number at installation.
    """
    if len(parts) == 1:
        return parts[0][1]
    half = len(parts) // 2
    below, above = _search(parts[:half]), _search(parts[half:])
    return [(_NOT_BELOW, 0, 1, parts[half][0]), (0x05, 0, 0, len(below)), *below, *above]


def machine() -> str:
    """Return the machine whose numbers this process uses.

    Raises:
        Refused: it is none that the filter knows.
    """
    name, bits = platform.machine(), 8 * struct.calcsize("P")
    if name not in NUMBERS or bits != 64:
        known = f"known are 64-bit {list(NUMBERS)}"
        raise Refused(f"no system call filter for {name} ({bits} bits): {known}")
    return name


class _Program(ctypes.Structure):
    _fields_: ClassVar = [("len", ctypes.c_ushort), ("filter", ctypes.c_char_p)]


def gain_no_rights() -> None:
    """Set no_new_privs, without which only root may lock itself in.

    Raises:
        Refused: the kernel said no.
    """
    if LIBC.prctl(_SET_NO_NEW_PRIVS, 1, 0, 0, 0):
        raise Refused(f"prctl(PR_SET_NO_NEW_PRIVS): {os.strerror(ctypes.get_errno())}")


def filter_is_on() -> bool:
    """Whether a filter is on."""
    return bool(LIBC.prctl(_GET_SECCOMP, 0, 0, 0, 0) == 2)


def install(profile: Profile) -> None:
    """Put the filter on all threads of this process and its children to come, for good.

    Raises:
        Refused: the machine is unknown, or the kernel said no.
    """
    program = assemble(profile, machine())
    gain_no_rights()
    call = NUMBERS[machine()]["seccomp"]
    words = [ctypes.c_ulong(word) for word in (call, _SET_MODE_FILTER, _TSYNC)]
    # A filter is stacked on those before it; a call must pass them all.
    result = LIBC.syscall(*words, ctypes.byref(_Program(len(program) // 8, program)))
    if result > 0:
        raise Refused(f"seccomp: thread {result} cannot take the filter")
    if result:
        raise Refused(f"seccomp: {os.strerror(ctypes.get_errno())}")
    if not filter_is_on():
        raise Refused("seccomp: the filter was taken but is not on")
