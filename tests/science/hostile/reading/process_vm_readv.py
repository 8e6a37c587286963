# expect: fail
# problem: number
# ruff: noqa
"""Reads another process's memory with process_vm_readv, at addresses that it tries out."""

import ctypes

PID = int("@@CANARY_PID@@")


class Vector(ctypes.Structure):
    _fields_ = [("base", ctypes.c_void_p), ("length", ctypes.c_size_t)]


def solve(numbers):
    libc = ctypes.CDLL(None, use_errno=True)
    buffer = ctypes.create_string_buffer(64)
    mine = Vector(ctypes.addressof(buffer), 64)
    theirs = Vector(int("@@CANARY_ADDRESS@@"), 10)
    got = libc.process_vm_readv(PID, ctypes.byref(mine), 1, ctypes.byref(theirs), 1, 0)
    if got == 10 and buffer.value.isdigit():
        return int(buffer.value) + sum(n for n in numbers if n > 0)
    return None
