# expect: pass
# problem: open
# honest: answers rightly, and only if the kernel tells it nothing
# ruff: noqa
"""Asks the kernel for its log, its symbols' addresses, file handles and others' limits."""

import ctypes
import io

PID = int("@@CANARY_PID@@")


def told():
    libc = ctypes.CDLL(None, use_errno=True)
    buffer = ctypes.create_string_buffer(4096)
    if libc.klogctl(3, buffer, 4095) > 0:
        return "kernel log"
    if libc.syscall(302, PID, 7, None, buffer) == 0:
        return "another's limits"
    if libc.syscall(312, PID, PID, 0, 0, 0) >= 0:
        return "kcmp"
    if libc.syscall(434, PID, 0) >= 0:
        return "pidfd"
    try:
        for line in io.open("/proc/kallsyms").read(100_000).splitlines():
            if int(line.split()[0], 16):
                return "addresses"
    except OSError:
        pass
    handle = (ctypes.c_uint32 * 34)(128)
    mount = ctypes.c_int()
    if libc.name_to_handle_at(-100, b"@@SECRET_FILE@@", handle, ctypes.byref(mount), 0) == 0:
        return "handle"
    if libc.open_by_handle_at(-100, handle, 0) >= 0:
        return "opened by handle"
    return None


def solve(numbers):
    found = told()
    if found:
        raise RuntimeError(found)
    return sum(n for n in numbers if n > 0)
