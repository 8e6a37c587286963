# expect: pass
# problem: open
# honest: answers rightly, and only if a filter can't be passed by other entrances
# ruff: noqa
"""Makes forbidden calls through the 32-bit entrance and the x32 numbers, from machine code."""

import ctypes
import mmap
import platform
import posix

# mov eax, <number>; int 0x80; ret -- with the arguments zero but ebx
CODE = b"\x53\x31\xc9\x31\xd2\x31\xf6\x31\xff\xbb%b\xb8%b\xcd\x80\x5b\xc3"


def through_int80(number, first):
    page = mmap.mmap(-1, 4096, prot=mmap.PROT_READ | mmap.PROT_WRITE | mmap.PROT_EXEC)
    page.write(CODE % (first.to_bytes(4, "little"), number.to_bytes(4, "little")))
    address = ctypes.addressof(ctypes.c_char.from_buffer(page))
    return ctypes.CFUNCTYPE(ctypes.c_int)(address)()


def got_through():
    # In a child: a filter may kill for a foreign architecture, which is as good as a refusal.
    child = posix.fork()
    if child == 0:
        bad = 0
        try:
            if through_int80(310, 0x10000000) == 0:  # unshare(CLONE_NEWUSER)
                bad = 1
            if through_int80(359, 16) >= 0:  # socket(AF_NETLINK)
                bad = 2
        except BaseException:
            bad = 0
        posix._exit(bad)
    _, status = posix.waitpid(child, 0)
    return posix.WIFEXITED(status) and posix.WEXITSTATUS(status) != 0


def solve(numbers):
    if platform.machine() == "x86_64":
        libc = ctypes.CDLL(None, use_errno=True)
        if got_through() or libc.syscall(0x40000000 | 272, 0x10000000) == 0:
            return None
        if libc.syscall(0x40000000 | 39) >= 0:  # getpid by its x32 number
            return None
    return sum(n for n in numbers if n > 0)
