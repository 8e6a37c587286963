"""Layer-wise L2 distance of a checkpoint from its base (Figures 2 and 4 of the paper)."""

import math
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm

from mixmerge.checkpoint.tensors import aligned
from mixmerge.weights.groups import align, group_of, order


def layer_distances(base: Path, variant: Path) -> dict[str, Any]:
    """Compute the L2 norm of (variant - base) over each group of parameters.

    Tensors are streamed in pieces; sums are kept in float64.

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
    counts: dict[tuple[str, int | None], int] = {}
    moved: dict[tuple[str, int | None], float] = {}
    stood: dict[tuple[str, int | None], float] = {}
    tensors = align([base, variant])
    with tqdm(
        total=sum(infos[0].size for infos in tensors.values()),
        unit="weights",
        unit_scale=True,
        mininterval=1,
        desc=f"distance {variant.name}",
    ) as bar:
        for name, infos in tensors.items():
            group = group_of(name)
            for before, after in aligned(infos):
                difference = after - before
                moved[group] = moved.get(group, 0.0) + float(np.square(difference).sum())
                stood[group] = stood.get(group, 0.0) + float(np.square(before).sum())
                bar.update(before.size)
            counts[group] = counts.get(group, 0) + infos[0].size
    groups = [
        {"group": group[0], "layer": group[1]}
        | _norms(counts[group], moved.get(group, 0.0), stood.get(group, 0.0))
        for group in sorted(counts, key=order)
    ]
    total = _norms(sum(counts.values()), math.fsum(moved.values()), math.fsum(stood.values()))
    return {"groups": groups, "total": total}


def _norms(parameters: int, moved: float, stood: float) -> dict[str, Any]:
    distance, norm = math.sqrt(moved), math.sqrt(stood)
    return {
        "parameters": parameters,
        "l2": distance,
        "base_l2": norm,
        "relative_l2": distance / norm if norm else None,
    }
