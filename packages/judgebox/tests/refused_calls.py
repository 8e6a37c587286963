"""System calls that must be refused in every box, and a program that tries them all."""

import errno
from pathlib import Path

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
RAW_CALLS = (
    f"REFUSED, CLONE = {REFUSED!r}, {CLONE_FLAGS!r}\n"
    + """
import ctypes, errno, os
libc = ctypes.CDLL(None, use_errno=True)

def raw(number, *arguments):
    words = [ctypes.c_ulong(word & (2**64 - 1)) for word in arguments]
    result = libc.syscall(ctypes.c_long(number), *words)
    return result, (ctypes.get_errno() if result == -1 else 0)

FOUND = {}
for name, numbers in REFUSED.items():
    if numbers[COLUMN] is not None:
        FOUND[name] = raw(numbers[COLUMN], *[-1] * 6)[1]
FOUND["msgget"] = raw((68, 186)[COLUMN], 0x6d69786d, 0)[1]
for name, flag in CLONE.items():
    pid, FOUND[name] = raw((56, 220)[COLUMN], flag | 17, 0, 0, 0, 0)
    if pid == 0:
        os._exit(0)
    if pid > 0 and name != "CLONE_PARENT":
        os.waitpid(pid, 0x40000000)  # __WALL
arguments = (ctypes.c_uint64 * 11)(0, 0, 0, 0, 17)
pid, FOUND["clone3"] = raw(435, ctypes.addressof(arguments), 88)
if pid == 0:
    os._exit(0)
FOUND["openat2"] = raw(437, -1, -1, -1, -1)[1]
FOUND["a call of tomorrow"] = raw(451, -1, -1, -1, -1)[1]
FOUND["x32 getpid"] = raw(0x40000000 | 39)[1] if COLUMN == 0 else errno.ENOSYS
FOUND["shared anonymous memory"] = raw((9, 222)[COLUMN], 0, 4096, 3, 0x21, -1, 0)[1]
FOUND["prlimit of another"] = raw((302, 261)[COLUMN], os.getppid(), 0, 0, 0)[1]
FOUND["prctl PDEATHSIG"] = raw((157, 167)[COLUMN], 1, 9, 0, 0, 0)[1]
FOUND["prctl SUBREAPER"] = raw((157, 167)[COLUMN], 36, 1, 0, 0, 0)[1]
FOUND["fcntl F_SETOWN"] = raw((72, 25)[COLUMN], 0, 8, os.getpid())[1]
FOUND["fcntl F_SETSIG"] = raw((72, 25)[COLUMN], 0, 10, 9)[1]
FOUND["a pair of datagram sockets"] = raw((53, 199)[COLUMN], 1, 2, 0, -1)[1]
FOUND["a pair of internet sockets"] = raw((53, 199)[COLUMN], 2, 1, 0, -1)[1]
FOUND["a device"] = raw((259, 33)[COLUMN], -100, -1, 0o020600, 0x103)[1]
FOUND["ioctl TIOCSTI"] = raw((16, 29)[COLUMN], 0, 0x5412, -1)[1]
FOUND["ioctl FIOSETOWN"] = raw((16, 29)[COLUMN], 0, 0x8901, -1)[1]
"""
)


def expected(found: dict[str, int]) -> dict[str, int]:
    """The error numbers that RAW_CALLS must have found: EPERM, but for a few."""
    answers = dict.fromkeys(found, errno.EPERM)
    for name in ("clone3", "openat2", "a call of tomorrow", "x32 getpid"):
        answers[name] = errno.ENOSYS
    for name in ("ioctl TIOCSTI", "ioctl FIOSETOWN"):
        answers[name] = errno.EOPNOTSUPP
    return answers
