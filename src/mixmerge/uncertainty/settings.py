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
    """One column of scores."""

    suite: str
    """Key of the suite."""

    metric: str
    """Key of the metric; ``base`` or ``plus`` in code suites."""

    task: str
    """The task whose specialist the column is compared with."""

    role: Literal["test", "validation"]
    """The suite's role."""

    digits: int
    """Printed decimals: a specialist's value that prints as 0 has no percentage."""

    higher_is_better: bool
    """Whether a larger value is the better one."""

    counted: bool
    """Whether items pass or fail, instead of having a score."""

    @property
    def key(self) -> str:
        """``suite.metric``."""
        return f"{self.suite}.{self.metric}"


class Arm(Section):
    """One checkpoint."""

    name: str
    """Name of the checkpoint."""

    kind: Literal["base", "sft", "mix", "merge"]
    """Which stage made it."""

    task: str | None = None
    """A specialist's task."""

    strategy: str | None = None
    """A merge's strategy."""


class UncertaintySettings(Section):
    """Settings of the rule for one model."""

    uncertainty: Uncertainty
    """Level and number of resamples."""

    measures: list[Measure]
    """All columns, of all roles."""

    arms: list[Arm]
    """All checkpoints, in the order of the configuration."""

    specialists: dict[str, str]
    """Task -> checkpoint that the task's columns are compared with."""

    tasks: list[str]
    """Tasks in the order of the configuration."""

    mixture: str
    """The mixture that stands beside the merges."""

    def of_role(self, role: str) -> list[Measure]:
        """The columns of one role."""
        return [measure for measure in self.measures if measure.role == role]
