"""Which of the paper's percentages and averages follow from its own printed values."""

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from statistics import mean

from mixmerge.report.paper_tables import Line
from paper_audit.printed import (
    FAR,
    HALF_PERCENT,
    METRICS,
    average,
    blocks,
    follows,
    percent,
    specialists,
)
from paper_audit.rounding import around, percents


@dataclass(frozen=True)
class Cell:
    """A printed percentage beside what its line's value and its table's specialists give."""

    line: Line
    """The line it stands in."""

    metric: str
    """Its column."""

    baseline: Fraction
    """The specialist's value as the same table prints it."""

    @property
    def value(self) -> Fraction:
        """The line's value as printed."""
        return self.line.values[self.metric]

    @property
    def printed(self) -> Fraction:
        """The percentage as printed."""
        return self.line.percents[self.metric]

    @property
    def recomputed(self) -> Fraction:
        """The percentage that the printed value and specialist give."""
        return percent(self.value, self.baseline)

    @property
    def difference(self) -> Fraction:
        """Printed minus recomputed, in percentage points."""
        return self.printed - self.recomputed

    @property
    def far(self) -> bool:
        """Whether it misses by more than `FAR`."""
        return abs(self.difference) > FAR

    @property
    def follows(self) -> bool:
        """Whether some unrounded values that print as these give it."""
        half = METRICS[self.metric].half
        possible = percents(around(self.value, half), around(self.baseline, half))
        return possible.meets(around(self.printed, HALF_PERCENT))


@dataclass(frozen=True)
class Average:
    """A printed average beside what its line's percentages and values give."""

    line: Line
    """The line it stands in."""

    own: Fraction
    """Mean of the line's eight printed percentages."""

    recomputed: Fraction
    """Mean of the eight percentages that the printed values give."""

    @property
    def follows(self) -> bool:
        """Whether percentages that print as the line's eight can have this mean."""
        return follows(self.line)


def cells(lines: Sequence[Line]) -> list[Cell]:
    """Every printed percentage of Tables 3 and 5-9."""
    return [
        Cell(line, metric, specialists(block).values[metric])
        for block in blocks(lines).values()
        for line in block
        for metric in METRICS
    ]


def averages(lines: Sequence[Line]) -> list[Average]:
    """Every printed average of Tables 3 and 5-9."""
    return [
        Average(line, mean(line.percents.values()), average(line, specialists(block)))
        for block in blocks(lines).values()
        for line in block
    ]
