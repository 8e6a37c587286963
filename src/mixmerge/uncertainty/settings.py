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
    """One column of scores, which is compared with its task's specialist.

    A specialist's value that prints as 0 with so many digits has no percentage. Items that are
    counted pass or fail, instead of having a score.
    """

    suite: str
    metric: str
    task: str
    role: Literal["test", "validation"]
    digits: int
    higher_is_better: bool
    counted: bool

    @property
    def key(self) -> str:
        """``suite.metric``."""
        return f"{self.suite}.{self.metric}"


class Arm(Section):
    """One checkpoint: its name, which stage made it, a specialist's task, a merge's strategy."""

    name: str
    kind: Literal["base", "sft", "mix", "merge"]
    task: str | None = None
    strategy: str | None = None


class UncertaintySettings(Section):
    """Settings of the rule for one model; lists are in the order of the configuration.

    Attributes:
        specialists: task -> checkpoint that the task's columns are compared with.
        mixture: the one that stands beside the merges.
    """

    uncertainty: Uncertainty
    measures: list[Measure]
    arms: list[Arm]
    specialists: dict[str, str]
    tasks: list[str]
    mixture: str

    def of_role(self, role: str) -> list[Measure]:
        """The columns of one role."""
        return [measure for measure in self.measures if measure.role == role]
