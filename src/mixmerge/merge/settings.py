"""Settings of merging: MergeKit's methods as data, strategies, and the merge of one recipe.

``methods.tsv`` mirrors MergeKit's registry, whose import takes 5 s. MergeKit ignores an unknown or
misplaced parameter without a word, which is how the paper's λ=1.3 never took effect.
"""

import csv
import math
from collections.abc import Sequence
from itertools import product
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, StrictBool, StrictInt, model_validator

from mixmerge.core.errors import UserError, nearest
from mixmerge.core.section import Name, Section, validated

#: A weight for each task, or one number: the first task's weight w, the second gets 1 - w.
Ratio = float | dict[Name, float]

Dtype = Literal["bfloat16", "float16", "float32"]

NUMBER = Annotated[float, Field(strict=True, allow_inf_nan=False)]
#: Types of the parameters that are other than that. MergeKit accepts a density of 3.
TYPES: dict[str, Any] = {"max_iter": StrictInt}
TYPES |= dict.fromkeys(("int8_mask", "normalize", "rescale", "filter_wise"), StrictBool)
TYPES |= dict.fromkeys(("normalize_weights", "nuslerp_row_wise", "nuslerp_flatten"), StrictBool)
_FRACTION = Annotated[NUMBER, Field(gt=0, le=1)]
TYPES |= dict.fromkeys(("density", "gamma", "select_topk"), _FRACTION)

_Words = Annotated[list[str], BeforeValidator(str.split)]


class Method(Section):
    """The contract of one of MergeKit's methods; no bound is any number."""

    method: str
    base: Literal["required", "optional", "ignored"]  # a model the others are compared with
    min_inputs: int = 1  # input models, the base included; `others` are those beside it
    max_inputs: int | None = None
    min_others: int | None = None
    max_others: int | None = None
    shared: _Words = []  # parameters of the merge as a whole
    per_model: _Words = []  # parameters each input model takes
    required: _Words = []  # of the shared ones, those without a default

    @property
    def weighted(self) -> bool:
        """Whether each input model takes a weight."""
        return "weight" in self.per_model

    @property
    def pivots(self) -> bool:
        """Whether it goes from one model to one other, so that either may be its base."""
        return self.base == "required" and self.max_inputs == 2


with Path(__file__).with_name("methods.tsv").open(encoding="utf-8") as _file:
    _rows = [{k: v for k, v in row.items() if v} for row in csv.DictReader(_file, delimiter="\t")]
METHODS = {row["method"]: Method.model_validate(row) for row in _rows}


class MergeMethod(Section):
    """A method of MergeKit with its parameters."""

    method: str
    """MergeKit's `merge_method`."""
    parameters: dict[str, Any] = {}
    """Parameters of the method as a whole, such as `normalize` or `lambda`."""
    model_parameters: dict[str, Any] = {}
    """Parameters given to each specialist, such as `density` or `epsilon`; `weight` comes from the
    ratio."""
    pivot: Name | None = None
    """Task whose specialist takes the place of MergeKit's base model, for methods that go from one
    model to another (`slerp`, `nearswap`, `arcee_fusion`). By default that is the study's base
    model, for `slerp` between two tasks the first task's specialist."""

    @model_validator(mode="after")
    def _parameters_fit_the_method(self) -> "MergeMethod":
        name = self.method
        if name not in METHODS:
            raise ValueError(f"unknown merge method {name!r}{nearest(name, METHODS)}")
        method = METHODS[name]
        known = {"parameters": method.shared, "model_parameters": method.per_model}
        for place, other in zip(known, reversed(known), strict=True):
            for key, value in getattr(self, place).items():
                where = f"{place}.{key}"
                if key == "weight" or (name, key) == ("slerp", "t"):
                    raise ValueError(f"{where}: comes from `ratios`; leave it out here")
                if key not in known[place] and key in known[other]:
                    raise ValueError(f"{where}: {name!r} takes it under `{other}`")
                if key not in known[place]:
                    hint = nearest(str(key), {*method.shared, *method.per_model})
                    raise ValueError(f"{where}: {name!r} has no such parameter{hint}")
                try:
                    for scalar in scalars(value):
                        validated(TYPES.get(key, NUMBER), scalar, where)
                except UserError as error:
                    raise ValueError(str(error)) from None
        for key in method.required:
            if key not in self.parameters and name != "slerp":
                raise ValueError(f"parameters.{key}: {name!r} needs it and has no default")
        densities = scalars(self.model_parameters.get("density", 1.0))
        epsilons = scalars(self.model_parameters.get("epsilon", 0.15))  # MergeKit's default
        for density, epsilon in product(densities, epsilons):
            # MergeKit looks amid the merge; a density of 1 keeps everything and has no band.
            is_inside = density == 1 or (density - epsilon > 0 and density + epsilon < 1)
            if "epsilon" in method.per_model and not is_inside:
                band = f"density {density} ± epsilon {epsilon}, the band of {name!r},"
                raise ValueError(f"model_parameters: {band} leaves 0..1; choose a smaller epsilon")
        return self

    @property
    def takes_weights(self) -> bool:
        """Whether a merge has a weight for each specialist."""
        return METHODS[self.method].weighted or self.method == "slerp"

    def pivot_among(self, tasks: Sequence[str]) -> str | None:
        """The task whose specialist is the method's base model; None for the study's base."""
        if self.pivot is None and self.method == "slerp" and len(tasks) == 2:
            return tasks[0]
        return self.pivot


