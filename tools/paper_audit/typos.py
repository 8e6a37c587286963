"""Typing slips: the numbers that one slip of a finger makes of a printed one."""

from collections.abc import Iterator
from fractions import Fraction


def printed(value: Fraction, digits: int) -> str:
    """A number with so many decimals, as the paper prints it; never a negative zero."""
    return f"{float(round(value, digits)):.{digits}f}"


def signed(value: Fraction, digits: int) -> str:
    """A number with a true minus sign, for people."""
    return printed(value, digits).replace("-", "−")


def without_a_digit(value: Fraction, digits: int) -> Iterator[Fraction]:
    """What a number was before a digit of its whole part was typed too often: -11.11, -1.11."""
    sign, text = _parts(value, digits)
    whole, _, rest = text.partition(".")
    if len(whole) > 1:
        for at in range(len(whole)):
            yield sign * Fraction(f"{whole[:at]}{whole[at + 1 :]}.{rest}")


def with_another_digit(value: Fraction, digits: int) -> Iterator[Fraction]:
    """Numbers that differ from a number in one decimal, the last decimals first."""
    sign, text = _parts(value, digits)
    for at in reversed(range(text.index(".") + 1, len(text))):
        for digit in "0123456789":
            if digit != text[at]:
                yield sign * Fraction(f"{text[:at]}{digit}{text[at + 1 :]}")


def _parts(value: Fraction, digits: int) -> tuple[int, str]:
    """Sign, and the number without it as printed."""
    return (-1 if value < 0 else 1), printed(abs(value), digits)
