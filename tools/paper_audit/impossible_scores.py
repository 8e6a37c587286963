"""Scores that no number of solved problems gives: a pass@1 is k of n problems, rounded."""

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction

from mixmerge.report.paper_tables import Line, ScaleLine
from paper_audit.printed import METRICS
from paper_audit.rounding import around

#: Column -> problems whose share its scores are. For MBPP the paper prints 379, EvalPlus 0.2.0 has
#: 378.
PROBLEMS = {"humaneval": 164, "humaneval_plus": 164, "mbpp": 378, "mbpp_plus": 378}

#: Sizes of MBPP in question: EvalPlus 0.2.0, the paper's text, EvalPlus 0.1.0.
MBPP_SIZES = (378, 379, 399)


@dataclass(frozen=True)
class Impossible:
    """A printed score that is no share of the suite's problems."""

    place: str
    """The line it stands in."""

    metric: str
    """Its column."""

    value: Fraction
    """The score."""

    nearest: tuple[Fraction, Fraction]
    """The shares below and above it."""


def possible(value: Fraction, metric: str, problems: int) -> bool:
    """Whether some number of solved problems prints as this score."""
    span = around(value, METRICS[metric].half)
    return any(
        span.low <= Fraction(solved, problems) <= span.high for solved in _near(value, problems)
    )


def fitting(lines: Sequence[Line], metric: str, problems: int) -> int:
    """Number of lines whose score is a share of so many problems."""
    return sum(possible(line.values[metric], metric, problems) for line in lines)


def impossible(lines: Sequence[Line], scale: Sequence[ScaleLine]) -> list[Impossible]:
    """All scores that are no share of their suite's problems."""
    rows = [(place(line), line.values) for line in lines]
    rows += [
        (f"Table 4, {share.model}, {share.percent} % of the data", share.values) for share in scale
    ]
    found = []
    for name, values in rows:
        for metric, value in values.items():
            problems = PROBLEMS.get(metric)
            if problems is not None and not possible(value, metric, problems):
                below, above = (Fraction(solved, problems) for solved in _near(value, problems))
                found.append(Impossible(name, metric, value, (below, above)))
    return found


def place(line: Line) -> str:
    """Where a line stands, in words."""
    ratio = "" if line.weight is None else f" {line.weight:g}"
    return f"Table {line.table}, {line.model}, {line.strategy}{ratio}"


def _near(value: Fraction, problems: int) -> tuple[int, int]:
    solved = int(value * problems)
    return solved, solved + 1
