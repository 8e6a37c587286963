"""Who is compared with whom, in which families, and Holm's correction over a family."""

import gc
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

from mixmerge.uncertainty.settings import Arm, Measure, UncertaintySettings

#: Column key of comparisons of AVG.
AVERAGE = "avg"


@dataclass(frozen=True)
class Match:
    """One comparison to be made."""

    variant: str
    """The checkpoint."""

    against: Literal["mixture", "specialist"]
    """What it is measured against."""

    reference: str
    """The checkpoint it is measured against; all specialists joined by ``+`` for AVG."""

    column: str
    """Key of the column, or ``avg``."""

    family: str
    """The comparisons corrected together have the same."""


def matches(settings: UncertaintySettings) -> Iterator[Match]:
    """All comparisons of a model, on the test suites.

    Merges meet the mixture and the specialists in every column and in AVG; base and mixtures meet
    the specialists; a specialist meets the others in their columns. Specialists trained on another
    share of their data meet the specialist of their own task in its columns.
    """
    measures = settings.of_role("test")
    everyone = "+".join(settings.specialists[task] for task in settings.tasks)
    for arm in settings.arms:
        for measure in measures:
            reference = settings.specialists[measure.task]
            if reference != arm.name and _meets(arm, measure, settings):
                yield _match(arm, "specialist", reference, measure.key, settings)
        if not _scaled(arm, settings):
            yield _match(arm, "specialist", everyone, AVERAGE, settings)
        if arm.kind == "merge":
            for column in [*(measure.key for measure in measures), AVERAGE]:
                yield _match(arm, "mixture", settings.mixture, column, settings)


def _scaled(arm: Arm, settings: UncertaintySettings) -> bool:
    """Whether it is a specialist that others are not compared with."""
    return arm.kind == "sft" and arm.name not in settings.specialists.values()


def _meets(arm: Arm, measure: Measure, settings: UncertaintySettings) -> bool:
    return not _scaled(arm, settings) or arm.task == measure.task


def _match(
    arm: Arm,
    against: Literal["mixture", "specialist"],
    reference: str,
    column: str,
    settings: UncertaintySettings,
) -> Match:
    family = f"{_sweep(arm, settings)}, {column}, against {against}"
    return Match(arm.name, against, reference, column, family)


def _sweep(arm: Arm, settings: UncertaintySettings) -> str:
    """The checkpoints that differ only in what is swept: a ratio, or a share of the data."""
    if arm.kind == "merge":
        return f"ratios of {arm.strategy}"
    if _scaled(arm, settings):
        return f"shares of {arm.task}"
    if arm.kind == "mix" and arm.name != settings.mixture:
        return "shares of the mixture"
    return arm.name


def holm(families: Sequence[str], p_values: Sequence[float]) -> list[float]:
    """Holm's adjusted p-values, family by family, by statsmodels.

    Args:
        families: the family of each comparison.
        p_values: p-value of each comparison.

    Returns:
        Adjusted p-values in the same order.
    """
    from statsmodels.stats.multitest import multipletests

    members: dict[str, list[int]] = {}
    for i, family in enumerate(families):
        members.setdefault(family, []).append(i)
    adjusted = [0.0] * len(p_values)
    # multipletests collects garbage at each call, and searches all that was imported for it.
    gc.freeze()
    try:
        for places in members.values():
            found = multipletests([p_values[i] for i in places], method="holm")[1]
            for i, value in zip(places, found, strict=True):
                adjusted[i] = float(value)
    finally:
        gc.unfreeze()
    return adjusted
