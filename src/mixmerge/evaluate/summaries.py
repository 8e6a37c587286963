"""Scores the completions of a summary suite, pair by pair."""

from pathlib import Path

from tqdm import tqdm

from mixmerge.errors import UserError
from mixmerge.evaluate.metrics import METRICS
from mixmerge.evaluate.normalise import normalise
from mixmerge.evaluate.suite import Completion, Item

#: One row of a summary suite's scores: the id and a value for each metric.
PairScores = dict[str, str | float]


def score_pair(prediction: str, reference: str, metrics: list[str]) -> dict[str, float]:
    """The metrics of one pair, after normalisation; all 0 where either text is then empty."""
    prediction, reference = normalise(prediction), normalise(reference)
    if not prediction or not reference:
        return dict.fromkeys(metrics, 0.0)
    return {name: METRICS[name](prediction, reference) for name in metrics}


def score_summaries(
    completions: list[Completion], items: list[Item], items_path: Path, metrics: list[str]
) -> list[PairScores]:
    """Score every completion against its item's reference, in order.

    Args:
        completions: in the order of ``items``.
        items: the suite's items, each with a reference.
        items_path: their file, for messages.
        metrics: keys of `mixmerge.evaluate.metrics.METRICS`.

    Raises:
        UserError: an item without a reference.
    """
    rows: list[PairScores] = []
    pairs = zip(completions, items, strict=True)
    for row, item in tqdm(pairs, total=len(items), desc="score", unit="pair", mininterval=1):
        if item.reference is None:
            raise UserError(
                f"{items_path}: item {item.id!r} has no reference, which a summary suite needs"
            )
        rows.append({"id": item.id, **score_pair(row.completion, item.reference, metrics)})
    return rows


def means(rows: list[PairScores], metrics: list[str]) -> dict[str, float]:
    """Mean over the pairs of each metric."""
    return {name: sum(float(row[name]) for row in rows) / len(rows) for name in metrics}
