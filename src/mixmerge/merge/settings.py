"""Merge strategies: a method of MergeKit, its parameters, and the ratios of its sweep."""

from typing import Annotated, Any, Literal

from pydantic import Field, field_validator, model_validator

from mixmerge.core.section import Name, Section
from mixmerge.merge.methods import METHODS
from mixmerge.merge.parameters import check_inputs, check_parameters

#: A weight for each task, or one number: the first task's weight w, the second gets 1 - w.
Ratio = float | dict[Name, float]


class Strategy(Section):
    """One merge strategy; each ratio of its sweep becomes one checkpoint."""

    title: str | None = None
    """Name printed in tables; the key by default."""

    method: str
    """MergeKit's `merge_method`."""

    parameters: dict[str, Any] = {}
    """Parameters of the method as a whole, such as `normalize` or `lambda`."""

    model_parameters: dict[str, Any] = {}
    """Parameters given to each specialist, such as `density` or `epsilon`; `weight` comes from the
    ratio."""

    ratios: list[Ratio] | None = None
    """The sweep: task weights of each merge. Required by methods that take weights, refused by
    those that take none (`karcher`, `model_stock`, ...), which give one merge."""

    pivot: Name | None = None
    """Task whose specialist takes the place of MergeKit's base model, for methods that go from one
    model to another (`slerp`, `nearswap`, `arcee_fusion`). By default that is the study's base
    model, for `slerp` between two tasks the first task's specialist."""

    tasks: list[Name] | None = None
    """Tasks whose specialists are merged; all by default."""

    @field_validator("ratios", mode="before")
    @classmethod
    def _no_empty_sweep(cls, value: Any) -> Any:
        if isinstance(value, list) and not value:
            raise ValueError("the list of ratios is empty; name at least one, such as [0.5]")
        return value

    @model_validator(mode="after")
    def _follows_the_method(self) -> "Strategy":
        check_parameters(self.method, self.parameters, self.model_parameters)
        takes_ratio = METHODS[self.method].weighted or self.method == "slerp"
        if takes_ratio and self.ratios is None:
            raise ValueError(f"ratios: {self.method!r} takes weights; name at least one ratio")
        if not takes_ratio and self.ratios is not None:
            raise ValueError(f"ratios: {self.method!r} takes no weights; leave `ratios` out")
        if self.tasks is not None:
            self.check_tasks(self.tasks)
        return self

    def check_tasks(self, tasks: list[str]) -> None:
        """Check that the method can merge these tasks' specialists.

        Args:
            tasks: the tasks merged, in the order in which a ratio's weights are written.

        Raises:
            ValueError: too few or too many of them, or a pivot that is not among them.
        """
        if len(set(tasks)) != len(tasks):
            raise ValueError(f"tasks: {tasks} names a task twice")
        if self.pivot is not None and self.pivot not in tasks:
            raise ValueError(f"pivot: {self.pivot!r} is not among the tasks merged, {tasks}")
        implied = self.method == "slerp" and len(tasks) == 2
        check_inputs(self.method, len(tasks), pivot=self.pivot is not None or implied)


class Merging(Section):
    """Settings all merges share."""

    dtype: Literal["bfloat16", "float16", "float32"] = "bfloat16"
    """Precision of the merged weights."""

    shard_bytes: Annotated[int, Field(gt=0)] = 500_000_000
    """Size of the merged checkpoint's shards; small shards save memory."""

    keep: Literal["winners", "all", "none"] = "winners"
    """Which merged weights stay when all that reads them is done: of each strategy the ratio that
    the tables choose, all of them, or none. Recipes and manifests of all merges stay in any case,
    and weights that were deleted can be merged again, byte for byte."""

    base_percent: Annotated[int, Field(gt=0, le=100)] = 100
    """Data scale of the specialists that are merged."""
