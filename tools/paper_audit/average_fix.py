"""What brings a printed average back: its line's percentages without flipped signs and slips."""

from collections.abc import Sequence
from fractions import Fraction

from mixmerge.report.paper_tables import Line
from paper_audit.consistency import Cell
from paper_audit.hypotheses import Why
from paper_audit.printed import HALF_PERCENT, METRICS


def restored(line: Line, found: Sequence[Cell], why: Why) -> bool:
    """Whether undoing the flipped signs and slips of its percentages gives a line's average."""
    meant = [why[cell].meant(cell) if cell in why else cell.printed for cell in found]
    return _close(sum(meant, Fraction(0)), line)


def flip(line: Line) -> str | None:
    """The column whose sign, flipped, would give a line's average; None without one."""
    total = sum(line.percents.values(), Fraction(0))
    fitting = (metric for metric, value in line.percents.items() if _close(total - 2 * value, line))
    return next(fitting, None)


def _close(total: Fraction, line: Line) -> bool:
    return abs(total / len(METRICS) - line.average) <= 2 * HALF_PERCENT
