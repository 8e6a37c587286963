"""Sources: where rows come from and which of their columns fill a task's templates."""

from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field

from mixmerge.section import Section


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


class HubSource(SourceBase):
    """A data set of the Hugging Face hub, pinned by revision."""

    kind: Literal["hub"]
    id: str
    """Repository on the hub, such as `KodCode/KodCode-V1-SFT-4o`."""

    revision: str
    """Commit or tag of the data repository."""

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


Source = Annotated[HubSource | LocalSource | EmbeddedSource, Field(discriminator="kind")]
