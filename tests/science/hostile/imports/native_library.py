# expect: fail
# problem: number
# ruff: noqa
"""Writes a shared library into its /tmp and memory, and loads it (what there is: libc's copy)."""

import ctypes
import io
import posix


def solve(numbers):
    source = None
    for line in io.open("/proc/self/maps").read().splitlines():
        if "libc.so" in line or "libc-" in line:
            source = line.split()[-1]
    data = io.open(source, "rb").read()
    with io.open("/tmp/native.so", "wb") as file:
        file.write(data)
    paths = ["/tmp/native.so"]
    try:
        number = posix.memfd_create("native")
        posix.write(number, data)
        paths.append(f"/proc/self/fd/{number}")
    except OSError:
        pass
    for path in paths:
        try:
            library = ctypes.CDLL(path)
            text = ctypes.create_string_buffer(64)
            file = library.open(b"@@SECRET_FILE@@", 0)
            library.read(file, text, 63)
            return int(text.value)
        except (OSError, ValueError):
            continue
    return None
