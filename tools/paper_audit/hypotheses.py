"""What would explain a percentage that does not follow: other baselines, signs, typing slips.

All candidates are tried on all cells of a column that do not follow. A candidate explains a cell
where some unrounded values that print as those it uses give the printed percentage. The candidate
that explains most cells of a column is taken first, among equals the simpler one; then the one that
explains most of what is left, and so on. These are hypotheses: only the authors know.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property
from statistics import median
from typing import Literal

from mixmerge.report.paper_tables import (
    BASE,
    MIXTURE,
    SPECIALISTS,
    TABLES,
    Line,
    ScaleLine,
)
from paper_audit import typos
from paper_audit.consistency import Cell
from paper_audit.printed import HALF_PERCENT, METRICS, percent, repetitions, sweep_line
from paper_audit.rounding import around, baselines, percents

#: What sort of fault a hypothesis supposes, the simpler ones first.
Kind = Literal[
    "sign", "baseline", "two baselines", "other line", "unprinted baseline", "value", "slip"
]

#: What has two free parts, or a number that is printed nowhere, must explain so many cells of a
#: column: for one or two cells such a hypothesis is found by chance.
_LEAST = 3


@dataclass(frozen=True)
class Cause:
    """A hypothesis about cells of one column: they print ``sign * 100 (v - b) / d``."""

    kind: Kind
    """What sort of fault it supposes."""

    text: str
    """The hypothesis in words."""

    baseline: Fraction
    """b, as printed."""

    divisor: Fraction | None = None
    """d, as printed; b itself where None."""

    sign: int = 1
    """-1 where the sign is supposed to be flipped."""

    cell: Cell | None = None
    """The one cell it is about, where it supposes another value or percentage for it."""

    value: Fraction | None = None
    """v where it is supposed to be another one than the printed."""

    percent: Fraction | None = None
    """The percentage that was meant where it is supposed to be another one than the printed."""

    def explains(self, cell: Cell) -> bool:
        """Whether it gives a cell's printed percentage within rounding."""
        if self.cell not in (None, cell):
            return False
        half = METRICS[cell.metric].half
        possible = percents(
            around(cell.value if self.value is None else self.value, half),
            around(self.baseline, half),
            None if self.divisor is None else around(self.divisor, half),
        )
        return possible.meets(around(self.meant(cell), HALF_PERCENT))

    def meant(self, cell: Cell) -> Fraction:
        """The percentage that should have been printed if only sign or typing went wrong."""
        return self.sign * cell.printed if self.percent is None else self.percent


#: Cell -> the hypothesis that explains it.
Why = Mapping[Cell, Cause]


@dataclass(frozen=True)
class Paper:
    """All of the paper's figures, among which explanations are searched."""

    lines: Sequence[Line]
    """Tables 3 and 5-9."""

    scale: Sequence[ScaleLine]
    """Table 4."""

    @cached_property
    def relatives(self) -> dict[Line, list[tuple[Line, str]]]:
        """Line -> lines with the same scores: the checkpoint in another table, a repetition."""
        found: dict[Line, list[tuple[Line, str]]] = {}
        for shown in self.lines:
            line = sweep_line(self.lines, shown) if shown.table in TABLES["strategies"] else None
            if line is not None:
                found.setdefault(shown, []).append((line, f"Table {line.table}"))
                found.setdefault(line, []).append((shown, f"Table {shown.table}"))
        for pair in repetitions(self.lines):
            for line, other in ((pair.line, pair.twin), (pair.twin, pair.line)):
                where = f"the line {other.weight:g}, which repeats it"
                found.setdefault(line, []).append((other, where))
        return found


def causes(cells: Sequence[Cell], paper: Paper) -> dict[Cell, Cause]:
    """The hypothesis that explains each cell; cells that none explains are left out.

    Args:
        cells: percentages that do not follow.
        paper: where to look for what else they may have been computed from.
    """
    columns: dict[tuple[str, str, str], list[Cell]] = {}
    for cell in cells:
        columns.setdefault((cell.line.table, cell.line.model, cell.metric), []).append(cell)
    explained: dict[Cell, Cause] = {}
    for column in columns.values():
        explained |= _column(column, paper)
    return explained


def _column(column: Sequence[Cell], paper: Paper) -> dict[Cell, Cause]:
    found: dict[Cell, Cause] = {}

    def take(candidates: Sequence[Cause], least: int = 1) -> None:
        while left := [cell for cell in column if cell not in found]:
            counts = [sum(map(cause.explains, left)) for cause in candidates]
            if max(counts, default=0) < least:
                return
            best = candidates[counts.index(max(counts))]
            found.update({cell: best for cell in left if best.explains(cell)})

    take(list(_printed(column[0], paper)))
    take([*_mixed(column[0], paper), *_unprinted(column)], _LEAST)
    # Slips come last, with the baselines that the column turned out to have been computed from:
    # a slip has so many forms that some cells will fit one by chance.
    own = Cause("baseline", "", column[0].baseline)
    used = dict.fromkeys(
        (cause.baseline, cause.text)
        for cause in (own, *found.values())
        if cause.divisor is None and cause.sign > 0
    )
    take([cause for cell in column if cell not in found for cause in _slips(cell, used, paper)])
    return found


