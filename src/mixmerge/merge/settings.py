"""Settings of merging: a strategy in the config, and the one merge that a recipe is built from."""

from collections.abc import Sequence
from typing import Annotated, Any, Literal

from pydantic import Field, model_validator

from mixmerge.core.section import Name, Section
from mixmerge.merge.methods import METHODS, check_number, check_parameters

#: A weight for each task, or one number: the first task's weight w, the second gets 1 - w.
Ratio = float | dict[Name, float]

Dtype = Literal["bfloat16", "float16", "float32"]


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
        check_parameters(self.method, self.parameters, self.model_parameters)
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
        check_number(self.method, len(tasks), pivot=self.pivot_among(tasks) is not None)


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
