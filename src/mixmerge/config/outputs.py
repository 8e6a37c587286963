"""Tables and figures of the study."""

from typing import Annotated, Literal

from pydantic import Field

from mixmerge.section import Name, Section


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
