"""System calls that must be refused in every box, and a program that tries them all."""

import errno
from pathlib import Path

from boxed import table

_LINES = Path(__file__).with_suffix(".tsv").read_text(encoding="ascii").splitlines()
_ROWS = [line.split("\t") for line in _LINES if not line.startswith("#")]

#: Name -> numbers on x86_64 and aarch64 (None: none).
REFUSED: dict[str, tuple[int, int | None]] = {
    name: (int(x86), None if arm == "-" else int(arm)) for name, x86, arm in _ROWS
}

#: Namespaces that clone could make, and the one flag that would give a child to someone else.
CLONE_FLAGS = {
    "CLONE_NEWTIME": 0x80,
    "CLONE_PARENT": 0x8000,
    "CLONE_NEWNS": 0x20000,
    "CLONE_NEWCGROUP": 0x2000000,
    "CLONE_NEWUTS": 0x4000000,
    "CLONE_NEWIPC": 0x8000000,
    "CLONE_NEWUSER": 0x10000000,
    "CLONE_NEWPID": 0x20000000,
    "CLONE_NEWNET": 0x40000000,
}

#: A program that makes raw system calls (COLUMN 0: x86_64, 1: aarch64) and leaves error numbers
#: in FOUND (0: it worked).
RAW_CALLS = f"REFUSED, CLONE = {REFUSED!r}, {CLONE_FLAGS!r}\n" + table("raw_calls")["program"]


def expected(found: dict[str, int]) -> dict[str, int]:
    """The error numbers that RAW_CALLS must have found: EPERM, but for a few."""
    answers = dict.fromkeys(found, errno.EPERM)
    for name in ("clone3", "openat2", "a call of tomorrow", "x32 getpid"):
        answers[name] = errno.ENOSYS
    for name in ("ioctl TIOCSTI", "ioctl FIOSETOWN"):
        answers[name] = errno.EOPNOTSUPP
    return answers
