"""How sure the numbers are: intervals and comparisons, as the uncertainty rule wrote them."""

from collections.abc import Mapping
from dataclasses import dataclass, fields
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

from mixmerge.core.io import read_json
from mixmerge.report.handed import handed, number
from mixmerge.report.layout import Layout, Model, Role

#: What a comparison is made against.
Against = Literal["mixture", "specialist"]

#: The column key of comparisons of AVG on the test suites.
AVERAGE = "avg"


@dataclass(frozen=True)
class Interval:
    """A value with its confidence interval."""

    value: float
    """The value itself."""

    low: float
    """Lower end."""

    high: float
    """Upper end."""


@dataclass(frozen=True)
class Comparison:
    """One checkpoint against another on the same items of the test suites."""

    variant: str
    """Name of the checkpoint."""

    against: Against
    """What it is measured against."""

    reference: str
    """The checkpoint it is measured against; for AVG against the specialists, all their names
    joined by ``+``, in the order of the tasks."""

    column: str
    """Key of the column, or ``avg``."""

    difference: float
    """Variant minus reference in the column's units; for AVG in percentage points."""

    low: float
    """Lower end of the difference's confidence interval, not adjusted for the family."""

    high: float
    """Upper end."""

    p: float
    """Two-sided p-value of no difference."""

    p_adjusted: float
    """The same after Holm's correction over the family."""

    method: Literal["mcnemar", "bootstrap"]
    """The test."""

    family: str
    """The comparisons that were corrected together have the same."""

    distinguishable: bool
    """Whether the adjusted p-value is below 1 - confidence."""


@dataclass(frozen=True)
class Evidence:
    """Intervals and comparisons of all checkpoints of one model."""

    confidence: float
    """Level of all intervals and tests, such as 0.95."""

    resamples: int
    """Number of bootstrap resamples."""

    intervals: Mapping[str, Mapping[str, Interval]]
    """Variant -> column key -> interval, for columns of all roles."""

    averages: Mapping[str, Mapping[str, Interval]]
    """Variant -> role -> interval of AVG in percent; without the roles where AVG is not defined."""

    comparisons: tuple[Comparison, ...]
    """All comparisons, on the test suites."""

    def average(self, variant: str, role: Role = "test") -> Interval | None:
        """AVG of a checkpoint with its interval; None where AVG is not defined."""
        return self.averages[variant].get(role)

    def comparison(self, variant: str, against: Against, column: str) -> Comparison | None:
        """How a checkpoint compares in a column (or `AVERAGE`); None where it was not compared.

        Merges are compared with the mixture and the specialists, everything else with the
        specialists; a specialist in its own columns, with nothing.
        """
        return self._found.get((variant, against, column))

    @cached_property
    def _found(self) -> dict[tuple[str, str, str], Comparison]:
        return {(entry.variant, entry.against, entry.column): entry for entry in self.comparisons}


def evidence_path(results: Path, model: str) -> Path:
    """Where the uncertainty rule writes a model's intervals and comparisons."""
    return results / "uncertainty" / f"{model}.json"


def read_evidence(layout: Layout, results: Path) -> dict[str, Evidence]:
    """Read the intervals and comparisons of every model of the layout.

    Args:
        layout: names the models, checkpoints and columns wanted.
        results: the study's directory.

    Returns:
        Model -> its evidence.

    Raises:
        UserError: a file is missing, or lacks a checkpoint or a column.
    """
    return {
        model.key: _read(layout, model, evidence_path(results, model.key))
        for model in layout.models
    }


def _read(layout: Layout, model: Model, path: Path) -> Evidence:
    found = read_json(path)
    with handed(path, "uncertainty"):
        return Evidence(
            confidence=number(found["confidence"], 0, 1),
            resamples=int(number(found["resamples"])),
            intervals={
                variant.name: {
                    column.key: _interval(found["intervals"][variant.name][column.key])
                    for column in layout.columns
                }
                for variant in model.variants
            },
            averages={
                variant.name: {
                    role: _interval(entry)
                    for role, entry in found["averages"][variant.name].items()
                }
                for variant in model.variants
            },
            comparisons=tuple(_comparison(entry) for entry in found["comparisons"]),
        )


def _interval(entry: Mapping[str, float]) -> Interval:
    return Interval(number(entry["value"]), number(entry["low"]), number(entry["high"]))


def _comparison(entry: Mapping[str, Any]) -> Comparison:
    for name in ("difference", "low", "high", "p", "p_adjusted"):
        number(entry[name])
    return Comparison(**{field.name: entry[field.name] for field in fields(Comparison)})
