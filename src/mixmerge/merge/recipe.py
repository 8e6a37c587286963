"""Recipes: the YAML that MergeKit's own ``mergekit-yaml`` accepts, built from a strategy.

Four things are settled here:

- ``linear`` knows no base model, and MergeKit then takes config and tokenizer from whichever model
  comes first in a set. The base is listed with weight 0, which leaves the sum as it is.
- ``karcher``, ``passthrough`` and merges between two specialists have no place for the study's
  base. A top-level section ``mixmerge``, which MergeKit ignores, names it.
- ``slerp`` has no weights but a position t between two models: the share of the second one.
- ``arcee_fusion`` and ``ramplus_tl`` write float32 whatever ``dtype`` says; ``out_dtype`` holds.
"""

from typing import Any

import yaml

from mixmerge.merge.methods import METHODS
from mixmerge.merge.settings import RecipeSettings


def build_recipe(settings: RecipeSettings) -> dict[str, Any]:
    """Build the recipe as MergeKit's configuration mapping."""
    method = METHODS[settings.method]
    pivot = settings.pivot_among([*settings.specialists])
    weights = settings.weights or {}
    recipe: dict[str, Any] = {"merge_method": settings.method}
    models = []
    for task, path in settings.specialists.items():
        if task == pivot:
            continue
        values = dict(settings.model_parameters)
        if method.weighted:
            values = {"weight": float(weights[task]), **values}
        models.append({"model": path, "parameters": values} if values else {"model": path})
    if settings.method == "linear":
        models.append({"model": settings.base, "parameters": {"weight": 0.0}})
    if settings.method == "linear" or method.base != "ignored":
        recipe["base_model"] = settings.base if pivot is None else settings.specialists[pivot]
    recipe["models"] = models
    parameters = dict(settings.parameters)
    if settings.method == "slerp":
        parameters["t"] = _position(weights, pivot)
    if parameters:
        recipe["parameters"] = parameters
    recipe["dtype"] = recipe["out_dtype"] = settings.dtype
    if recipe.get("base_model") != settings.base:
        recipe["mixmerge"] = {"base": settings.base}
    return recipe


def render_recipe(settings: RecipeSettings) -> str:
    """Write the recipe as YAML, with a head that says whose weights are whose."""
    pivot = settings.pivot_among([*settings.specialists])
    lines = ["# MergeKit recipe of one merge; `mergekit-yaml` accepts it as it stands."]
    for task, path in settings.specialists.items():
        weight = "no weight" if settings.weights is None else f"weight {settings.weights[task]:g}"
        role = ", the method's base model" if task == pivot else ""
        lines.append(f"# {task}: {weight}{role} ({path})")
    lines.append(f"# base: {settings.base}")
    body: str = yaml.safe_dump(
        build_recipe(settings), sort_keys=False, allow_unicode=True, width=1000
    )
    return "\n".join(lines) + "\n" + body


def _position(weights: dict[str, float], pivot: str | None) -> float:
    """Slerp's t: the share of the model that is not the method's base model.

    With one specialist the base model is the study's, and t is that specialist's weight.
    """
    if pivot is None:
        return float(next(iter(weights.values())))
    # Rounded because 1 - 0.9 is 0.09999999999999998, and recipes are read by people.
    return round(1 - weights[pivot] / sum(weights.values()), 12)
