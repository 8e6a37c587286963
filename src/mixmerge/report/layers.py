"""Layer-wise statistics of a study's weights: distances from the base, similarity of updates."""

from collections.abc import Sequence
from itertools import combinations
from math import nan
from pathlib import Path
from typing import Any

import pandas as pd

from mixmerge.core.errors import UserError
from mixmerge.core.io import read_json
from mixmerge.report.results import finite, validated_input
from mixmerge.report.settings import Layout, Model

#: How two tasks' updates compare.
MEASURES = ("pearson", "cosine", "sign_conflict", "norm_ratio")


def read_distances(root: Path, model: str, variant: str) -> pd.Series:
    """L2 norm of (variant - base) over each transformer layer's parameters, by layer."""
    path = root / "weights" / model / f"{variant}.json"
    content = read_json(path)
    with validated_input(path, "layers or merged_layers"):
        return _layers(path, content["groups"], ("l2",))["l2"]


def read_relative_distance(root: Path, model: str, variant: str) -> float | None:
    """Norm of (variant - base) over the norm of base, all parameters; None where not defined."""
    path = root / "weights" / model / f"{variant}.json"
    content = read_json(path)
    with validated_input(path, "layers or merged_layers"):
        value = content["total"].get("relative_l2")
        return None if value is None else finite(value)


def read_pairs(layout: Layout, model: Model, root: Path) -> dict[tuple[str, str], pd.DataFrame]:
    """Similarity of the updates (specialist minus base) of each two tasks, by layer.

    Returns:
        The two tasks -> a row a layer: `pearson` and `cosine` of the updates, `sign_conflict` (of
        the parameters that both moved, the share that they moved in opposite directions) and
        `norm_ratio` (the first task's norm over the second's).

    Raises:
        UserError: the file is missing or lacks a pair.
    """
    path = root / "weights" / model.key / "updates.json"
    content = read_json(path)
    pairs = {}
    with validated_input(path, "updates"):
        entries = {frozenset((entry["a"], entry["b"])): entry for entry in content["pairs"]}
        for a, b in combinations([task.key for task in layout.tasks], 2):
            names = (model.specialists[a], model.specialists[b])
            entry = entries.get(frozenset(names))
            if entry is None:
                raise UserError(
                    f"{path}: no pair {names[0]} / {names[1]}; delete the file and run its rule "
                    "(updates) again"
                )
            frame = _layers(path, entry["groups"], MEASURES)
            if entry["a"] != names[0]:
                # The file names its two sides itself; a ratio taken the other way is the inverse.
                frame["norm_ratio"] = [1 / v if v else nan for v in frame["norm_ratio"]]
            pairs[a, b] = frame
    return pairs


def _layers(path: Path, groups: list[dict[str, Any]], measures: Sequence[str]) -> pd.DataFrame:
    """Numbers by transformer layer, NaN where one is not defined."""
    wanted = [group for group in groups if group["layer"] is not None]
    for measure in measures:
        if any(measure not in group for group in wanted):
            raise UserError(
                f"{path}: a layer has no {measure!r}; delete the file and run its rule again"
            )
    rows = {
        int(group["layer"]): [nan if group[m] is None else finite(group[m]) for m in measures]
        for group in wanted
    }
    if not rows:
        raise UserError(f"{path}: names no transformer layer; the figures need at least one")
    return pd.DataFrame.from_dict(rows, orient="index", columns=list(measures)).sort_index()
