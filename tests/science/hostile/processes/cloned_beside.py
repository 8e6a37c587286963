# expect: fail-or-timeout
# problem: number
# ruff: noqa
"""Clones children whose parent is its own parent (CLONE_PARENT), or that share its memory."""

import ctypes
import posix
import time


def solve(numbers):
    libc = ctypes.CDLL(None, use_errno=True)
    # CLONE_PARENT alone, then with SIGCHLD, then clone3 with CLONE_PARENT.
    for flags in (0x8000, 0x8000 | 17):
        if libc.syscall(56, flags, 0, 0, 0, 0) == 0:
            libc.prctl(15, b"hx-beside-@@SHORT@@"[:15])
            time.sleep(20)
            posix._exit(0)
    arguments = (ctypes.c_uint64 * 8)(0x8000, 0, 0, 0, 0, 0, 0, 0)
    if libc.syscall(435, ctypes.byref(arguments), 64) == 0:
        libc.prctl(15, b"hx-beside-@@SHORT@@"[:15])
        time.sleep(20)
        posix._exit(0)
    time.sleep(0.2)
    return 1
