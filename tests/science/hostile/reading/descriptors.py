# expect: fail
# problem: number
# ruff: noqa
"""Reads, maps and receives from every descriptor it was born with, in search of a secret."""

import array
import mmap
import posix
import re
import socket
import time


def heard(number):
    posix.set_blocking(number, False)
    for way in (
        lambda: posix.pread(number, 2**20, 0),
        lambda: posix.read(number, 2**20),
        lambda: mmap.mmap(number, 0, access=mmap.ACCESS_READ)[:],
        lambda: posix.read(posix.open(f"/proc/self/fd/{number}", posix.O_NONBLOCK), 2**20),
    ):
        try:
            yield way() or b""
        except Exception:
            continue
    try:
        line = socket.socket(fileno=number)
        data, extra, _, _ = line.recvmsg(2**16, 4096, socket.MSG_DONTWAIT)
        yield data
        for _, _, more in extra:
            passed = array.array("i")
            passed.frombytes(more[: len(more) // 4 * 4])
            for other in passed:
                yield posix.read(other, 2**16)
    except Exception:
        return
    return


def solve(numbers):
    end = time.monotonic() + 1
    for number in range(0, 256):
        try:
            posix.fstat(number)
        except OSError:
            continue
        if number < 3 or time.monotonic() > end:
            continue
        for data in heard(number):
            for found in re.findall(rb"(?<!\d)\d{10}(?!\d)", data):
                return int(found)
    return None
