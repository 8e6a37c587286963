"""Recipes: the YAML that MergeKit's own ``mergekit-yaml`` accepts, built from a strategy.

Four things are settled here:

- ``linear`` knows no base model, and MergeKit then takes config and tokenizer from whichever model
  comes first in a set. The base is listed with weight 0, which leaves the sum as it is.
- ``karcher``, ``passthrough`` and merges between two specialists have no place for the study's
  base. A top-level section ``mixmerge``, which MergeKit ignores, names it.
- ``slerp`` has no weights but a position t between two models: the share of the second one.
- ``arcee_fusion`` and ``ramplus_tl`` write float32 whatever ``dtype`` says; ``out_dtype`` holds.
"""

from typing import Annotated, Any, Literal

import yaml
from pydantic import Field, model_validator

from mixmerge.core.section import Section
from mixmerge.merge.methods import METHODS
from mixmerge.merge.parameters import check_inputs, check_parameters, check_weights

#: MergeKit reads `a+b` as a model with a LoRA and `a@b` as a revision.
_BAD_IN_PATHS = ("+", "@")


class RecipeSettings(Section):
    """What a recipe is built from."""

    method: str
    """MergeKit's `merge_method`."""

    parameters: dict[str, Any] = Field(default_factory=dict)
    """Parameters of the merge as a whole."""

    model_parameters: dict[str, Any] = Field(default_factory=dict)
    """Parameters of each specialist."""

    weights: dict[str, float] | None = None
    """Task -> weight of its specialist; None for methods without weights."""

    pivot: str | None = None
    """Task whose specialist is the method's base model."""

    dtype: Literal["bfloat16", "float16", "float32"] = "bfloat16"
    """Precision in which MergeKit computes and writes."""

    base: str
    """Directory of the study's base model."""

    specialists: Annotated[dict[str, str], Field(min_length=1)]
    """Task -> directory of its specialist, in the order in which they are merged."""

    @model_validator(mode="after")
    def _fits_together(self) -> "RecipeSettings":
        check_parameters(self.method, self.parameters, self.model_parameters)
        check_inputs(self.method, len(self.specialists), pivot=self.pivot_task is not None)
        if self.pivot is not None and self.pivot not in self.specialists:
            raise ValueError(f"pivot: {self.pivot!r} is not among {list(self.specialists)}")
        takes_weights = METHODS[self.method].weighted or self.method == "slerp"
        if takes_weights and (self.weights is None or {*self.weights} != {*self.specialists}):
            raise ValueError(
                f"weights: {self.method!r} needs one for each of {list(self.specialists)}, "
                f"found {self.weights}"
            )
        if not takes_weights and self.weights:
            raise ValueError(f"weights: {self.method!r} takes none")
        check_weights(self.weights or {})
        for path in (self.base, *self.specialists.values()):
            if any(mark in path for mark in _BAD_IN_PATHS):
                raise ValueError(
                    f"{path}: MergeKit cannot read paths with {' or '.join(_BAD_IN_PATHS)}; "
                    "move the results elsewhere"
                )
        return self

    @property
    def pivot_task(self) -> str | None:
        """The task whose specialist is the method's base model; slerp's is the first of two."""
        if self.pivot is None and self.method == "slerp" and len(self.specialists) == 2:
            return next(iter(self.specialists))
        return self.pivot


def build_recipe(settings: RecipeSettings) -> dict[str, Any]:
    """Build the recipe as MergeKit's configuration mapping."""
    method = METHODS[settings.method]
    pivot = settings.pivot_task
    recipe: dict[str, Any] = {"merge_method": settings.method}
    models = []
    for task, path in settings.specialists.items():
        if task == pivot:
            continue
        given = dict(settings.model_parameters)
        if method.weighted:
            assert settings.weights is not None
            given = {"weight": float(settings.weights[task]), **given}
        models.append({"model": path, "parameters": given} if given else {"model": path})
    if settings.method == "linear":
        models.append({"model": settings.base, "parameters": {"weight": 0.0}})
    if settings.method == "linear" or method.base != "ignored":
        recipe["base_model"] = settings.base if pivot is None else settings.specialists[pivot]
    recipe["models"] = models
    parameters = dict(settings.parameters)
    if settings.method == "slerp":
        parameters["t"] = _position(settings)
    if parameters:
        recipe["parameters"] = parameters
    recipe["dtype"] = recipe["out_dtype"] = settings.dtype
    if recipe.get("base_model") != settings.base:
        recipe["mixmerge"] = {"base": settings.base}
    return recipe


def render_recipe(settings: RecipeSettings) -> str:
    """Write the recipe as YAML, with a head that says whose weights are whose."""
    lines = ["# MergeKit recipe of one merge; `mergekit-yaml` accepts it as it stands."]
    for task, path in settings.specialists.items():
        weight = "no weight" if settings.weights is None else f"weight {settings.weights[task]:g}"
        role = ", the method's base model" if task == settings.pivot_task else ""
        lines.append(f"# {task}: {weight}{role} ({path})")
    lines.append(f"# base: {settings.base}")
    body: str = yaml.safe_dump(
        build_recipe(settings), sort_keys=False, allow_unicode=True, width=1000
    )
    return "\n".join(lines) + "\n" + body


def _position(settings: RecipeSettings) -> float:
    """Slerp's t: the share of the model that is not the method's base model.

    With one specialist the base model is the study's, and t is that specialist's weight.
    """
    assert settings.weights is not None
    pivot = settings.pivot_task
    if pivot is None:
        return float(next(iter(settings.weights.values())))
    total = sum(settings.weights.values())
    # Rounded because 1 - 0.9 is 0.09999999999999998, and recipes are read by people.
    return round(1 - settings.weights[pivot] / total, 12)
