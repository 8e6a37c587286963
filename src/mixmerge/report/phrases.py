"""Numbers as they stand in the verdict's sentences."""

from mixmerge.report.costs import Cost
from mixmerge.report.evidence import Comparison, Interval
from mixmerge.report.geometry import Spread
from mixmerge.report.layout import Layout
from mixmerge.report.table import UNDEFINED, number

#: What AVG is, in short.
AVG = "AVG: mean change in percent against the specialists"

#: What to do, by side.
VERB = {"mixing": "mix", "merging": "merge"}


def where(layout: Layout) -> str:
    """The suites of the selection rule."""
    return "the validation suites" if layout.select == "validation" else "the test suites"


def signed(value: float | None, digits: int = 2) -> str:
    """A change with its sign: ``+5.00``, ``−3.77``, ``0.00``."""
    text = number(value, digits)
    positive = value is not None and value > 0 and float(text) != 0
    return f"+{text}" if positive else text


def percent(value: float | None) -> str:
    """A signed percentage."""
    return "not defined" if value is None else f"{signed(value)} %"


def span(low: float, high: float, digits: int = 2) -> str:
    """Two ends: ``−7.10 to −0.52``."""
    return f"{signed(low, digits)} to {signed(high, digits)}"


def average(value: float | None, interval: Interval | None, confidence: float | None) -> str:
    """AVG with its interval, the level named where it is given."""
    if value is None or interval is None:
        return percent(value)
    level = "" if confidence is None else f"{100 * confidence:g} % interval "
    return f"{percent(value)} ({level}{span(interval.low, interval.high)})"


def p_value(value: float) -> str:
    """Such as ``p = 0.012`` or ``p < 0.001``."""
    return "p < 0.001" if value < 0.001 else f"p = {value:.2g}"


def holm(found: Comparison, family: int) -> str:
    """The adjusted p-value and what it was adjusted for."""
    text = p_value(found.p_adjusted)
    if family < 2:
        return text
    return f"{text} after Holm's correction over the strategy's {family} ratios"


def counted(count: int, noun: str) -> str:
    """A count with its noun: ``1 merge``, ``12 merges``."""
    return f"{count} {noun}" if count == 1 else f"{count} {_plural(noun)}"


def _plural(noun: str) -> str:
    return f"{noun[:-1]}ies" if noun.endswith("y") else f"{noun}s"


def listed(parts: list[str]) -> str:
    """Words in a row: ``a``, ``a and b``, ``a, b and c``."""
    return " and ".join([", ".join(parts[:-1]), parts[-1]] if len(parts) > 1 else parts)


def amount(value: float) -> str:
    """Hours with three digits that count, none of them pretended."""
    if 0 < value < 0.0005:
        return "< 0.001"
    return number(value, 0 if value >= 100 else 1 if value >= 10 else 2 if value >= 1 else 3)


def hours(cost: Cost) -> str:
    """A cost in words, GPU-hours and core-hours apart."""
    if not cost.known:
        return "an unknown time"
    parts = []
    if cost.gpu_hours:
        parts.append(f"{amount(cost.gpu_hours)} GPU-hours")
    if cost.core_hours or not parts:
        parts.append(f"{amount(cost.core_hours)} core-hours")
    return ("at least " if cost.resumed else "") + " and ".join(parts)


def spread(found: Spread | None, digits: int = 2, factor: float = 1, unit: str = "") -> str:
    """Mean and range over layers."""
    if found is None:
        return UNDEFINED
    low, high = number(factor * found.low, digits), number(factor * found.high, digits)
    return f"{number(factor * found.mean, digits)}{unit} ({low} to {high})"
