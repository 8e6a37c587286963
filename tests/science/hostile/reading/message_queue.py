# expect: fail
# problem: number
# ruff: noqa
"""Receives a message with a secret from a queue of System V (a copy: it stays in the queue)."""

import ctypes


def solve(numbers):
    libc = ctypes.CDLL(None, use_errno=True)
    buffer = ctypes.create_string_buffer(64)
    for number in (libc.msgget(int("@@MSG_KEY@@"), 0), int("@@MSG_ID@@")):
        # MSG_COPY | IPC_NOWAIT | MSG_NOERROR
        if number >= 0 and libc.msgrcv(number, buffer, 48, 0, 0o40000 | 0o4000 | 0o10000) > 0:
            text = buffer.raw[8:18]
            if text.isdigit():
                return int(text) + sum(n for n in numbers if n > 0)
    return None
