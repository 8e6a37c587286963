"""Layer statistics of checkpoints: distance from the base, and agreement of their updates.

An update is specialist - base, over all parameters of a group as one vector. Tensors are streamed
in pieces and sums kept in float64. Means and centred sums are combined piece by piece with the
pairwise update of Chan, Golub and LeVeque (1983), "Algorithms for computing the sample variance":
the textbook formula sum(xy) - n mean(x) mean(y) cancels where the mean is large beside the spread.
"""

import math
from collections.abc import Iterator
from functools import reduce
from itertools import combinations
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from tqdm import tqdm

from mixmerge.checkpoint.tensors import Floats, aligned
from mixmerge.weights.groups import Group, align, group_of, order


def layer_distances(base: Path, variant: Path) -> dict[str, Any]:
    """Compute the L2 norm of (variant - base) over each group (Figures 2 and 4 of the paper).

    Args:
        base: the base model's checkpoint.
        variant: a checkpoint trained or merged from it.

    Returns:
        ``{"groups": [...], "total": {...}}``. Each group has its name, layer (None outside the
        layers), number of parameters, ``l2`` (norm of the difference), ``base_l2`` (norm of the
        base's parameters) and ``relative_l2``, their quotient (None where the base is 0).

    Raises:
        UserError: a broken checkpoint, or two that do not hold the same tensors.
    """
    sums: dict[Group, tuple[int, float, float]] = {}
    for group, (before, after) in _pieces([base, variant], f"distance {variant.name}"):
        count, moved, stood = sums.get(group, (0, 0.0, 0.0))
        moved += float(np.square(after - before).sum())
        sums[group] = count + before.size, moved, stood + float(np.square(before).sum())
    counts, moved_by_group, stood_by_group = zip(*sums.values(), strict=True)
    total = _norms(sum(counts), math.fsum(moved_by_group), math.fsum(stood_by_group))
    return _by_group({group: _norms(*values) for group, values in sums.items()}, total)


def update_agreement(base: Path, variants: dict[str, Path]) -> dict[str, Any]:
    """Compare the updates of all pairs of checkpoints (Figure 3, equation 1 of the paper).

    Every file is read once, whatever the number of pairs; memory is bounded by a piece of a tensor
    for each checkpoint.

    Args:
        base: the base model's checkpoint.
        variants: name -> checkpoint trained from it; at least two.

    Returns:
        ``{"pairs": [{"a", "b", "groups": [...], "total": {...}}]}``. Each group has its name,
        layer and number of parameters, and

        - ``pearson``: Pearson's r of the two updates (equation 1),
        - ``cosine``: the cosine of their angle (r without the means taken off),
        - ``sign_conflict``: of the parameters that both updates moved, the share which they moved
          in opposite directions,
        - ``norm_ratio``: the norm of a's update over that of b's,

        each None where it is undefined (an update that is 0 or constant).

    Raises:
        UserError: a broken checkpoint, or some that do not hold the same tensors.
    """
    names = list(variants)
    pairs: dict[tuple[int, int], dict[Group, _Moments]] = {
        pair: {} for pair in combinations(range(len(names)), 2)
    }
    label = f"agreement of {len(names)} updates"
    for group, (before, *after) in _pieces([base, *variants.values()], label):
        updates = [values - before for values in after]
        for (a, b), moments in pairs.items():
            piece = _moments(updates[a], updates[b])
            moments[group] = _joined(moments.get(group, _Moments()), piece)
    agreements = []
    for (a, b), moments in pairs.items():
        total = reduce(
            _joined, (moments[group] for group in sorted(moments, key=order)), _Moments()
        )
        rows = {group: _agreement(entry) for group, entry in moments.items()}
        agreements.append({"a": names[a], "b": names[b], **_by_group(rows, _agreement(total))})
    return {"pairs": agreements}


