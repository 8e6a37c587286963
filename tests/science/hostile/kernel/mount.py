# expect: pass
# problem: open
# honest: answers rightly, and only if every mount was refused
# ruff: noqa
"""Mounts and moves file systems: mount, bind, remount, new mount API, pivot_root, chroot."""

import ctypes
import posix


def solve(numbers):
    libc = ctypes.CDLL(None, use_errno=True)
    for folder in (b"/tmp", b"/mnt", b"/"):
        if libc.mount(b"@@MARK@@", folder, b"tmpfs", 0, b"size=1m") == 0:
            return None
        if libc.mount(b"/", folder, None, 4096, None) == 0:
            return None
    if libc.mount(None, b"/", None, 32 | 4096, None) == 0:
        return None
    if libc.syscall(430, b"tmpfs", 0) >= 0 or libc.syscall(428, -100, b"/", 1) >= 0:
        return None
    if libc.syscall(155, b"/tmp", b"/tmp") == 0 or libc.chroot(b"/tmp") == 0:
        return None
    return sum(n for n in numbers if n > 0)
