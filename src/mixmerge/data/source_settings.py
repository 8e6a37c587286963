"""Sources: where rows come from and which of their columns fill a task's templates."""

from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, model_validator

from mixmerge.core.revision import Pinned
from mixmerge.core.section import Section
from mixmerge.data.quality import Quality, canonical


class SourceBase(Section):
    """What every source's entry may say."""

    columns: dict[str, str] = {}
    """Field of the task's templates -> column of the source. Fields not named here are looked up
    under their own name."""

    id_column: str | None = None
    """Column with a unique id; without it a row's id is a hash of its content."""

    on_empty: Literal["error", "drop"] = "error"
    """What happens to rows whose prompt or answer is blank: the job stops, or they are dropped and
    counted."""

    limit: Annotated[int, Field(gt=0)] | None = None
    """Take the first so many rows only (for trials)."""


class HubSource(SourceBase, Pinned):
    """A data set of the Hugging Face hub, pinned by revision."""

    kind: Literal["hub"]
    id: str
    """Repository on the hub, such as `KodCode/KodCode-V1-SFT-4o`."""

    subsets: list[str] = ["default"]
    """Configurations (such as languages) to read, one after another."""

    split: str = "train"
    """Split of the data set."""


class LocalSource(SourceBase):
    """A JSONL (optionally .gz) or Parquet file on this machine."""

    kind: Literal["local"]
    path: Path
    """The file: .jsonl, .jsonl.gz or .parquet."""


class EmbeddedSource(SourceBase):
    """A part of the embedded study's generated corpus."""

    kind: Literal["embedded"]
    part: Literal["codegen-train", "codesum-train", "codesum-validation", "codesum-test"]
    """Which generated file."""


class PackageSource(SourceBase):
    """Documented functions of the standard library and installed packages, split by package."""

    kind: Literal["packages"]
    part: Literal["train", "validation", "test"] = "train"
    """Which packages: those listed under `validation` or `test`, or all others. A function or a
    docstring that occurs in several packages is kept in `test` before `validation` before `train`,
    once."""

    lock: Path | None = None
    """Requirements file (`name==version` a line): only what it pins is read, and the environment
    must hold it in these versions. Without it everything installed is read."""

    only: list[str] | None = None
    """Distributions to read (for trials); `python` is the standard library. All by default."""

    validation: list[str] = []
    """Distributions held out for choosing ratios."""

    test: list[str] = []
    """Distributions held out for the tables."""

    quality: Quality = Quality()
    """Which functions are good enough."""

    threads: Annotated[int, Field(gt=0)] = 2
    """Processes that parse files side by side."""

    @model_validator(mode="after")
    def _parts_are_disjoint(self) -> "PackageSource":
        both = {canonical(name) for name in self.validation} & {canonical(n) for n in self.test}
        if both:
            raise ValueError(f"{min(both)!r} stands in `validation` and in `test`; choose one")
        return self


Source = Annotated[
    HubSource | LocalSource | EmbeddedSource | PackageSource, Field(discriminator="kind")
]
