"""Which system calls a sandboxed process may make: a seccomp filter, assembled from two tables.

``syscalls.tsv`` is a list of what is allowed; what is not in it is refused. ``syscall_rules.tsv``
says what depends on arguments, or on whom the filter is for. Refusals are errors that a program can
handle (``EPERM``; ``ENOSYS`` where a libc then takes an older call), never a kill, but for calls of
another machine's kind (32-bit ``int 0x80``). A filter sees numbers, not what pointers point at:
paths are the matter of namespaces or landlock. Root's capabilities are given up here, too, and here
are the proofs by which a runner knows that it is confined.
"""

import ctypes
import errno
import os
import platform
import socket
import struct
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, ClassVar, Final

#: Instructions of classic BPF: operation, steps to skip if true and if not, operand.
Code = list[tuple[int, int, int, int]]


def _table(name: str) -> list[list[str]]:
    lines = Path(__file__).with_name(name).read_text("ascii").splitlines()
    return [line.split("\t") for line in lines if not line.startswith("#")]


# Read now: who installs a filter may no longer be able to.
_CALLS, _RULES = _table("syscalls.tsv"), _table("syscall_rules.tsv")
#: Machine -> names of system calls -> numbers; see the file.
NUMBERS: Final = {
    "x86_64": {name: int(number) for name, number, _ in _CALLS if number != "-"},
    "aarch64": {name: int(number) for name, _, number in _CALLS if number != "-"},
}
#: Calls up to this number existed when the list was made; what is newer "does not exist".
NEWEST: Final = 450
#: ``AUDIT_ARCH_*`` of linux/audit.h: what a filter sees as the machine of a call.
AUDIT: Final = {"x86_64": 0xC000003E, "aarch64": 0xC00000B7}

#: The C library.
LIBC: Final = ctypes.CDLL(None, use_errno=True)
_SET_NO_NEW_PRIVS, _GET_NO_NEW_PRIVS, _GET_SECCOMP, _FILTER = 38, 39, 21, 2
_SET_MODE_FILTER, _TSYNC = 1, 1
_CAPBSET_DROP, _CAP_AMBIENT, _CLEAR_ALL, _CAPABILITY_VERSION_3 = 24, 47, 4, 0x20080522

# SECCOMP_RET_ALLOW, KILL_PROCESS, ERRNO with the error's number; 0: it worked, and did nothing.
_ALLOW, _KILL, _ERRNO = 0x7FFF0000, 0x80000000, 0x00050000
# Load a word, mask it; skip steps; answer; compare: equal, not below, any of these bits.
_LOAD, _AND, _SKIP, _GIVE, _EQUAL, _NOT_BELOW, _ANY_BIT = 0x20, 0x54, 0x05, 0x06, 0x15, 0x35, 0x45
# Where the call's number, the machine and the first argument stand in what a filter sees.
_NUMBER, _MACHINE, _ARGUMENTS = 0, 4, 16


class Refused(OSError):
    """The kernel or the machine does not offer a mechanism, or this process is not in its box."""


@dataclass(frozen=True)
class Profile:
    """What the processes behind a filter may do, beside what all may."""

    #: The only process that signals may be sent to; None: the kernel sees to it that no other is in
    #: reach (a PID namespace, or landlock's scope).
    signals_to: int | None = None
    #: All files in sight are theirs (a file system of their own), and all processes end with the
    #: first: modes, times, owners, sessions and process groups may be changed.
    own_files: bool = False
    #: Files may be truncated by name. Landlock before version 3 does not govern that.
    truncate: bool = True
    #: Our own code, which passes descriptors and locks itself in further.
    trusted: bool = False


#: Foreign code in namespaces of its own.
BOXED: Final = Profile(own_files=True)
#: The runner where there are no namespaces.
RUNNER: Final = Profile(own_files=True, trusted=True)


def _rules(profile: Profile) -> dict[str, Code]:
    """What is to be done about each call that is not simply allowed or refused."""
    concerns = {
        "all": True,
        "checks": not profile.trusted,
        "shared": not profile.own_files,
        "old": not profile.truncate,
        "one": profile.signals_to is not None,
    }
    rules: dict[str, Code] = {}
    for names, whom, argument, comparison, values, answer in _RULES:
        if not concerns[whom]:
            continue
        answers = {"ALLOW": _ALLOW, "IGNORE": _ERRNO}
        give = (_GIVE, 0, 0, answers.get(answer) or _ERRNO | getattr(errno, answer))
        code: Code = [give]
        if argument != "-":
            place, _, mask = argument.partition("&")
            # Both machines have the low half of an argument first, and most have only that.
            offset = _ARGUMENTS + 8 * int(place[0]) + (4 if place[1:] == "h" else 0)
            code = [(_LOAD, 0, 0, offset), (_AND, 0, 0, int(mask or "ffffffff", 16))]
            operation = _ANY_BIT if comparison == "any" else _EQUAL
            skips = (1, 0) if comparison == "not" else (0, 1)
            for value in values.split(","):
                operand = profile.signals_to if value == "pid" else int(value, 16)
                code += [(operation, *skips, operand or 0), give]
        for name in names.split(","):
            rules[name] = rules.get(name, []) + code
    return {name: [*code, (_GIVE, 0, 0, _ALLOW)] for name, code in rules.items()}


