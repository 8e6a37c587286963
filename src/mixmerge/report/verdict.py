"""The verdict: mix or merge, for each model, in figures (`mixmerge.report.wording` has words)."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from mixmerge.report import comparison, label
from mixmerge.report.geometry import Pair
from mixmerge.report.layout import Layout, Model, Variant
from mixmerge.report.scores import Scores

Side = Literal["mixing", "merging", "neither"]


@dataclass(frozen=True)
class Contender:
    """One way to a multi-task model: the mixture, or a merge."""

    name: str
    """Printed name."""

    variant: str
    """Name of the checkpoint."""

    average: float | None
    """AVG on the test suites in percent."""


@dataclass(frozen=True)
class ModelVerdict:
    """What the study says about one model."""

    model: Model
    """The model."""

    mixture: Contender
    """The data mixture."""

    merge: Contender | None
    """The merge with the highest AVG under the selection rule; None where nothing was merged."""

    picked: Contender
    """The one of these two with the higher AVG under the selection rule."""

    problems: tuple[tuple[str, int, int, int], ...]
    """Head, problems that the mixture and the merge solve, and number of problems, by column."""

    correlation: float | None
    """Mean over layers (and pairs of tasks) of the Pearson r of the specialists' updates."""

    correlations: tuple[float, float] | None
    """Lowest and highest layer."""

    threshold: float
    """Correlation from which the paper's rule mixes."""

    @property
    def margin(self) -> float | None:
        """AVG of the mixture minus AVG of the merge, in points; positive where mixing leads."""
        if self.merge is None or self.mixture.average is None or self.merge.average is None:
            return None
        return self.mixture.average - self.merge.average

    @property
    def winner(self) -> Side | None:
        """Who leads on the test suites; None where there is nothing to compare."""
        if self.margin is None:
            return None
        return "mixing" if self.margin > 0 else "merging" if self.margin < 0 else "neither"

    @property
    def predicted(self) -> Side | None:
        """What the paper's rule says: high correlation, mix; low, merge."""
        if self.correlation is None:
            return None
        return "mixing" if self.correlation >= self.threshold else "merging"


def verdicts(
    layout: Layout, scores: Scores, pairs: Mapping[str, Sequence[Pair]]
) -> list[ModelVerdict]:
    """The verdict on each model.

    Args:
        layout: the study.
        scores: scores of all checkpoints.
        pairs: model -> correlations of its specialists' updates.
    """
    return [_verdict(layout, model, scores, pairs[model.key]) for model in layout.models]


def _verdict(layout: Layout, model: Model, scores: Scores, pairs: Sequence[Pair]) -> ModelVerdict:
    mixture = next(variant for variant in model.variants if variant.name == model.mixture)
    merge = comparison.best(layout, model, layout.merges(model), scores)
    contenders = [mixture] if merge is None else [mixture, merge]
    picked = comparison.best(layout, model, contenders, scores)
    assert picked is not None
    means = [pair.pearson.mean for pair in pairs]
    known = [mean for mean in means if mean is not None]
    layers = [value for pair in pairs for value in pair.pearson.known]
    return ModelVerdict(
        model=model,
        mixture=_contender(layout, model, mixture, scores),
        merge=None if merge is None else _contender(layout, model, merge, scores),
        picked=_contender(layout, model, picked, scores),
        problems=() if merge is None else _problems(layout, model, mixture, merge, scores),
        correlation=sum(known) / len(known) if known else None,
        correlations=(min(layers), max(layers)) if layers else None,
        threshold=layout.high_correlation,
    )


def _contender(layout: Layout, model: Model, variant: Variant, scores: Scores) -> Contender:
    average = comparison.of_variant(layout, model, variant.name, "test", scores).average
    return Contender(label.full(layout, model, variant), variant.name, average)


def _problems(
    layout: Layout, model: Model, mixture: Variant, merge: Variant, scores: Scores
) -> tuple[tuple[str, int, int, int], ...]:
    mixed, merged = scores[model.key, mixture.name], scores[model.key, merge.name]
    found = []
    for column in layout.columns_of("test"):
        if column.counted and column.suite in mixed.items:
            count = mixed.items[column.suite]
            solved = [round(entry.values[column.key] * count) for entry in (mixed, merged)]
            found.append((column.header, solved[0], solved[1], count))
    return tuple(found)
