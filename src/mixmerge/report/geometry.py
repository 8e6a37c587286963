"""Layer-wise distances and correlations, as the weights stage wrote them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from math import nan
from pathlib import Path
from typing import Any

from mixmerge.core.errors import UserError
from mixmerge.core.io import read_json
from mixmerge.report.handed import handed, number
from mixmerge.report.layout import Layout, Model, Variant


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

    sign_conflict: Profile = Profile((), ())
    """Of the parameters that both moved, the share that they moved in opposite directions."""

    norm_ratio: Profile = Profile((), ())
    """Norm of the first task's update over that of the second's."""


@dataclass(frozen=True)
class Spread:
    """Mean and range of a number over layers and pairs of tasks."""

    mean: float
    """Mean over pairs of the mean over layers."""

    low: float
    """Lowest layer of any pair."""

    high: float
    """Highest layer of any pair."""


@dataclass(frozen=True)
class Geometry:
    """What a model's weights say, over all layers and pairs of tasks."""

    pearson: Spread | None
    """Pearson correlation of the specialists' updates."""

    cosine: Spread | None
    """Cosine of the same."""

    sign_conflict: Spread | None
    """Share of parameters that two updates moved in opposite directions."""

    norm_ratio: Spread | None
    """Norm of an earlier task's update over that of a later one's."""

    layers: int
    """Number of transformer layers."""

    pairs: int
    """Number of pairs of tasks."""

    distances: Mapping[str, float | None]
    """Checkpoint -> norm of its update over the norm of the base's weights: the specialists, the
    mixture and, where there is one, the merge that stands for merging."""


def read_geometry(layout: Layout, model: Model, merge: Variant | None, results: Path) -> Geometry:
    """Sum up the weights of a model's specialists, mixture and one merge.

    Raises:
        UserError: a file of statistics is missing or lacks a pair.
    """
    pairs = read_pairs(layout, model, results)
    names = [*layout.specialists(model), model.mixture, *([merge.name] if merge else [])]
    return Geometry(
        pearson=_spread([pair.pearson for pair in pairs]),
        cosine=_spread([pair.cosine for pair in pairs]),
        sign_conflict=_spread([pair.sign_conflict for pair in pairs]),
        norm_ratio=_spread([pair.norm_ratio for pair in pairs]),
        layers=max((len(pair.pearson.layers) for pair in pairs), default=0),
        pairs=len(pairs),
        distances={name: read_relative_distance(results, model.key, name) for name in names},
    )


def _spread(profiles: Sequence[Profile]) -> Spread | None:
    """Mean and range of a number over layers and pairs; None where it is defined nowhere."""
    means = [profile.mean for profile in profiles if profile.mean is not None]
    layers = [value for profile in profiles for value in profile.known]
    return Spread(sum(means) / len(means), min(layers), max(layers)) if means else None


def read_distances(results: Path, model: str, variant: str) -> Profile:
    """L2 norm of (variant - base) over each transformer layer's parameters.

    Args:
        results: the study's directory.
        model: key of the model.
        variant: name of the checkpoint.
    """
    path = results / "weights" / model / f"{variant}.json"
    found = read_json(path)
    with handed(path, "layers or merged_layers"):
        return _profile(path, found["groups"], "l2")


def read_relative_distance(results: Path, model: str, variant: str) -> float | None:
    """Norm of (variant - base) over the norm of base, all parameters; None where not defined.

    Args:
        results: the study's directory.
        model: key of the model.
        variant: name of the checkpoint.
    """
    path = results / "weights" / model / f"{variant}.json"
    content = read_json(path)
    with handed(path, "layers or merged_layers"):
        found = content["total"].get("relative_l2")
        return None if found is None else number(found)


def read_pairs(layout: Layout, model: Model, results: Path) -> list[Pair]:
    """Correlations of the updates of each two of the model's specialists.

    Raises:
        UserError: the file is missing or lacks a pair.
    """
    path = results / "weights" / model.key / "updates.json"
    content = read_json(path)
    with handed(path, "updates"):
        return _pairs(layout, model, path, content["pairs"])


def _pairs(
    layout: Layout, model: Model, path: Path, content: Sequence[Mapping[str, Any]]
) -> list[Pair]:
    found = {frozenset((entry["a"], entry["b"])): entry for entry in content}
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
        # The file names its two sides itself; a ratio taken the other way round is the inverse.
        norm_ratio = _profile(path, groups, "norm_ratio")
        pairs.append(
            Pair(
                (a, b),
                _profile(path, groups, "pearson"),
                _profile(path, groups, "cosine"),
                _profile(path, groups, "sign_conflict"),
                norm_ratio if entry["a"] == names[0] else _inverse(norm_ratio),
            )
        )
    return pairs


def _inverse(profile: Profile) -> Profile:
    return Profile(profile.layers, tuple(1 / v if v else nan for v in profile.values))


def _profile(path: Path, groups: list[dict[str, Any]], key: str) -> Profile:
    wanted = [group for group in groups if group["layer"] is not None]
    if any(key not in group for group in wanted):
        raise UserError(f"{path}: a layer has no {key!r}; delete the file and run its rule again")
    layers = sorted(
        (int(group["layer"]), nan if group[key] is None else number(group[key])) for group in wanted
    )
    if not layers:
        raise UserError(f"{path}: names no transformer layer; the figures need at least one")
    return Profile(tuple(layer for layer, _ in layers), tuple(value for _, value in layers))
