# expect: fail
# problem: number
# ruff: noqa
"""Opens files and sockets through io_uring, past filters that look at other system calls only."""

import ctypes


def solve(numbers):
    libc = ctypes.CDLL(None, use_errno=True)
    parameters = ctypes.create_string_buffer(120)
    number = libc.syscall(425, 8, parameters)
    if number >= 0:
        # The ring alone is what must not be had: whoever has it can open and connect.
        raise SystemError("io_uring_setup was not refused")
    return None