def scalars(setting: Any) -> list[Any]:
    """The plain values of a setting: itself, a gradient's, or those of its filters."""
    if isinstance(setting, list):
        return [scalar for element in setting for scalar in scalars(element)]
    if isinstance(setting, dict) and "value" in setting and set(setting) <= {"value", "filter"}:
        return scalars(setting["value"])
    return [setting]


class Strategy(MergeMethod):
    """One merge strategy; each ratio of its sweep becomes one checkpoint."""

    title: str | None = None
    """Name printed in tables; the key by default."""
    ratios: list[Ratio] | None = None
    """The sweep: task weights of each merge. Required by methods that take weights, refused by
    those that take none (`karcher`, `model_stock`, ...), which give one merge."""
    tasks: list[Name] | None = None
    """Tasks whose specialists are merged; all by default."""

    @model_validator(mode="after")
    def _follows_the_method(self) -> "Strategy":
        if self.takes_weights and not self.ratios:
            raise ValueError(f"ratios: {self.method!r} takes weights; name at least one ratio")
        if not self.takes_weights and self.ratios is not None:
            raise ValueError(f"ratios: {self.method!r} takes no weights; leave `ratios` out")
        if self.tasks is not None:
            self.check_tasks(self.tasks)
        return self

    def check_tasks(self, tasks: list[str]) -> None:
        """Check that the method can merge these tasks' specialists; else raise `ValueError`."""
        if len({*tasks}) != len(tasks):
            raise ValueError(f"tasks: {tasks} names a task twice")
        if self.pivot is not None and self.pivot not in tasks:
            raise ValueError(f"pivot: {self.pivot!r} is not among the tasks merged, {tasks}")
        name, method = self.method, METHODS[self.method]
        has_pivot = self.pivot_among(tasks) is not None
        if has_pivot and not method.pivots:
            able = ", ".join(key for key, value in METHODS.items() if value.pivots)
            raise ValueError(f"pivot: {name!r} takes none (only {able} do); leave it out")
        others = len(tasks) - has_pivot
        inputs = len(tasks) if method.base == "ignored" else others + 1
        missing = max(method.min_inputs - inputs, (method.min_others or 0) - others)
        if missing > 0:
            aside = " (one of them is the pivot)" if has_pivot else ""
            raise ValueError(f"tasks: {name!r} needs {missing} more; {len(tasks)} given{aside}")
        if inputs > (method.max_inputs or math.inf) or others > (method.max_others or math.inf):
            advice = f"name {method.max_others or 'one task'} under `tasks`"
            if method.pivots:
                advice += ", or two tasks and one of them as `pivot`"
            raise ValueError(f"tasks: {len(tasks)} are too many for {name!r}; {advice}")


class RecipeSettings(MergeMethod):
    """One merge of a strategy's sweep, as its recipe is built; the study's plan makes them."""

    weights: dict[str, float] | None = None
    """Task -> weight of its specialist; None for methods without weights."""
    dtype: Dtype = "bfloat16"
    """Precision in which MergeKit computes and writes."""
    base: str
    """Directory of the study's base model."""
    specialists: Annotated[dict[str, str], Field(min_length=1)]
    """Task -> directory of its specialist, in the order in which they are merged."""

    @model_validator(mode="after")
    def _paths_that_mergekit_reads(self) -> "RecipeSettings":
        for path in (self.base, *self.specialists.values()):
            if "+" in path or "@" in path:  # `a+b` is a model with a LoRA, `a@b` a revision
                raise ValueError(
                    f"{path}: MergeKit cannot read paths with + or @; move the results elsewhere"
                )
        return self


class Merging(Section):
    """Settings all merges share."""

    dtype: Dtype = "bfloat16"
    """Precision of the merged weights."""
    shard_bytes: Annotated[int, Field(gt=0)] = 500_000_000
    """Size of the merged checkpoint's shards; small shards save memory."""
    keep: Literal["winners", "all", "none"] = "winners"
    """Which merged weights stay when all that reads them is done: of each strategy the ratio that
    the tables choose, all of them, or none. Recipes and manifests of all merges stay in any case,
    and weights that were deleted can be merged again, byte for byte."""
    base_percent: Annotated[int, Field(gt=0, le=100)] = 100
    """Data scale of the specialists that are merged."""
