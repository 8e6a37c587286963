"""Cells of the verdict's tables."""

from mixmerge.report import phrases
from mixmerge.report.costs import Cost
from mixmerge.report.evidence import Comparison, Interval
from mixmerge.report.geometry import Spread
from mixmerge.report.table import UNDEFINED, Cell
from mixmerge.report.table import number as printed


def number(value: float | None, digits: int) -> Cell:
    """A number to so many decimals."""
    return Cell(value, printed(value, digits))


def bounded(value: float | None, ends: Interval | Comparison | None) -> Cell:
    """A value in percent or points with its interval, which has columns of its own in CSV."""
    if value is None or ends is None:
        return number(value, 2)
    interval = f"[{printed(ends.low, 1)}, {printed(ends.high, 1)}]"
    extra: dict[str, float | None] = {"low": ends.low, "high": ends.high}
    return Cell(value, printed(value, 2), interval=interval, extra=extra)


def word(text: str | None) -> Cell:
    """A word, or a dash where there is nothing to say."""
    return Cell(text, text or UNDEFINED)


def p_value(value: float | None) -> Cell:
    """A p-value as in the text, without its name."""
    if value is None:
        return Cell(None, UNDEFINED)
    return Cell(value, phrases.p_value(value).removeprefix("p ").removeprefix("= "))


def hours(cost: Cost, unit: str) -> Cell:
    """Hours of one unit: ``gpu_hours`` or ``core_hours``."""
    if not cost.known:
        return Cell(None, UNDEFINED)
    value = float(getattr(cost, unit))
    bound = "≥ " if cost.resumed else ""
    return Cell(value, bound + phrases.amount(value))


def spread(found: Spread | None, digits: int, factor: float = 1) -> list[Cell]:
    """Mean, low and high, each times a factor."""
    values = (found.mean, found.low, found.high) if found else (None,) * 3
    return [number(None if value is None else factor * value, digits) for value in values]
