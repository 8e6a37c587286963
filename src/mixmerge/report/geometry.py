"""Layer-wise distances and correlations, as the weights stage wrote them."""

from dataclasses import dataclass
from itertools import combinations
from math import nan
from pathlib import Path
from typing import Any

from mixmerge.errors import UserError
from mixmerge.files import read_json
from mixmerge.report.layout import Layout, Model


@dataclass(frozen=True)
class Profile:
    """One number a transformer layer; layers in order, NaN where the number is not defined."""

    layers: tuple[int, ...]
    """Layer indices, from 0."""

    values: tuple[float, ...]
    """One value a layer."""

    @property
    def mean(self) -> float | None:
        """Plain mean over the layers where the value is defined; None where there are none."""
        known = self.known
        return sum(known) / len(known) if known else None

    @property
    def known(self) -> list[float]:
        """The defined values."""
        return [value for value in self.values if value == value]


@dataclass(frozen=True)
class Pair:
    """Two tasks' updates (specialist minus base) against each other."""

    tasks: tuple[str, str]
    """Keys of the two tasks."""

    pearson: Profile
    """Pearson correlation of the two updates over all parameters of a layer."""

    cosine: Profile
    """Cosine similarity of the same."""


def read_distances(results: Path, model: str, variant: str) -> Profile:
    """L2 norm of (variant - base) over each transformer layer's parameters.

    Args:
        results: the study's directory.
        model: key of the model.
        variant: name of the checkpoint.
    """
    path = results / "weights" / model / f"{variant}.json"
    return _profile(path, read_json(path)["groups"], "l2")


def read_pairs(layout: Layout, model: Model, results: Path) -> list[Pair]:
    """Correlations of the updates of each two of the model's specialists.

    Raises:
        UserError: the file is missing or lacks a pair.
    """
    path = results / "weights" / model.key / "updates.json"
    found = {frozenset((entry["a"], entry["b"])): entry for entry in read_json(path)["pairs"]}
    pairs = []
    for a, b in combinations([task.key for task in layout.tasks], 2):
        names = (model.specialists[a], model.specialists[b])
        entry = found.get(frozenset(names))
        if entry is None:
            raise UserError(
                f"{path}: no pair {names[0]} / {names[1]}; delete the file and run its rule "
                "(updates) again"
            )
        groups = entry["groups"]
        pearson, cosine = _profile(path, groups, "pearson"), _profile(path, groups, "cosine")
        pairs.append(Pair((a, b), pearson, cosine))
    return pairs


def _profile(path: Path, groups: list[dict[str, Any]], key: str) -> Profile:
    layers = sorted(
        (int(group["layer"]), nan if group[key] is None else float(group[key]))
        for group in groups
        if group["layer"] is not None
    )
    if not layers:
        raise UserError(f"{path}: names no transformer layer; the figures need at least one")
    return Profile(tuple(layer for layer, _ in layers), tuple(value for _, value in layers))
