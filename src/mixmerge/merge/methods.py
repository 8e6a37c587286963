"""What MergeKit's merge methods take, as data: known without importing MergeKit (5 s).

The table mirrors ``mergekit.merge_methods.registry`` of the pinned release; a test compares the
two. It exists because MergeKit ignores an unknown or misplaced parameter without a word (a
top-level ``lambda``, ``density`` on ``linear``, a typing slip), which is how the paper's λ=1.3
never took effect.
"""

from dataclasses import dataclass, field
from typing import Literal


@dataclass(frozen=True)
class Method:
    """The contract of one merge method."""

    base: Literal["required", "optional", "ignored"]
    """Whether it needs a base model the others are compared with."""

    min_inputs: int = 1
    """Fewest input models, the base included."""

    max_inputs: int | None = None
    """Most input models, the base included; None is any number."""

    min_others: int | None = None
    """Fewest input models beside the base; None asks for none."""

    max_others: int | None = None
    """Most input models beside the base; None is any number."""

    shared: dict[str, str] = field(default_factory=dict)
    """Parameters of the merge as a whole -> type name."""

    per_model: dict[str, str] = field(default_factory=dict)
    """Parameters each input model takes -> type name."""

    required: tuple[str, ...] = ()
    """Shared parameters without a default."""

    @property
    def weighted(self) -> bool:
        """Whether each input model takes a weight."""
        return "weight" in self.per_model

    @property
    def pivots(self) -> bool:
        """Whether it goes from one model to one other, so that either may be its base."""
        return self.base == "required" and self.max_inputs == 2


#: Shared parameters of the task arithmetic family (`GeneralizedTaskArithmeticMerge`).
_ARITHMETIC = {"int8_mask": "bool", "normalize": "bool", "rescale": "bool", "lambda": "float"}
_DENSITY = {"weight": "float", "density": "float"}
_BREADCRUMBS = {**_DENSITY, "gamma": "float"}
_DELLA = {**_DENSITY, "epsilon": "float"}
_WEIGHT = {"weight": "float"}

METHODS: dict[str, Method] = {
    "arcee_fusion": Method("required", 2, 2),
    "breadcrumbs": Method("required", shared=_ARITHMETIC, per_model=_BREADCRUMBS),
    "breadcrumbs_ties": Method("required", shared=_ARITHMETIC, per_model=_BREADCRUMBS),
    "dare_linear": Method("required", shared=_ARITHMETIC, per_model=_DENSITY),
    "dare_ties": Method("required", shared=_ARITHMETIC, per_model=_DENSITY),
    "della": Method("required", shared=_ARITHMETIC, per_model=_DELLA),
    "della_linear": Method("required", shared=_ARITHMETIC, per_model=_DELLA),
    "karcher": Method("ignored", shared={"max_iter": "int", "tol": "float"}),
    "linear": Method("ignored", shared={"normalize": "bool"}, per_model=_WEIGHT),
    "model_stock": Method("required", 3, shared={"filter_wise": "bool"}),
    "multislerp": Method(
        "optional",
        min_others=1,
        shared={"normalize_weights": "bool", "eps": "float"},
        per_model=_WEIGHT,
    ),
    "nearswap": Method("required", 2, 2, shared={"t": "float"}, required=("t",)),
    "nuslerp": Method(
        "optional",
        min_others=2,
        max_others=2,
        shared={"nuslerp_row_wise": "bool", "nuslerp_flatten": "bool"},
        per_model=_WEIGHT,
    ),
    "passthrough": Method("ignored", 1, 1, per_model={"scale": "float"}),
    "ram": Method("required", shared={"epsilon": "float"}),
    "ramplus_tl": Method("required", shared={"r": "float", "alpha": "float", "epsilon": "float"}),
    "sce": Method("required", shared={"int8_mask": "bool", "select_topk": "float"}),
    "slerp": Method("required", 2, 2, shared={"t": "float"}, required=("t",)),
    "task_arithmetic": Method("required", shared=_ARITHMETIC, per_model=_DENSITY),
    "ties": Method("required", shared=_ARITHMETIC, per_model=_DENSITY),
}
