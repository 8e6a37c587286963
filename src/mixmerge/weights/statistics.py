"""Layer statistics of checkpoints: distance from the base, and agreement of their updates.

An update is specialist - base, over all parameters of a group (a transformer layer, or one of the
rest) as one vector. Tensors are streamed in pieces and sums kept in float64.
"""

import math
from collections import defaultdict
from collections.abc import Iterator
from functools import reduce
from itertools import combinations
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from tqdm import tqdm

from mixmerge.artifacts.manifest import MANIFEST, read_manifest
from mixmerge.checkpoint.architecture import (
    HEAD,
    LAYER,
    embeddings,
    is_tied,
    output_layer,
    without_tied_head,
)
from mixmerge.checkpoint.index import TensorInfo, read_index
from mixmerge.checkpoint.tensors import Floats, aligned
from mixmerge.core.errors import UserError

Group = tuple[int, int, str]  # rank in the model's order (1: a layer), number of the layer, name


def layer_distances(base: Path, variant: Path) -> dict[str, Any]:
    """Compute the L2 norm of (variant - base) over each group (Figures 2 and 4 of the paper).

    Returns ``{"groups": [...], "total": {...}}``; ``l2`` is the norm of the difference, ``base_l2``
    that of the base, ``relative_l2`` their quotient. `UserError`: broken, or other tensors.
    """
    sums: defaultdict[Group, Floats] = defaultdict(lambda: np.zeros(3))
    for group, (before, after) in _pieces([base, variant], f"distance {variant.name}"):
        sums[group] += [before.size, np.square(after - before).sum(), np.square(before).sum()]
    total = _norms(*map(math.fsum, zip(*sums.values(), strict=True)))
    return _by_group({group: _norms(*values) for group, values in sums.items()}, total)


def _norms(parameters: float, moved: float, stood: float) -> dict[str, Any]:
    moved, stood = math.sqrt(moved), math.sqrt(stood)
    norms = {"l2": moved, "base_l2": stood, "relative_l2": moved / stood if stood else None}
    return {"parameters": int(parameters), **norms}


def update_agreement(base: Path, variants: dict[str, Path]) -> dict[str, Any]:
    """Compare the updates of all pairs of checkpoints (Figure 3, equation 1 of the paper).

    Returns ``{"pairs": [{"a", "b", "groups": [...], "total": {...}}]}``: Pearson's r, cosine (r
    without the means taken off), ``sign_conflict`` (of the parameters that both moved, the share
    moved in opposite directions) and ``norm_ratio`` (a's over b's), each None where undefined (an
    update that is 0 or constant). Every file is read once. `UserError`: broken, or other tensors.
    """
    pairs: dict[Any, dict[Group, _Moments]] = {pair: {} for pair in combinations(variants, 2)}
    label = f"agreement of {len(variants)} updates"
    for group, (before, *after) in _pieces([base, *variants.values()], label):
        updates = {name: values - before for name, values in zip(variants, after, strict=True)}
        for (a, b), moments in pairs.items():
            piece = _moments(updates[a], updates[b])
            moments[group] = _joined(moments.get(group, _NOTHING), piece)
    agreements = []
    for (a, b), moments in pairs.items():
        total = reduce(_joined, (moments[group] for group in sorted(moments)), _NOTHING)
        rows = {group: _agreement(entry) for group, entry in moments.items()}
        agreements.append({"a": a, "b": b, **_by_group(rows, _agreement(total))})
    return {"pairs": agreements}


class _Moments(NamedTuple):
    """Moments of pairs (x, y)."""

    size: int
    mean: Floats  # of x and of y
    centred: Floats  # sums of products of deviations from the means: xx, yy, xy
    sums: Floats  # xx, yy, xy; pairs in which neither is 0, and of these those of different sign


_NOTHING = _Moments(0, np.zeros(2), np.zeros(3), np.zeros(5))


def _moments(x: Floats, y: Floats) -> _Moments:
    """Moments of a piece: two vectors of equal length, not empty."""
    mean = np.array([x.mean(), y.mean()])
    dx, dy = x - mean[0], y - mean[1]
    moved = (x != 0) & (y != 0)
    opposed = moved & ((x < 0) != (y < 0))  # the product underflows to 0 for tiny updates
    centred = np.array([(dx * dx).sum(), (dy * dy).sum(), (dx * dy).sum()])
    sums = [(x * x).sum(), (y * y).sum(), (x * y).sum(), moved.sum(), opposed.sum()]
    return _Moments(x.size, mean, centred, np.array(sums, np.float64))


