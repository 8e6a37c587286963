"""Checks of a merge's parameters and inputs against its method's contract.

All raise ValueError, so that they serve as pydantic validators of the config; the messages begin
with the field.
"""

import math
from collections.abc import Iterator
from typing import Any

from mixmerge.core.errors import nearest
from mixmerge.merge.methods import METHODS, Method

#: Parameters that are fractions: MergeKit accepts a density of 3 and writes garbage.
_FRACTIONS = {"density", "gamma", "select_topk"}

#: DELLA's epsilon where none is given (MergeKit's default).
_DELLA_EPSILON = 0.15


def find_method(name: str) -> Method:
    """The contract of a method; ValueError with the nearest name where there is none."""
    if name not in METHODS:
        raise ValueError(f"unknown merge method {name!r}{nearest(name, set(METHODS))}")
    return METHODS[name]


def check_parameters(
    name: str, parameters: dict[str, Any], model_parameters: dict[str, Any]
) -> None:
    """Check a strategy's parameters against the method's contract.

    Args:
        name: MergeKit's `merge_method`.
        parameters: given to the merge as a whole.
        model_parameters: given to each specialist.

    Raises:
        ValueError: unknown method or parameter, a parameter in the wrong place or of the wrong
            type, a fraction outside 0..1, a missing required parameter.
    """
    method = find_method(name)
    for place, given in (("parameters", parameters), ("model_parameters", model_parameters)):
        if "weight" in given:
            raise ValueError(f"{place}.weight: weights come from `ratios`; leave it out here")
    if name == "slerp" and "t" in parameters:
        raise ValueError("parameters.t: slerp's t comes from `ratios`; leave it out here")
    check_place(name, "parameters", parameters, method.shared, "model_parameters", method.per_model)
    check_place(
        name, "model_parameters", model_parameters, method.per_model, "parameters", method.shared
    )
    for key in method.required:
        # slerp's t is the ratio itself.
        if key not in parameters and name != "slerp":
            raise ValueError(f"parameters.{key}: {name!r} needs it and has no default")
    check_densities(name, "model_parameters", model_parameters)


def check_place(
    name: str,
    place: str,
    given: dict[str, Any],
    known: dict[str, str],
    other_place: str,
    other: dict[str, str],
) -> None:
    """Check the parameters given at one place.

    Args:
        name: the method, for the message.
        place: where they stand, for the message.
        given: parameter -> value.
        known: parameter -> type, of those that belong here.
        other_place: where the others belong.
        other: parameter -> type, of those that belong there.
    """
    for key, value in given.items():
        if key not in known:
            if key in other:
                raise ValueError(f"{place}.{key}: {name!r} takes it under `{other_place}`")
            hint = nearest(str(key), set(known) | set(other))
            raise ValueError(f"{place}.{key}: {name!r} has no such parameter{hint}")
        for scalar in scalars(value):
            _check_value(f"{place}.{key}", key, scalar, known[key])


def scalars(setting: Any) -> Iterator[Any]:
    """Yield the plain values of a setting: itself, a gradient's, or those of its filters."""
    if isinstance(setting, list):
        for element in setting:
            yield from scalars(element)
    elif isinstance(setting, dict) and set(setting) <= {"value", "filter"} and "value" in setting:
        yield from scalars(setting["value"])
    else:
        yield setting


def check_densities(name: str, place: str, given: dict[str, Any]) -> None:
    """Check that DELLA's band of densities, density - epsilon .. density + epsilon, is in (0, 1).

    MergeKit finds out in the middle of the merge. A density of 1 keeps everything and has no band.
    """
    if "epsilon" not in METHODS[name].per_model:
        return
    for density in scalars(given.get("density", 1.0)):
        for epsilon in scalars(given.get("epsilon", _DELLA_EPSILON)):
            if density < 1 and not (density - epsilon > 0 and density + epsilon < 1):
                raise ValueError(
                    f"{place}: density {density} ± epsilon {epsilon} leaves the open interval "
                    f"0..1; {name!r} drops each weight with a probability from that band. "
                    "Choose a smaller epsilon"
                )


def check_inputs(name: str, specialists: int, pivot: bool) -> None:
    """Check the number of models a strategy merges.

    Args:
        name: MergeKit's `merge_method`.
        specialists: how many tasks' specialists are merged, the pivot included.
        pivot: whether one of them takes the base model's place.

    Raises:
        ValueError: too few or too many for the method, or a pivot where none is possible.
    """
    method = find_method(name)
    if pivot and not method.pivots:
        able = ", ".join(sorted(key for key, value in METHODS.items() if value.pivots))
        raise ValueError(f"pivot: {name!r} takes none (only {able} do); leave it out")
    others = specialists - (1 if pivot else 0)
    inputs = specialists if method.base == "ignored" else others + 1
    least = max(method.min_inputs - inputs, (method.min_others or 0) - others)
    if least > 0:
        raise ValueError(
            f"tasks: {name!r} needs {least} more; {specialists} given"
            + (" (one of them is the pivot)" if pivot else "")
        )
    too_many = method.max_inputs is not None and inputs > method.max_inputs
    if too_many or (method.max_others is not None and others > method.max_others):
        advice = "name one task under `tasks`"
        if method.pivots:
            advice += ", or two tasks and one of them as `pivot`"
        elif method.max_others is not None:
            advice = f"name {method.max_others} under `tasks`"
        raise ValueError(f"tasks: {specialists} are too many for {name!r}; {advice}")


def check_weights(weights: dict[str, float]) -> None:
    """Check weights by task: finite, none negative, not all 0.

    Raises:
        ValueError: naming the task.
    """
    for task, weight in weights.items():
        if isinstance(weight, bool) or not isinstance(weight, int | float):
            raise ValueError(f"{task}: expected a number as weight, found {weight!r}")
        if not math.isfinite(weight) or weight < 0:
            raise ValueError(f"{task}: weight {weight} is outside 0 <= weight")
    if weights and sum(weights.values()) == 0:
        raise ValueError(f"the weights {weights} sum to 0; the merge would be undefined")


def _check_value(where: str, key: str, value: Any, kind: str) -> None:
    """Check one plain value's type and range."""
    if kind == "bool":
        if not isinstance(value, bool):
            raise ValueError(f"{where}: expected true or false, found {value!r}")
        return
    if isinstance(value, bool) or not isinstance(value, int if kind == "int" else int | float):
        noun = "a whole number" if kind == "int" else "a number"
        raise ValueError(f"{where}: expected {noun}, found {value!r}")
    if not math.isfinite(value):
        raise ValueError(f"{where}: {value!r} is not finite")
    if key in _FRACTIONS and not 0 < value <= 1:
        raise ValueError(f"{where}: {value!r} is outside 0 < {key} <= 1")
    if key == "weight" and value < 0:
        raise ValueError(f"{where}: {value!r} is negative; it would push the model away")
