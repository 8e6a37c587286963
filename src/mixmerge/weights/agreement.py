"""How far the updates of specialists agree, layer by layer (Figure 3, equation 1 of the paper).

An update is specialist - base, over all parameters of a group as one vector.
"""

from itertools import combinations
from pathlib import Path
from typing import Any

from tqdm import tqdm

from mixmerge.checkpoint.tensors import aligned
from mixmerge.weights.groups import align, group_of, order
from mixmerge.weights.moments import PairMoments

Group = tuple[str, int | None]


def update_agreement(base: Path, variants: dict[str, Path]) -> dict[str, Any]:
    """Compare the updates of all pairs of checkpoints.

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
    pairs = list(combinations(range(len(names)), 2))
    moments: dict[tuple[int, int], dict[Group, PairMoments]] = {pair: {} for pair in pairs}
    tensors = align([base, *variants.values()])
    with tqdm(
        total=sum(infos[0].size for infos in tensors.values()),
        unit="weights",
        unit_scale=True,
        mininterval=1,
        desc=f"agreement of {len(names)} updates",
    ) as bar:
        for name, infos in tensors.items():
            group = group_of(name)
            for before, *after in aligned(infos):
                updates = [values - before for values in after]
                for a, b in pairs:
                    moments[a, b].setdefault(group, PairMoments()).add(updates[a], updates[b])
                bar.update(before.size)
    return {
        "pairs": [{"a": names[a], "b": names[b], **_statistics(moments[a, b])} for a, b in pairs]
    }


def _statistics(moments: dict[Group, PairMoments]) -> dict[str, Any]:
    total = PairMoments()
    groups = []
    for group in sorted(moments, key=order):
        total.merge(moments[group])
        groups.append({"group": group[0], "layer": group[1], **_row(moments[group])})
    return {"groups": groups, "total": _row(total)}


def _row(moments: PairMoments) -> dict[str, Any]:
    return {
        "parameters": moments.count,
        "pearson": moments.pearson,
        "cosine": moments.cosine,
        "sign_conflict": moments.sign_conflict,
        "norm_ratio": moments.norm_ratio,
    }
