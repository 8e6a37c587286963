"""Merge methods as data: what each of MergeKit's takes, known without importing MergeKit (5 s).

The table mirrors ``mergekit.merge_methods.registry`` of the pinned release; a test compares the
two. It exists because MergeKit ignores an unknown or misplaced parameter without a word (``lambda``
given to each model, ``density`` on ``linear``, a typing slip), which is how the paper's λ=1.3 never
took effect. All checks raise ValueError, so that they serve as validators of config sections; the
messages begin with the field.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from mixmerge.core.errors import nearest

#: Parameters that are fractions: MergeKit accepts a density of 3 and writes garbage.
_FRACTIONS = {"density", "gamma", "select_topk"}

#: DELLA's epsilon where none is given (MergeKit's default).
_DELLA_EPSILON = 0.15

_TYPES: dict[str, tuple[tuple[type, ...], str]] = {
    "bool": ((bool,), "true or false"),
    "int": ((int,), "a whole number"),
    "float": ((int, float), "a number"),
}


@dataclass(frozen=True)
class Method:
    """The contract of one merge method."""

    base: Literal["required", "optional", "ignored"]
    """Whether it needs a base model the others are compared with."""
    min_inputs: int = 1
    """Fewest input models, the base included."""
    max_inputs: int | None = None
    """Most of them; None is any number."""
    min_others: int | None = None
    """Fewest input models beside the base; None asks for none."""
    max_others: int | None = None
    """Most of them; None is any number."""
    shared: Mapping[str, str] = field(default_factory=dict)
    """Parameters of the merge as a whole -> type name."""
    per_model: Mapping[str, str] = field(default_factory=dict)
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
_WEIGHT = {"weight": "float"}
_DENSITY = {**_WEIGHT, "density": "float"}
_BREADCRUMBS = {**_DENSITY, "gamma": "float"}
_DELLA = {**_DENSITY, "epsilon": "float"}
_NUSLERP = {"nuslerp_row_wise": "bool", "nuslerp_flatten": "bool"}
_MULTISLERP = {"normalize_weights": "bool", "eps": "float"}
_RAMPLUS = {"r": "float", "alpha": "float", "epsilon": "float"}

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
    "multislerp": Method("optional", min_others=1, shared=_MULTISLERP, per_model=_WEIGHT),
    "nearswap": Method("required", 2, 2, shared={"t": "float"}, required=("t",)),
    "nuslerp": Method("optional", 1, None, 2, 2, shared=_NUSLERP, per_model=_WEIGHT),
    "passthrough": Method("ignored", 1, 1, per_model={"scale": "float"}),
    "ram": Method("required", shared={"epsilon": "float"}),
    "ramplus_tl": Method("required", shared=_RAMPLUS),
    "sce": Method("required", shared={"int8_mask": "bool", "select_topk": "float"}),
    "slerp": Method("required", 2, 2, shared={"t": "float"}, required=("t",)),
    "task_arithmetic": Method("required", shared=_ARITHMETIC, per_model=_DENSITY),
    "ties": Method("required", shared=_ARITHMETIC, per_model=_DENSITY),
}


def check_parameters(
    name: str, parameters: Mapping[str, Any], model_parameters: Mapping[str, Any]
) -> None:
    """Check a strategy's parameters, of the merge as a whole and of each specialist.

    Raises:
        ValueError: unknown method or parameter, a parameter in the wrong place or of the wrong
            type, a fraction outside 0..1, a missing required parameter.
    """
    if name not in METHODS:
        raise ValueError(f"unknown merge method {name!r}{nearest(name, set(METHODS))}")
    method = METHODS[name]
    places = {
        "parameters": (parameters, method.shared, "model_parameters"),
        "model_parameters": (model_parameters, method.per_model, "parameters"),
    }
    for place, (values, known, other_place) in places.items():
        if "weight" in values:
            raise ValueError(f"{place}.weight: weights come from `ratios`; leave it out here")
        for key, value in values.items():
            if key not in known:
                other = places[other_place][1]
                if key in other:
                    raise ValueError(f"{place}.{key}: {name!r} takes it under `{other_place}`")
                hint = nearest(str(key), {*known, *other})
                raise ValueError(f"{place}.{key}: {name!r} has no such parameter{hint}")
            for scalar in _scalars(value):
                _check_value(f"{place}.{key}", key, scalar, known[key])
    if name == "slerp" and "t" in parameters:
        raise ValueError("parameters.t: slerp's t comes from `ratios`; leave it out here")
    for key in method.required:
        if key not in parameters and name != "slerp":
            raise ValueError(f"parameters.{key}: {name!r} needs it and has no default")
    if "epsilon" in method.per_model:
        _check_della(name, model_parameters)


def _scalars(setting: Any) -> list[Any]:
    """The plain values of a setting: itself, a gradient's, or those of its filters."""
    if isinstance(setting, list):
        return [scalar for element in setting for scalar in _scalars(element)]
    if isinstance(setting, dict) and "value" in setting and set(setting) <= {"value", "filter"}:
        return _scalars(setting["value"])
    return [setting]


def _check_value(where: str, key: str, value: Any, kind: str) -> None:
    """Check one plain value's type and range."""
    types: Any
    types, noun = _TYPES[kind]
    if not isinstance(value, types) or (kind != "bool" and isinstance(value, bool)):
        raise ValueError(f"{where}: expected {noun}, found {value!r}")
    if not math.isfinite(value):
        raise ValueError(f"{where}: {value!r} is not finite")
    if key in _FRACTIONS and not 0 < value <= 1:
        raise ValueError(f"{where}: {value!r} is outside 0 < {key} <= 1")


def _check_della(name: str, values: Mapping[str, Any]) -> None:
    """Check that DELLA's band of densities, density - epsilon .. density + epsilon, is in (0, 1).

    MergeKit finds out in the middle of the merge. A density of 1 keeps everything and has no band.
    """
    for density in _scalars(values.get("density", 1.0)):
        for epsilon in _scalars(values.get("epsilon", _DELLA_EPSILON)):
            if density < 1 and not (density - epsilon > 0 and density + epsilon < 1):
                raise ValueError(
                    f"model_parameters: density {density} ± epsilon {epsilon} leaves the open "
                    f"interval 0..1; {name!r} drops each weight with a probability from that band. "
                    "Choose a smaller epsilon"
                )


def check_number(name: str, specialists: int, pivot: bool) -> None:
    """Check the number of specialists a method merges; with a pivot, one is the base model.

    Raises:
        ValueError: too few or too many for the method, or a pivot where none is possible.
    """
    method = METHODS[name]
    if pivot and not method.pivots:
        able = ", ".join(sorted(key for key, value in METHODS.items() if value.pivots))
        raise ValueError(f"pivot: {name!r} takes none (only {able} do); leave it out")
    others = specialists - pivot
    inputs = specialists if method.base == "ignored" else others + 1
    missing = max(method.min_inputs - inputs, (method.min_others or 0) - others)
    if missing > 0:
        aside = " (one of them is the pivot)" if pivot else ""
        raise ValueError(f"tasks: {name!r} needs {missing} more; {specialists} given{aside}")
    most_inputs, most_others = method.max_inputs or math.inf, method.max_others or math.inf
    if inputs > most_inputs or others > most_others:
        advice = f"name {method.max_others or 'one task'} under `tasks`"
        if method.pivots:
            advice += ", or two tasks and one of them as `pivot`"
        raise ValueError(f"tasks: {specialists} are too many for {name!r}; {advice}")
