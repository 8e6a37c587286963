# expect: fail-or-timeout
# problem: number
# ruff: noqa
"""Installs a filter of its own that makes its harness's calls lie: write, exit and getpid succeed."""

import ctypes
import struct


class Program(ctypes.Structure):
    _fields_ = [("length", ctypes.c_ushort), ("filter", ctypes.c_char_p)]


def solve(numbers):
    # A = number; write(1), exit_group(231), setitimer(38): errno 0, that is success, without effect
    code = struct.pack("HBBI", 0x20, 0, 0, 0)
    code += struct.pack("HBBI", 0x15, 2, 0, 1)
    code += struct.pack("HBBI", 0x15, 1, 0, 38)
    code += struct.pack("HBBI", 0x06, 0, 0, 0x7FFF0000)
    code += struct.pack("HBBI", 0x06, 0, 0, 0x00050000)
    program = Program(len(code) // 8, code)
    libc = ctypes.CDLL(None, use_errno=True)
    libc.prctl(22, 2, ctypes.byref(program), 0, 0)
    libc.syscall(317, 1, 0, ctypes.byref(program))
    return 1
