"""Settings of uncertainty: the config's section, and the checkpoints and columns of one model."""

from typing import Annotated, Literal

from pydantic import Field

from mixmerge.core.section import Section


class Uncertainty(Section):
    """How sure the numbers are; docs/uncertainty.md has the methods."""

    confidence: Annotated[float, Field(gt=0.5, lt=1)] = 0.95
    """Level of intervals; a difference counts as one where its p-value, corrected after Holm, is
    below one minus this."""

    resamples: Annotated[int, Field(ge=1000)] = 10_000
    """Bootstrap resamples of each suite's items. No p-value can be below 2 / (resamples + 1)."""


class Measure(Section):
    """One column of scores: a metric on a suite."""

    suite: str
    metric: str  # key in `scores.json`
    task: str  # whose specialist the column is compared with
    role: Literal["test", "validation"]
    digits: int  # printed decimals; a specialist's value that prints as 0 has no percentage
    higher_is_better: bool = True
    counted: bool = False  # a share of problems that pass, not a mean of scores

    @property
    def key(self) -> str:
        """Name of the column in scores and CSV files: ``suite.metric``."""
        return f"{self.suite}.{self.metric}"


class Arm(Section):
    """One checkpoint of a model."""

    name: str  # of its files
    kind: Literal["base", "sft", "mix", "merge"]  # the stage that made it
    task: str | None = None  # of a specialist
    strategy: str | None = None  # key of a merge's strategy


class UncertaintySettings(Section):
    """Settings of the rule for one model; lists are in the order of the configuration."""

    uncertainty: Uncertainty
    measures: list[Measure]
    arms: list[Arm]
    specialists: dict[str, str]  # task -> checkpoint that its columns are compared with
    tasks: list[str]
    mixture: str  # the one that stands beside the merges

    def of_role(self, role: str) -> list[Measure]:
        """The columns of one role."""
        return [measure for measure in self.measures if measure.role == role]
