"""Tasks: what a specialist is trained for, and how its rows become chat messages."""

from typing import Annotated

from pydantic import Field, model_validator

from mixmerge.core.section import Name, Section

#: The training set that holds all tasks; no task may take its name.
MIX = "mix"


class Task(Section):
    """One task: templates, training sources and the suites that judge it."""

    title: str
    """Name printed in tables, such as `Code generation`."""

    system: str | None = None
    """System message; none by default."""

    prompt: str
    """The user's turn, a `str.format` template over the source's fields: `{code}`."""

    answer: str
    """The assistant's turn, the same kind of template."""

    sources: Annotated[list[Name], Field(min_length=1)]
    """Sources whose rows make the training set, one after another."""


class Decontamination(Section):
    """Removal of training rows that share word n-grams with a suite of the study."""

    enabled: bool = True
    """Whether rows are dropped."""

    ngram: Annotated[int, Field(ge=3)] = 10
    """Length of the n-grams, in lower-case word tokens."""

    fields: list[str] = []
    """Fields compared, such as `problem`; the whole conversation by default."""


class Data(Section):
    """Settings of the data stage."""

    validation_fraction: Annotated[float, Field(gt=0, lt=0.5)] = 0.1
    """Share of the rows held out for the validation loss (paper: 0.1)."""

    deduplicate: bool = True
    """Whether rows with equal messages (white space aside) are dropped."""

    decontamination: Decontamination = Decontamination()
    """Removal of rows that overlap with the suites."""


class Mixture(Section):
    """The multi-task training set."""

    weights: dict[Name, Annotated[float, Field(gt=0)]] | None = None
    """Share of each task's rows in the mixture, as multiples of the task's own size: 1 takes all
    rows once, 0.5 a nested half, 2 each row twice. By default all are 1: concatenation, as in the
    paper."""

    scale: list[Annotated[int, Field(gt=0, le=100)]] = [100]
    """Percentages of the data at which the mixture is trained."""

    @model_validator(mode="after")
    def _has_scale(self) -> "Mixture":
        if not self.scale:
            raise ValueError("scale is empty; name at least one percentage, such as [100]")
        return self
