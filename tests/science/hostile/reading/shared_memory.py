# expect: fail
# problem: number
# ruff: noqa
"""Attaches a shared memory segment of System V and one of POSIX that hold a secret."""

import ctypes
import io


def by_key():
    libc = ctypes.CDLL(None, use_errno=True)
    libc.shmat.restype = ctypes.c_void_p
    number = libc.shmget(int("@@SHM_KEY@@"), 0, 0)
    if number < 0:
        number = int("@@SHM_ID@@")
    address = libc.shmat(number, None, 0o10000)
    if address in (None, 2**64 - 1):
        return ""
    return ctypes.string_at(address, 10).decode()


def by_name():
    try:
        return io.open("/dev/shm/@@SHM_NAME@@").read()
    except OSError:
        return ""


def solve(numbers):
    for text in (by_key(), by_name()):
        if text.isdigit():
            return int(text) + sum(n for n in numbers if n > 0)
    return None