def _printed(example: Cell, paper: Paper) -> Iterator[Cause]:
    """Hypotheses with one baseline that the paper prints, the simpler ones first."""
    metric, model, own = example.metric, example.line.model, example.baseline
    mine, others = _specialists(example, paper)
    yield Cause("sign", "sign flipped", own, sign=-1)
    for value, name in list(mine.items())[1:]:
        text = f"baseline {_text(value, metric)}, {name}"
        yield Cause("baseline", text, value)
        yield Cause("sign", f"sign flipped; {text}", value, sign=-1)
    for value, name in (_lines(metric, model, paper) | others).items():
        if value not in mine:
            yield Cause("other line", f"baseline {_text(value, metric)}, {name}", value)


def _mixed(example: Cell, paper: Paper) -> Iterator[Cause]:
    """Hypotheses that take the difference from one baseline and divide by another."""
    metric = example.metric
    mine, others = _specialists(example, paper)
    for top in mine:
        for bottom, name in (others | mine).items():
            if top != bottom:
                text = (
                    f"difference from {_text(top, metric)}, {mine[top]}, divided by "
                    f"{_text(bottom, metric)}, {name}"
                )
                yield Cause("two baselines", text, top, bottom)
                yield Cause("two baselines", f"{text}; sign flipped", top, bottom, -1)


def _specialists(example: Cell, paper: Paper) -> tuple[dict[Fraction, str], dict[Fraction, str]]:
    """The column's values of specialists -> where they stand: of the same model, of others."""
    mine, others = {example.baseline: "its own specialists"}, dict[Fraction, str]()
    for line in paper.lines:
        if line.strategy == SPECIALISTS:
            same = line.model == example.line.model
            name = f"the specialists of Table {line.table}" + ("" if same else f" ({line.model})")
            (mine if same else others).setdefault(line.values[example.metric], name)
    return mine, others


def _lines(metric: str, model: str, paper: Paper) -> dict[Fraction, str]:
    """The model's values of base, mixture and smaller shares of the data -> where they stand."""
    found: dict[Fraction, str] = {}
    for line in paper.lines:
        if line.model == model and line.strategy in (BASE, MIXTURE):
            found.setdefault(line.values[metric], f"{line.strategy} of Table {line.table}")
    for share in paper.scale:
        if share.model == model and metric in share.values:
            found.setdefault(share.values[metric], f"{share.percent} % of the data in Table 4")
    return found


def _unprinted(column: Sequence[Cell]) -> Iterator[Cause]:
    """Baselines that no table prints, as numbers with as many digits, near those that fit."""
    metric = column[0].metric
    unit = 2 * METRICS[metric].half
    near = set[Fraction]()
    for cell in column:
        span = baselines(around(cell.value, METRICS[metric].half), cell.printed)
        sides = (span.low, (span.low + span.high) / 2, span.high)
        near |= {round(side / unit) * unit for side in sides}

    def misfit(baseline: Fraction) -> Fraction:
        return median(abs(percent(cell.value, baseline) - cell.printed) for cell in column)

    # Several may explain equally many: the one that fits best comes first.
    for value in sorted(near, key=misfit):
        text = f"baseline {_text(value, metric)}, printed nowhere"
        yield Cause("unprinted baseline", text, value)


def _slips(cell: Cell, used: dict[tuple[Fraction, str], None], paper: Paper) -> Iterator[Cause]:
    """One cell's hypotheses: another line's value, a digit too many, another digit."""
    metric, digits = cell.metric, METRICS[cell.metric].digits
    for baseline, text in used:
        against = f"; {text}" if text else ""
        for line, where in paper.relatives.get(cell.line, []):
            value = line.values[metric]
            shown = f"value {_text(value, metric)} as in {where}{against}"
            yield Cause("value", shown, baseline, cell=cell, value=value)
        for meant in typos.without_a_digit(cell.printed, 2):
            shown = f"a digit too many: {typos.printed(meant, 2)}{against}"
            yield Cause("slip", shown, baseline, cell=cell, percent=meant)
    for baseline, text in used:
        against = f"; {text}" if text else ""
        for value in typos.with_another_digit(cell.value, digits):
            shown = f"another digit in the value: {_text(value, metric)}{against}"
            yield Cause("slip", shown, baseline, cell=cell, value=value)
        for meant in typos.with_another_digit(cell.printed, 2):
            shown = f"another digit in the percentage: {typos.printed(meant, 2)}{against}"
            yield Cause("slip", shown, baseline, cell=cell, percent=meant)


def _text(value: Fraction, metric: str) -> str:
    return typos.printed(value, METRICS[metric].digits)
