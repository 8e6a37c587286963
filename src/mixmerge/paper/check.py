"""Which of the paper's percentages and averages follow from its own printed values."""

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from statistics import mean

from mixmerge.paper.printed import METRICS, Line, blocks, specialists
from mixmerge.paper.rounding import HALF_PERCENT, around, percent, percents

#: Percentage points by which a percentage may miss before it counts as far off: more than rounding
#: explains, but for scores close to 0.
FAR = Fraction("0.35")


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
        # A mean of eight can be off by as much as each of them, and is rounded once more.
        return abs(self.line.average - self.own) <= 2 * HALF_PERCENT


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
    found = []
    for block in blocks(lines).values():
        baseline = specialists(block).values
        for line in block:
            recomputed = [percent(line.values[metric], baseline[metric]) for metric in METRICS]
            found.append(Average(line, mean(line.percents.values()), mean(recomputed)))
    return found
