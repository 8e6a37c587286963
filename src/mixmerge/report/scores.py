"""Scores of all checkpoints, as the scoring rule wrote them."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from mixmerge.core.errors import UserError
from mixmerge.core.io import read_json
from mixmerge.report.handed import handed, number
from mixmerge.report.layout import Layout


@dataclass(frozen=True)
class VariantScores:
    """Scores of one checkpoint."""

    values: Mapping[str, float]
    """Column key (``suite.metric``) -> value."""

    items: Mapping[str, int] = field(default_factory=dict)
    """Suite -> number of its items."""

    stopped: Mapping[str, float] = field(default_factory=dict)
    """Suite -> share of completions that ended by themselves, before the length limit."""


#: (model, variant) -> scores.
Scores = Mapping[tuple[str, str], VariantScores]


def scores_path(results: Path, model: str, variant: str) -> Path:
    """Where the scoring rule writes a checkpoint's summary."""
    return results / "scores" / model / variant / "scores.json"


def read_scores(layout: Layout, results: Path) -> Scores:
    """Read the scores of every checkpoint of the layout.

    Args:
        layout: names the checkpoints and the columns wanted.
        results: the study's directory.

    Raises:
        UserError: a file, suite or metric is missing.
    """
    return {
        (model.key, variant.name): _read(layout, scores_path(results, model.key, variant.name))
        for model in layout.models
        for variant in model.variants
    }


def _read(layout: Layout, path: Path) -> VariantScores:
    found = read_json(path)
    values: dict[str, float] = {}
    for column in layout.columns:
        try:
            values[column.key] = number(found[column.suite]["metrics"][column.metric], 0)
        except (KeyError, TypeError, ValueError) as error:
            why = f" ({error})" if isinstance(error, ValueError) else ""
            raise UserError(
                f"{path}: no value of metric {column.metric!r} for suite {column.suite!r}{why}; "
                "delete the file and run its rule (score) again"
            ) from None
    with handed(path, "score"):
        return VariantScores(
            values=values,
            items={suite.key: int(number(found[suite.key]["n"], 1)) for suite in layout.suites},
            stopped={
                suite.key: number(found[suite.key]["stopped"], 0, 1) for suite in layout.suites
            },
        )