@cache
def assemble(profile: Profile, machine: str) -> bytes:
    """The filter's program, in the kernel's ``struct sock_filter`` (8 bytes a step)."""
    numbers = NUMBERS[machine]
    rules = _rules(profile)
    does = {number: rules.get(name, [(_GIVE, 0, 0, _ALLOW)]) for name, number in numbers.items()}
    parts: list[tuple[int, Code]] = []
    for number in range(NEWEST + 1):
        code = does.get(number, [(_GIVE, 0, 0, _ERRNO | errno.EPERM)])
        if not parts or parts[-1][1] != code:
            parts.append((number, code))
    # What is newer, and x86's x32 calls (from 0x40000000 on), "do not exist".
    parts.append((NEWEST + 1, [(_GIVE, 0, 0, _ERRNO | errno.ENOSYS)]))
    steps = [(_LOAD, 0, 0, _MACHINE), (_EQUAL, 1, 0, AUDIT[machine]), (_GIVE, 0, 0, _KILL)]
    steps += [(_LOAD, 0, 0, _NUMBER), *_search(parts)]
    return b"".join(struct.pack("=HBBI", *step) for step in steps)


def _search(parts: list[tuple[int, Code]]) -> Code:
    """Find the part that a number is in: its code stands from its first number to the next part's.

    By halves: a list would be gone through at each call, and for each number at installation.
    """
    if len(parts) == 1:
        return parts[0][1]
    half = len(parts) // 2
    below, above = _search(parts[:half]), _search(parts[half:])
    return [(_NOT_BELOW, 0, 1, parts[half][0]), (_SKIP, 0, 0, len(below)), *below, *above]


def machine() -> str:
    """The machine whose numbers this process uses; raises `Refused` where the filter knows none."""
    name, bits = platform.machine(), 8 * struct.calcsize("P")
    if name not in NUMBERS or bits != 64:
        known = f"known are 64-bit {list(NUMBERS)}"
        raise Refused(f"no system call filter for {name} ({bits} bits): {known}")
    return name


class _Program(ctypes.Structure):
    _fields_: ClassVar = [("len", ctypes.c_ushort), ("filter", ctypes.c_char_p)]


def gain_no_rights() -> None:
    """Set no_new_privs, without which only root may lock itself in."""
    if LIBC.prctl(_SET_NO_NEW_PRIVS, 1, 0, 0, 0):
        raise Refused(f"prctl(PR_SET_NO_NEW_PRIVS): {os.strerror(ctypes.get_errno())}")


def install(profile: Profile) -> None:
    """Put the filter on all threads of this process and its children to come, for good."""
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
    if LIBC.prctl(_GET_SECCOMP, 0, 0, 0, 0) != _FILTER:
        raise Refused("seccomp: the filter was taken but is not on")


def drop_capabilities() -> None:
    """Give up what root may do beyond other users, for good, as far as this process has it."""
    for number in range(64):
        LIBC.prctl(_CAPBSET_DROP, number, 0, 0, 0)
    LIBC.prctl(_CAP_AMBIENT, _CLEAR_ALL, 0, 0, 0)
    LIBC.capset(struct.pack("=Ii", _CAPABILITY_VERSION_3, 0), bytes(24))


# What cells prove; each raises `Refused` where it does not hold.


def prove_canary_unseen(hello: dict[str, Any]) -> str:
    """The launcher's canary, a file that exists outside, can't be opened; returns its path."""
    canary = hello.get("canary")
    if not isinstance(canary, str) or not canary.startswith("/"):
        raise Refused("the launcher named no canary")
    try:
        os.close(os.open(canary, os.O_RDONLY))
    except OSError:
        return canary
    raise Refused(f"a file of the outside can be read: {canary}")


def prove_confined(bounding_set: bool) -> None:
    """This process holds no capability, its calls are filtered, and it can't gain rights.

    The bounding set can only be emptied by root, and no_new_privs makes it meaningless.
    """
    for line in Path("/proc/self/status").read_text("ascii").splitlines():
        counts = line.startswith("Cap") and (bounding_set or not line.startswith("CapBnd"))
        if counts and int(line.split()[1], 16):
            raise Refused(f"it keeps capabilities ({line.strip()})")
    filtered = LIBC.prctl(_GET_SECCOMP, 0, 0, 0, 0) == _FILTER
    if not filtered or LIBC.prctl(_GET_NO_NEW_PRIVS, 0, 0, 0, 0) != 1:
        raise Refused("it has no system call filter, or may gain rights")
    prove_refused("a socket of AF_UNIX", errno.EPERM, socket.socket, socket.AF_UNIX)


def prove_refused(what: str, error: int, call: Callable[..., object], *arguments: object) -> None:
    """A call fails, and for this reason and no other."""
    try:
        call(*arguments)
    except OSError as refusal:
        if refusal.errno == error:
            return
        raise Refused(f"{what} fails for another reason: {refusal}") from refusal
    raise Refused(f"{what} works")