def _joined(a: _Moments, b: _Moments) -> _Moments:
    """Moments of two sets of pairs together, by Chan, Golub and LeVeque's update (1983)."""
    size = a.size + b.size
    step = b.mean - a.mean
    between = step[[0, 1, 0]] * step[[0, 1, 1]] * (a.size * b.size / size)
    mean = a.mean + step * b.size / size
    return _Moments(size, mean, a.centred + (b.centred + between), a.sums + b.sums)


def _agreement(moments: _Moments) -> dict[str, Any]:
    """The statistics by name."""
    centred_x, centred_y, centred = map(float, moments.centred)
    square_x, square_y, product, both, opposed = map(float, moments.sums)
    norm_x, norm_y = math.sqrt(square_x), math.sqrt(square_y)

    def correlation(above: float, below: float) -> float | None:  # rounding may overstep 1
        return max(-1.0, min(1.0, above / below)) if below else None

    return {
        "parameters": moments.size,
        "pearson": correlation(centred, math.sqrt(centred_x) * math.sqrt(centred_y)),
        "cosine": correlation(product, norm_x * norm_y),
        "sign_conflict": opposed / both if both else None,
        "norm_ratio": norm_x / norm_y if square_y else None,
    }


def _by_group(rows: dict[Group, dict[str, Any]], total: dict[str, Any]) -> dict[str, Any]:
    groups = []
    for (rank, layer, name), row in sorted(rows.items()):
        groups.append({"group": name, "layer": layer if rank == 1 else None, **row})
    return {"groups": groups, "total": total}


def _pieces(directories: list[Path], label: str) -> Iterator[tuple[Group, tuple[Floats, ...]]]:
    """Yield the same stretch of a tensor of every checkpoint, with the tensor's group."""
    matched = _matched(directories)
    head = output_layer({name: infos[0] for name, infos in matched.items()})
    tensors = sorted(
        (_group_of(name, infos[0], head), name, infos) for name, infos in matched.items()
    )
    size = sum(infos[0].size for *_, infos in tensors)
    with tqdm(total=size, unit="weights", unit_scale=True, mininterval=1, desc=label) as bar:
        for group, _, infos in tensors:
            for values in aligned(infos):
                yield group, values
                bar.update(values[0].size)


def _group_of(name: str, info: TensorInfo, head: str | None) -> Group:
    if match := LAYER.search(name):
        return 1, int(match[1]), f"layer.{int(match[1])}"
    if head is not None and name.startswith(head.removesuffix("weight")):
        return 3, 0, "lm_head"
    if len(info.shape) == 2 and any(word in name for word in ("emb", "wte", "wpe")):
        return 0, 0, "embeddings"
    return (2, 0, "final_norm") if "norm" in name or "ln_f" in name else (4, 0, "other")


def _matched(directories: list[Path]) -> dict[str, list[TensorInfo]]:
    """Name -> the tensor in each checkpoint, the base first; embeddings stand for a tied head."""
    for directory in directories:
        if (directory / MANIFEST).exists():
            read_manifest(directory, "checkpoint")
    indexes = [without_tied_head(directory, read_index(directory)) for directory in directories]
    tied = [is_tied(*pair) for pair in zip(directories, indexes, strict=True)]
    heads = [head for head in map(output_layer, indexes) if head]
    head = heads[0] if heads else HEAD
    for tied_here, index in zip(tied, indexes, strict=True):
        if (heads or not all(tied)) and tied_here and (source := embeddings(index)):
            index.setdefault(head, source)
    base = indexes[0]
    for directory, index in zip(directories, indexes, strict=True):
        for name in sorted(base.keys() | index.keys()):
            mine, theirs = index.get(name), base.get(name)
            if mine and theirs and mine.shape == theirs.shape:
                continue
            problem = "holds an extra" if mine else "lacks"
            if mine and theirs:
                problem = f"has shape {list(mine.shape)}, not {list(theirs.shape)}, of"
            raise UserError(
                f"{mine.file if mine else directory}: {problem} tensor {name!r}, compared with "
                f"{directories[0]}; only checkpoints of the same base model can be compared"
            )
    return {name: [index[name] for index in indexes] for name in base}
