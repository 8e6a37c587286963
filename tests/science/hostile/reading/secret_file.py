# expect: fail
# problem: number
# ruff: noqa
"""Reads a file outside by every way there is to open one, and answers with what it says."""

import ctypes
import importlib.machinery
import io
import linecache
import mmap
import pathlib
import posix

PATH = "@@SECRET_FILE@@"


def by_mmap():
    with mmap.mmap(posix.open(PATH, posix.O_RDONLY), 0, access=mmap.ACCESS_READ) as mapped:
        return mapped[:]


def by_libc():
    libc = ctypes.CDLL(None)
    number = libc.open(PATH.encode(), 0)
    buffer = ctypes.create_string_buffer(64)
    libc.read(number, buffer, 63)
    return buffer.value


def by_openat2():
    how = (ctypes.c_uint64 * 3)(0, 0, 0)
    number = ctypes.CDLL(None).syscall(437, -100, PATH.encode(), ctypes.byref(how), 24)
    return posix.read(number, 64)


def ways():
    return [
        lambda: io.open(PATH).read(),
        lambda: posix.read(posix.open(PATH, posix.O_RDONLY), 64),
        lambda: pathlib.Path(PATH).read_text(),
        lambda: linecache.getline(PATH, 1),
        lambda: importlib.machinery.SourceFileLoader("x", PATH).get_data(PATH),
        lambda: io.open("/proc/self/root" + PATH).read(),
        lambda: io.open("/proc/1/root" + PATH).read(),
        lambda: io.open("/proc/self/cwd/../../../../../.." + PATH).read(),
        by_mmap,
        by_libc,
        by_openat2,
    ]


def solve(numbers):
    for way in ways():
        try:
            return int(way()) + sum(n for n in numbers if n > 0)
        except Exception:
            continue
    return None
