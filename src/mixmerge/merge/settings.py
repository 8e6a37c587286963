"""Settings of merging: MergeKit's methods as data, strategies, and the merge of one recipe.

``methods.tsv`` mirrors ``mergekit.merge_methods.registry`` of the pinned release, whose import
takes 5 s; a test compares the two. It exists because MergeKit ignores an unknown or misplaced
parameter without a word (``lambda`` given to each model, ``density`` on ``linear``, a typing slip),
which is how the paper's λ=1.3 never took effect. Messages begin with the field.
"""

import csv
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, model_validator

from mixmerge.core.errors import nearest
from mixmerge.core.section import Name, Section

#: A weight for each task, or one number: the first task's weight w, the second gets 1 - w.
Ratio = float | dict[Name, float]

Dtype = Literal["bfloat16", "float16", "float32"]

#: Types of the parameters that are no plain numbers, and what types are called.
_KINDS: dict[str, type] = {"max_iter": int}
_KINDS |= dict.fromkeys(("int8_mask", "normalize", "rescale", "filter_wise"), bool)
_KINDS |= dict.fromkeys(("normalize_weights", "nuslerp_row_wise", "nuslerp_flatten"), bool)
_NOUNS = {bool: "true or false", int: "a whole number", float: "a number"}

#: Parameters that are fractions: MergeKit accepts a density of 3 and writes garbage.
_FRACTIONS = {"density", "gamma", "select_topk"}

#: DELLA's epsilon where none is given (MergeKit's default).
_DELLA_EPSILON = 0.15


class Method(Section):
    """The contract of one of MergeKit's methods; no bound is any number."""

    base: Literal["required", "optional", "ignored"]
    """Whether it needs a base model the others are compared with."""
    min_inputs: int = 1
    """Fewest input models, the base included; `others` are those beside it."""
    max_inputs: int | None = None
    min_others: int | None = None
    max_others: int | None = None
    shared: list[str] = []
    """Parameters of the merge as a whole; those that are `required` have no default."""
    per_model: list[str] = []
    """Parameters each input model takes."""
    required: list[str] = []

    @property
    def weighted(self) -> bool:
        """Whether each input model takes a weight."""
        return "weight" in self.per_model

    @property
    def pivots(self) -> bool:
        """Whether it goes from one model to one other, so that either may be its base."""
        return self.base == "required" and self.max_inputs == 2


def _methods() -> dict[str, Method]:
    methods = {}
    with Path(__file__).with_name("methods.tsv").open(encoding="utf-8") as file:
        for row in csv.DictReader(file, delimiter="\t"):
            lists = {name: row.pop(name).split() for name in ("shared", "per_model", "required")}
            name = row.pop("method")
            numbers = {key: value for key, value in row.items() if value}
            methods[name] = Method.model_validate({**numbers, **lists})
    return methods


METHODS = _methods()


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
        places = {"parameters": method.shared, "model_parameters": method.per_model}
        for place, other_place in zip(places, reversed(places), strict=True):
            for key, value in getattr(self, place).items():
                where, known, others = f"{place}.{key}", places[place], places[other_place]
                if key == "weight":
                    raise ValueError(f"{where}: weights come from `ratios`; leave it out here")
                if key not in known and key in others:
                    raise ValueError(f"{where}: {name!r} takes it under `{other_place}`")
                if key not in known:
                    hint = nearest(str(key), {*known, *others})
                    raise ValueError(f"{where}: {name!r} has no such parameter{hint}")
                for scalar in _scalars(value):
                    _check_value(where, key, scalar)
        if name == "slerp" and "t" in self.parameters:
            raise ValueError("parameters.t: slerp's t comes from `ratios`; leave it out here")
        for key in method.required:
            if key not in self.parameters and name != "slerp":
                raise ValueError(f"parameters.{key}: {name!r} needs it and has no default")
        if "epsilon" in method.per_model:
            self._check_della()
        return self

    def _check_della(self) -> None:
        """Check DELLA's band of densities, density ± epsilon, which MergeKit does amid the merge.

        A density of 1 keeps everything and has no band.
        """
        for density in _scalars(self.model_parameters.get("density", 1.0)):
            for epsilon in _scalars(self.model_parameters.get("epsilon", _DELLA_EPSILON)):
                if density < 1 and not (density - epsilon > 0 and density + epsilon < 1):
                    raise ValueError(
                        f"model_parameters: density {density} ± epsilon {epsilon} leaves the open "
                        f"interval 0..1; {self.method!r} drops each weight with a probability from "
                        "that band. Choose a smaller epsilon"
                    )

    @property
    def takes_weights(self) -> bool:
        """Whether a merge has a weight for each specialist."""
        return METHODS[self.method].weighted or self.method == "slerp"

    def pivot_among(self, tasks: Sequence[str]) -> str | None:
        """The task whose specialist is the method's base model; None for the study's base."""
        if self.pivot is None and self.method == "slerp" and len(tasks) == 2:
            return tasks[0]
        return self.pivot


def _scalars(setting: Any) -> list[Any]:
    """The plain values of a setting: itself, a gradient's, or those of its filters."""
    if isinstance(setting, list):
        return [scalar for element in setting for scalar in _scalars(element)]
    if isinstance(setting, dict) and "value" in setting and set(setting) <= {"value", "filter"}:
        return _scalars(setting["value"])
    return [setting]


def _check_value(where: str, key: str, value: Any) -> None:
    """Check one plain value's type and range."""
    kind = _KINDS.get(key, float)
    if type(value) not in ((int, float) if kind is float else (kind,)):
        raise ValueError(f"{where}: expected {_NOUNS[kind]}, found {value!r}")
    if not math.isfinite(value):
        raise ValueError(f"{where}: {value!r} is not finite")
    if key in _FRACTIONS and not 0 < value <= 1:
        raise ValueError(f"{where}: {value!r} is outside 0 < {key} <= 1")


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
        if len(set(tasks)) != len(tasks):
            raise ValueError(f"tasks: {tasks} names a task twice")
        if self.pivot is not None and self.pivot not in tasks:
            raise ValueError(f"pivot: {self.pivot!r} is not among the tasks merged, {tasks}")
        name, method = self.method, METHODS[self.method]
        has_pivot = self.pivot_among(tasks) is not None
        if has_pivot and not method.pivots:
            able = ", ".join(sorted(key for key, value in METHODS.items() if value.pivots))
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
        # It reads `a+b` as a model with a LoRA and `a@b` as a revision.
        for path in (self.base, *self.specialists.values()):
            if "+" in path or "@" in path:
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
