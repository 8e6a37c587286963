"""Sections of the configuration that say what the report shows."""

from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field

from mixmerge.core.section import Name, Section

#: Columns of the paper's tables, in its order.
PaperColumn = Literal[
    "humaneval", "humaneval_plus", "mbpp", "mbpp_plus", "bleu4", "chrfpp", "rouge_l", "meteor"
]


class Paper(Section):
    """The paper's own figures, printed beside this study's with the difference.

    What has no counterpart there (a model, a strategy, a ratio) is left out.
    """

    results: Path
    """Tables 3 and 5-9, a CSV file as `resources/paper/paper_results.csv`."""

    data_scale: Path | None = None
    """Table 4, a CSV file as `resources/paper/paper_data_scale.csv`; left out where null."""

    columns: Annotated[dict[str, PaperColumn], Field(min_length=1)]
    """Column of this study, as suite and metric (`humaneval.base`, `codexglue.bleu4`), to the
    paper's."""

    models: dict[Name, str] = {}
    """Key of a model to its key in the files, where the two differ."""

    strategies: dict[Name, str] = {}
    """Key of a strategy to its key in the files, where the two differ."""

    task: Name | None = None
    """Task whose specialist's weight the files give (the other's is 1 - w); the first by
    default."""

    @property
    def audit(self) -> Path:
        """What `python -m paper_audit` says of the figures, a file beside them."""
        return self.results.with_name("paper_audit.csv")


class Tables(Section):
    """Which models stand in which table; by default `compact`'s stand in no other."""

    strategies: list[Name] | None = None
    """Table 3: base, specialists, mixture and each strategy's chosen ratio."""

    data_scale: list[Name] | None = None
    """Table 4: specialists at each percentage."""

    ablation: list[Name] | None = None
    """Tables 5-8: every ratio of every strategy, one table a model. Models without merges are
    left out."""

    compact: list[Name] = []
    """Table 9: one model with few merges, each of which is printed."""

    select: Literal["validation", "test"] = "validation"
    """Suites on which a strategy's ratio is chosen; `test` is what the paper did."""

    paper: Paper | None = None
    """The paper's figures beside this study's; without it there are no such tables."""

    high_correlation: Annotated[float, Field(ge=-1, le=1)] = 0.5
    """Mean layer-wise Pearson r of the specialists' updates from which the verdict calls them
    highly correlated, where the paper's rule would mix; below, it would merge. The paper names no
    threshold: 0.5 is this project's."""


class Figures(Section):
    """Layout of Figures 2-4."""

    models: list[Name] | None = None
    """Models drawn; all by default."""

    dpi: Annotated[int, Field(ge=72)] = 200
    """Resolution of the PNG files."""
