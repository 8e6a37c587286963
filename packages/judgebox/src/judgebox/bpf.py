"""Programs of a system call filter (classic BPF), put together from a few kinds of steps."""

import struct
from collections.abc import Iterable

Code = list[tuple[int, int, int, int]]

ALLOW, ERRNO, KILL = 0x7FFF0000, 0x00050000, 0x80000000
#: Comparisons: equal, not below, any of these bits.
EQUAL, NOT_BELOW, ANY_BIT = 0x15, 0x35, 0x45
#: Where the call's number, the machine and the first argument stand in what a filter sees.
NUMBER, MACHINE, _ARGUMENTS = 0, 4, 16


def load(offset: int) -> Code:
    """Load a word of what the filter sees."""
    return [(0x20, 0, 0, offset)]  # BPF_LD | BPF_W | BPF_ABS


def argument(number: int, mask: int = 0xFFFFFFFF, high: bool = False) -> Code:
    """Load half an argument, the low one: the kernel reads most arguments as 32 bits.

    Both machines have that first.
    """
    return [*load(_ARGUMENTS + 8 * number + 4 * high), (0x54, 0, 0, mask)]


def give(action: int) -> Code:
    """Return an action."""
    return [(0x06, 0, 0, action)]


def unless(code: int, value: int, action: int) -> Code:
    """Return the action unless what is loaded compares so with the value."""
    return [(code, 1, 0, value), *give(action)]


def when(code: int, value: int, action: int) -> Code:
    """Return the action where what is loaded compares so with the value."""
    return [(code, 0, 1, value), *give(action)]


def only(number: int, values: Iterable[int], otherwise: int, mask: int = 0xFFFFFFFF) -> Code:
    """Allow the call where an argument has one of these values."""
    allowed = [part for value in values for part in when(EQUAL, value, ALLOW)]
    return argument(number, mask) + allowed + give(otherwise)


def search(parts: list[tuple[int, Code]]) -> Code:
    """Find the part that a number is in: its code stands from its first number to the next part's.

    By halves: a list would be gone through at each call, and for each number at installation.
    """
    if len(parts) == 1:
        return parts[0][1]
    half = len(parts) // 2
    below, above = search(parts[:half]), search(parts[half:])
    return [(NOT_BELOW, 0, 1, parts[half][0]), (0x05, 0, 0, len(below)), *below, *above]


def packed(code: Code) -> bytes:
    """The program in the kernel's ``struct sock_filter``, 8 bytes a step."""
    return b"".join(struct.pack("=HBBI", *step) for step in code)
