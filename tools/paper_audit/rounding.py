"""Percentages of printed values, as exact intervals: what unrounded values could have given.

A printed 0.671 stands for anything from 0.6705 to 0.6715, a printed -11.24 for -11.245 to -11.235.
A percentage follows from two values where some unrounded values that print as these two give a
percentage that prints as it.
"""

from dataclasses import dataclass
from fractions import Fraction

from paper_audit.printed import HALF_PERCENT


@dataclass(frozen=True)
class Span:
    """A closed interval."""

    low: Fraction
    """Least value."""

    high: Fraction
    """Largest value."""

    def meets(self, other: "Span") -> bool:
        """Whether the two have a point in common."""
        return self.low <= other.high and other.low <= self.high


def around(value: Fraction, half: Fraction) -> Span:
    """What a printed value stands for."""
    return Span(value - half, value + half)


def percents(value: Span, baseline: Span, divisor: Span | None = None) -> Span:
    """All that 100 (v - b) / d can be for v and b of two positive intervals.

    Args:
        value: v.
        baseline: b.
        divisor: d; without it d is b itself, the same number as in the numerator.
    """
    if divisor is None:
        return Span(
            100 * (value.low / baseline.high - 1),
            100 * (value.high / baseline.low - 1),
        )
    low, high = value.low - baseline.high, value.high - baseline.low
    return Span(
        100 * low / (divisor.low if low < 0 else divisor.high),
        100 * high / (divisor.high if high < 0 else divisor.low),
    )


def baselines(value: Span, printed: Fraction) -> Span:
    """All baselines against which a value gives a printed percentage: v / (1 + p / 100)."""
    low, high = 1 + (printed - HALF_PERCENT) / 100, 1 + (printed + HALF_PERCENT) / 100
    return Span(value.low / high, value.high / low)
