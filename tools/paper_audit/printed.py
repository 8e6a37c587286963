"""What follows from the paper's printed lines, exactly: changes, averages, sweeps, repetitions.

Numbers are exact fractions of what the paper prints, so that arithmetic on them says something
about the paper and nothing about floats.
"""

from collections.abc import Mapping, Sequence
from fractions import Fraction
from itertools import combinations
from statistics import mean
from typing import NamedTuple

from mixmerge.report.paper_tables import SPECIALISTS, TABLES, Line


class Metric(NamedTuple):
    """A column of the paper's tables: its head, and the decimals of its values."""

    header: str
    digits: int

    @property
    def half(self) -> Fraction:
        """Half a unit of the last printed digit: the most that rounding can have changed."""
        return Fraction(1, 2 * 10**self.digits)


#: The paper's columns, in its order.
METRICS: Mapping[str, Metric] = {
    "humaneval": Metric("HumanEval", 3),
    "humaneval_plus": Metric("HumanEval+", 3),
    "mbpp": Metric("MBPP", 3),
    "mbpp_plus": Metric("MBPP+", 3),
    "bleu4": Metric("BLEU-4", 4),
    "chrfpp": Metric("chrF++", 4),
    "rouge_l": Metric("ROUGE-L", 4),
    "meteor": Metric("METEOR", 4),
}

#: Half a unit of the last printed digit of a percentage.
HALF_PERCENT = Fraction(1, 200)

#: Percentage points by which a percentage may miss before it counts as far off: more than rounding
#: explains, but for scores close to 0.
FAR = Fraction("0.35")

#: Scores that differ by no more than this are called the same: one unit of the last digit.
_SAME = Fraction("0.0001")

#: So many of eight columns may differ in a line that still counts as a repetition: typing slips.
_SLIPS = 2

#: The most by which a line of Table 3 differs from its line of the sweep (one printed BLEU-4 does).
_SHOWN = Fraction("0.0004")


class Repetition(NamedTuple):
    """Two lines of a sweep with the same scores; the first has the lower weight.

    `differing` are columns in which the two differ by more than a unit of the last digit.
    """

    line: Line
    twin: Line
    differing: tuple[str, ...]


class Choice(NamedTuple):
    """A merge that Table 3 shows, its line in Tables 5-8, and the best line of that sweep.

    `margin` is the AVG of the best line minus that of the shown one, in percentage points.
    """

    shown: Line
    sweep: Line
    best: Line
    margin: Fraction


def blocks(lines: Sequence[Line]) -> dict[tuple[str, str], list[Line]]:
    """(table, model) -> its lines, in the order of the file."""
    by_block: dict[tuple[str, str], list[Line]] = {}
    for line in lines:
        by_block.setdefault((line.table, line.model), []).append(line)
    return by_block


def specialists(lines: Sequence[Line]) -> Line:
    """A block's line of specialists, with which its percentages say they compare."""
    return next(line for line in lines if line.strategy == SPECIALISTS)


def percent(value: Fraction, baseline: Fraction) -> Fraction:
    """Change of a value against its baseline in percent."""
    return 100 * (value - baseline) / baseline


def average(line: Line, baseline: Line) -> Fraction:
    """AVG of a line against specialists, in percent, from the printed values of both."""
    return mean(percent(line.values[metric], baseline.values[metric]) for metric in METRICS)


def far_off(lines: Sequence[Line]) -> set[tuple[Line, str]]:
    """Lines and columns whose percentage is far off what the printed scores give."""
    return {
        (line, metric)
        for block in blocks(lines).values()
        for line in block
        for metric, baseline in specialists(block).values.items()
        if abs(line.percents[metric] - percent(line.values[metric], baseline)) > FAR
    }


def follows(line: Line) -> bool:
    """Whether percentages that print as the line's eight can have its average."""
    # A mean of eight can be off by as much as each of them, and is rounded once more.
    return abs(line.average - mean(line.percents.values())) <= 2 * HALF_PERCENT


def sweeps(lines: Sequence[Line]) -> list[list[Line]]:
    """Lines of Tables 5-8 by table and strategy, in the order of the file."""
    by_strategy: dict[tuple[str, str], list[Line]] = {}
    for line in lines:
        if line.table in TABLES["ablation"] and line.weight is not None:
            by_strategy.setdefault((line.table, line.strategy), []).append(line)
    return list(by_strategy.values())


def repetitions(lines: Sequence[Line]) -> list[Repetition]:
    """Pairs of lines of one sweep that agree in at least six of their eight scores."""
    pairs = []
    for line, twin in (pair for sweep in sweeps(lines) for pair in combinations(sweep, 2)):
        differing = tuple(m for m in METRICS if abs(line.values[m] - twin.values[m]) > _SAME)
        if len(differing) <= _SLIPS:
            pairs.append(Repetition(line, twin, differing))
    return pairs


def sweep_line(lines: Sequence[Line], shown: Line) -> Line | None:
    """The line of Tables 5-8 with the scores that a line of Table 3 shows.

    Returns:
        None for base, specialists and mixture, and where no line has these scores.
    """

    def distance(line: Line) -> Fraction:
        return max(abs(line.values[metric] - shown.values[metric]) for metric in METRICS)

    own = (shown.model, shown.strategy)
    candidates = [line for sweep in sweeps(lines) for line in sweep]
    candidates = [line for line in candidates if (line.model, line.strategy) == own]
    nearest = min(candidates, key=distance, default=None)
    return nearest if nearest is not None and distance(nearest) <= _SHOWN else None


def choices(lines: Sequence[Line]) -> list[Choice]:
    """Each merge of Table 3 beside the best ratio of its sweep, against Table 3's specialists."""
    picks = []
    for (table, _), block in blocks(lines).items():
        for shown in block if table in TABLES["strategies"] else ():
            sweep = sweep_line(lines, shown)
            if sweep is not None:
                baseline = specialists(block)
                peers = next(entry for entry in sweeps(lines) if sweep in entry)
                averages = {line: average(line, baseline) for line in peers}
                best = max(peers, key=averages.__getitem__)
                picks.append(Choice(shown, sweep, best, averages[best] - averages[sweep]))
    return picks


def findings(lines: Sequence[Line]) -> list[dict[str, str]]:
    """What is off in each line, for the tables beside the paper's (`read_results`)."""
    far, picks = far_off(lines), {pick.shown: pick for pick in choices(lines)}
    twins = {pair.line: pair.twin for pair in repetitions(lines)}
    rows = []
    for line in lines:
        pick = picks.get(line)
        ratio = pick.sweep.weight if pick else line.weight
        better = pick.best.weight if pick and pick.best is not pick.sweep else None
        repeats = twins[line].weight if line in twins else None
        rows.append(
            {
                "table": line.table,
                "model": line.model,
                "strategy": line.strategy,
                "ratio": _weight(ratio),
                "far": " ".join(metric for metric in METRICS if (line, metric) in far),
                "follows": "yes" if follows(line) else "no",
                "repeats": _weight(repeats),
                "better": _weight(better),
            }
        )
    return rows


def _weight(weight: float | None) -> str:
    return "" if weight is None else f"{weight:g}"
