"""The paper's sweeps (Tables 5-8): lines that repeat others, and the lines that Table 3 shows."""

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from itertools import combinations

from mixmerge.paper.printed import METRICS, TABLES, Line, blocks, specialists
from mixmerge.paper.rounding import percent

#: Scores that differ by no more than this are called the same: one unit of the last digit.
_SAME = Fraction("0.0001")

#: So many of eight columns may differ in a line that still counts as a repetition: typing slips.
_SLIPS = 2

#: The most by which a line of Table 3 differs from its line of the sweep (one printed BLEU-4 does).
_SHOWN = Fraction("0.0004")


@dataclass(frozen=True)
class Repetition:
    """Two lines of a sweep with the same scores."""

    line: Line
    """The one with the lower weight."""

    twin: Line
    """The one with the higher weight."""

    differing: tuple[str, ...]
    """Columns in which the two differ by more than a unit of the last digit."""


@dataclass(frozen=True)
class Choice:
    """A merge that Table 3 shows, and the best of its sweep."""

    shown: Line
    """The line of Table 3."""

    sweep: Line
    """The same line in Tables 5-8, where its ratio is printed."""

    best: Line
    """The line of the sweep with the highest AVG against Table 3's specialists."""

    margin: Fraction
    """AVG of the best line minus AVG of the shown one, in percentage points; 0 where they are
    the same."""


def sweeps(lines: Sequence[Line]) -> list[list[Line]]:
    """Lines of Tables 5-8 by table and strategy, in the order of the file."""
    found: dict[tuple[str, str], list[Line]] = {}
    for line in lines:
        if line.table in TABLES["ablation"] and line.weight is not None:
            found.setdefault((line.table, line.strategy), []).append(line)
    return list(found.values())


def repetitions(lines: Sequence[Line]) -> list[Repetition]:
    """Pairs of lines of one sweep that agree in at least six of their eight scores."""
    found = []
    for sweep in sweeps(lines):
        for line, twin in combinations(sweep, 2):
            differing = tuple(
                metric
                for metric in METRICS
                if abs(line.values[metric] - twin.values[metric]) > _SAME
            )
            if len(differing) <= _SLIPS:
                found.append(Repetition(line, twin, differing))
    return found


def sweep_line(lines: Sequence[Line], shown: Line) -> Line | None:
    """The line of Tables 5-8 with the scores that a line of Table 3 shows.

    Returns:
        None for base, specialists and mixture, and where no line has these scores.
    """
    candidates = [
        line
        for sweep in sweeps(lines)
        for line in sweep
        if (line.model, line.strategy) == (shown.model, shown.strategy)
    ]
    nearest = min(candidates, key=lambda line: _distance(line, shown), default=None)
    return nearest if nearest is not None and _distance(nearest, shown) <= _SHOWN else None


def choices(lines: Sequence[Line]) -> list[Choice]:
    """Each merge of Table 3 beside the best ratio of its sweep."""
    found = []
    for (table, _), block in blocks(lines).items():
        if table not in TABLES["strategies"]:
            continue
        baseline = specialists(block)
        for shown in block:
            sweep = sweep_line(lines, shown)
            if sweep is None:
                continue
            peers = next(entry for entry in sweeps(lines) if sweep in entry)
            best = max(peers, key=lambda line: average(line, baseline))
            margin = average(best, baseline) - average(sweep, baseline)
            found.append(Choice(shown, sweep, best, margin))
    return found


def average(line: Line, baseline: Line) -> Fraction:
    """AVG of a line against specialists, in percent, from the printed values of both."""
    changes = [percent(line.values[metric], baseline.values[metric]) for metric in METRICS]
    return sum(changes, Fraction(0)) / len(changes)


def _distance(line: Line, other: Line) -> Fraction:
    return max(abs(line.values[metric] - other.values[metric]) for metric in METRICS)
