"""What the uncertainty stage is told about a model: its checkpoints and the columns of scores."""

from typing import Literal

from mixmerge.config.uncertainty import Uncertainty
from mixmerge.core.section import Section


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
