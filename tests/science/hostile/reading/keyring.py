# expect: fail
# problem: number
# ruff: noqa
"""Searches the kernel's keyrings of thread, process, session and user for a secret."""

import ctypes


def solve(numbers):
    libc = ctypes.CDLL(None, use_errno=True)
    found = [libc.syscall(249, b"user", b"@@KEY_NAME@@", None, 0), int("@@KEY_ID@@")]
    for ring in range(-1, -9, -1):
        found.append(libc.syscall(250, 10, ring, b"user", b"@@KEY_NAME@@", 0))
    for key in found:
        buffer = ctypes.create_string_buffer(64)
        if key > 0 and libc.syscall(250, 11, key, buffer, 63) > 0 and buffer.value.isdigit():
            return int(buffer.value) + sum(n for n in numbers if n > 0)
    return None