def _pieces(directories: list[Path], label: str) -> Iterator[tuple[Group, tuple[Floats, ...]]]:
    """Yield the same stretch of a tensor of every checkpoint, with the tensor's group."""
    tensors = align(directories)
    size = sum(infos[0].size for infos in tensors.values())
    with tqdm(total=size, unit="weights", unit_scale=True, mininterval=1, desc=label) as bar:
        for name, infos in tensors.items():
            for values in aligned(infos):
                yield group_of(name), values
                bar.update(values[0].size)


def _by_group(rows: dict[Group, dict[str, Any]], total: dict[str, Any]) -> dict[str, Any]:
    groups = [{"group": g[0], "layer": g[1], **rows[g]} for g in sorted(rows, key=order)]
    return {"groups": groups, "total": total}


def _norms(parameters: int, moved: float, stood: float) -> dict[str, Any]:
    distance, norm = math.sqrt(moved), math.sqrt(stood)
    return {
        "parameters": parameters,
        "l2": distance,
        "base_l2": norm,
        "relative_l2": distance / norm if norm else None,
    }


class _Moments(NamedTuple):
    """Moments of pairs (x, y)."""

    size: int = 0
    mean_x: float = 0.0
    mean_y: float = 0.0
    #: Sums of products of deviations from the means.
    centred_xx: float = 0.0
    centred_yy: float = 0.0
    centred_xy: float = 0.0
    #: Plain sums x·x, y·y and x·y.
    square_x: float = 0.0
    square_y: float = 0.0
    product: float = 0.0
    #: Pairs in which neither is 0, and of these the pairs of different sign.
    both_moved: float = 0.0
    opposed: float = 0.0


def _moments(x: Floats, y: Floats) -> _Moments:
    """Moments of a piece: two vectors of equal length, not empty."""
    mean_x, mean_y = float(x.mean()), float(y.mean())
    dx, dy = x - mean_x, y - mean_y
    pairs = [(dx, dx), (dy, dy), (dx, dy), (x, x), (y, y), (x, y)]
    moved = (x != 0) & (y != 0)
    # Not the sign of the product, which underflows to 0 for tiny updates.
    opposed = moved & ((x < 0) != (y < 0))
    sums = [(first * second).sum() for first, second in pairs]
    return _Moments(x.size, mean_x, mean_y, *map(float, [*sums, moved.sum(), opposed.sum()]))


def _joined(a: _Moments, b: _Moments) -> _Moments:
    """Moments of two sets of pairs together."""
    total, weight = a.size + b.size, a.size * b.size / (a.size + b.size)
    step_x, step_y = b.mean_x - a.mean_x, b.mean_y - a.mean_y
    return _Moments(
        total,
        a.mean_x + step_x * b.size / total,
        a.mean_y + step_y * b.size / total,
        a.centred_xx + (b.centred_xx + step_x * step_x * weight),
        a.centred_yy + (b.centred_yy + step_y * step_y * weight),
        a.centred_xy + (b.centred_xy + step_x * step_y * weight),
        *(first + second for first, second in zip(a[6:], b[6:], strict=True)),
    )


def _agreement(moments: _Moments) -> dict[str, Any]:
    """The statistics by name."""
    norm_x, norm_y = math.sqrt(moments.square_x), math.sqrt(moments.square_y)
    spread = math.sqrt(moments.centred_xx) * math.sqrt(moments.centred_yy)
    both = moments.both_moved
    return {
        "parameters": moments.size,
        "pearson": _correlation(moments.centred_xy, spread),
        "cosine": _correlation(moments.product, norm_x * norm_y),
        "sign_conflict": moments.opposed / both if both else None,
        "norm_ratio": norm_x / norm_y if moments.square_y else None,
    }


def _correlation(above: float, below: float) -> float | None:
    """The quotient, bounded by 1, which rounding may overstep; None where it is undefined."""
    return max(-1.0, min(1.0, above / below)) if below else None
