"""Settings of the report: sections of the configuration, and the layout passed to the scripts.

The layout is built once from the validated configuration (`mixmerge.study.layout`) and handed to
the report's scripts as JSON. Everything a table prints about a checkpoint is looked up here;
nothing is read out of a path or a name.
"""

from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field

from mixmerge.core.section import Name, Section

Role = Literal["test", "validation"]

#: Columns of the paper's tables; `mixmerge.report.paper_tables.METRICS` has their heads.
PaperColumn = Literal[
    "humaneval", "humaneval_plus", "mbpp", "mbpp_plus", "bleu4", "chrfpp", "rouge_l", "meteor"
]


class Paper(Section):
    """The paper's own figures, printed beside this study's with the difference.

    What has no counterpart there (a model, a strategy, a ratio) is left out.
    """

    results: Path
    """Tables 3 and 5-9, a CSV file as `resources/paper/paper_results.csv`."""

    data_scale: Path | None = None
    """Table 4, a CSV file as `resources/paper/paper_data_scale.csv`; left out where null."""

    columns: Annotated[dict[str, PaperColumn], Field(min_length=1)]
    """Column of this study, as suite and metric (`humaneval.base`, `codexglue.bleu4`), to the
    paper's."""

    models: dict[Name, str] = {}
    """Key of a model to its key in the files, where the two differ."""

    strategies: dict[Name, str] = {}
    """Key of a strategy to its key in the files, where the two differ."""

    task: Name | None = None
    """Task whose specialist's weight the files give (the other's is 1 - w); the first by
    default."""

    @property
    def audit(self) -> Path:
        """What `python -m paper_audit` says of the figures, a file beside them."""
        return self.results.with_name("paper_audit.csv")


class Tables(Section):
    """Which models stand in which table; by default `compact`'s stand in no other."""

    strategies: list[Name] | None = None
    """Table 3: base, specialists, mixture and each strategy's chosen ratio."""

    data_scale: list[Name] | None = None
    """Table 4: specialists at each percentage."""

    ablation: list[Name] | None = None
    """Tables 5-8: every ratio of every strategy, one table a model. Models without merges are
    left out."""

    compact: list[Name] = []
    """Table 9: one model with few merges, each of which is printed."""

    select: Literal["validation", "test"] = "validation"
    """Suites on which a strategy's ratio is chosen; `test` is what the paper did."""

    paper: Paper | None = None
    """The paper's figures beside this study's; without it there are no such tables."""

    high_correlation: Annotated[float, Field(ge=-1, le=1)] = 0.5
    """Mean layer-wise Pearson r of the specialists' updates from which the verdict calls them
    highly correlated, where the paper's rule would mix; below, it would merge. The paper names no
    threshold: 0.5 is this project's."""


class Figures(Section):
    """Layout of Figures 2-4."""

    models: list[Name] | None = None
    """Models drawn; all by default."""

    dpi: Annotated[int, Field(ge=72)] = 200
    """Resolution of the PNG files."""


class Task(Section):
    """A task and its name in print."""

    key: str  # in the configuration
    title: str  # printed in tables and legends


class Suite(Section):
    """An evaluation suite."""

    key: str  # in the configuration and in `scores.json`
    title: str  # printed in notes
    task: str  # which it judges
    role: Role
    kind: Literal["code", "summary"]  # of its items: problems with tests, or pairs of texts
    version: str  # what exactly was judged on, as notes print it: a release, a file, a revision


class Column(Section):
    """One column of scores: a metric on a suite."""

    suite: str
    metric: str  # key in `scores.json`
    header: str
    task: str  # whose specialist the column is compared with
    role: Role
    digits: int  # printed decimals
    higher_is_better: bool = True
    counted: bool = False  # a share of problems, so that differences can be given in problems

    @property
    def key(self) -> str:
        """Name of the column in scores and CSV files: ``suite.metric``."""
        return f"{self.suite}.{self.metric}"


class Strategy(Section):
    """A merge strategy."""

    key: str
    title: str  # printed in tables and legends
    recipe: str  # method and fixed parameters, as printed in notes
    tasks: list[str] = []  # whose specialists it merges; all where none is named


class Variant(Section):
    """One checkpoint of a model."""

    name: str  # of its files
    kind: Literal["base", "sft", "mix", "merge"]  # the stage that made it
    task: str | None = None  # of a specialist
    percent: int | None = None  # share of the training set, of specialists and mixtures
    strategy: str | None = None  # key of a merge's strategy
    weights: dict[str, float] | None = None  # of a merge: task -> weight of its specialist


class Model(Section):
    """A base model and all checkpoints made from it, in the order of the configuration."""

    key: str
    title: str
    size: str  # class that groups the models in Table 1
    variants: list[Variant]
    specialists: dict[str, str]  # task -> variant that its columns are compared with (and merged)
    mixture: str  # variant that stands beside the merges

    def variant(self, name: str) -> Variant:
        """The checkpoint of that name."""
        return next(variant for variant in self.variants if variant.name == name)


class Run(Section):
    """Hyperparameters of one model's fine-tuning on one training set."""

    model: str
    training_set: str  # its printed name
    settings: dict[str, Any]  # field of `sft` -> value


class Counterpart(Section):
    """One of our tables that has a counterpart in the paper."""

    kind: str  # `mixmerge.report.entries.Entry.kind` of ours
    model: str | None  # the one model that ours is about, where it is about one
    table: str  # number of the paper's


class PaperMatch(Paper):
    """The paper's figures, and which of our names, all of them, stand for which of its."""

    counterparts: list[Counterpart]  # in the order of our tables

    def files(self) -> list[str]:
        """The files that hold its figures."""
        files = (self.results, self.audit, self.data_scale)
        return [str(path) for path in files if path is not None]


class Layout(Section):
    """All that the report's scripts know about a study besides its results."""

    title: str
    tasks: list[Task]  # in the order in which a ratio's weights are written
    suites: list[Suite]
    columns: list[Column]  # test and validation, grouped by task
    strategies: list[Strategy]
    models: list[Model]
    runs: list[Run]  # Table 1
    strategy_models: list[str]  # Table 3
    scale_models: list[str]  # Table 4
    ablation_models: list[str]  # a table each of all their merges (Tables 5-8)
    compact_models: list[str]  # a table each of base, specialists, mixture and merges (Table 9)
    figure_models: list[str]
    select: Role  # of the suites on which a strategy's ratio is chosen
    high_correlation: float = 0.5
    dpi: int = Field(default=200, gt=0)
    paper: PaperMatch | None = None

    def model(self, key: str) -> Model:
        """The model of that key."""
        return next(model for model in self.models if model.key == key)

    def task(self, key: str) -> Task:
        """The task of that key."""
        return next(task for task in self.tasks if task.key == key)

    def specialists(self, model: Model) -> list[str]:
        """The model's specialists in the order of the tasks."""
        return [model.specialists[task.key] for task in self.tasks]

    def columns_of(self, role: Role) -> list[Column]:
        """Columns of the suites of one role."""
        return [column for column in self.columns if column.role == role]

    def merges(self, model: Model, strategy: str | None = None) -> list[Variant]:
        """A model's merges, of all strategies or of one."""
        merges = [variant for variant in model.variants if variant.kind == "merge"]
        return [variant for variant in merges if strategy in (None, variant.strategy)]

    def ratio(self, variant: Variant) -> str:
        """A merge's weights in the order of the tasks: ``0.3 / 0.7``; empty without weights."""
        weights = variant.weights or {}
        # Not in the order of the mapping: JSON may have been written with its keys sorted.
        return " / ".join(f"{weights[task.key]:g}" for task in self.tasks if task.key in weights)

    def method(self, variant: Variant) -> str:
        """Printed name of a checkpoint without ratio or percentage, as in legends."""
        if variant.kind == "sft":
            return f"{self.task(str(variant.task)).title} specialist"
        if variant.kind == "merge":
            return next(s.title for s in self.strategies if s.key == variant.strategy)
        return "Base" if variant.kind == "base" else "Data mixture"

    def label(self, model: Model, variant: Variant) -> str:
        """Name of a checkpoint in tables: a merge with its ratio, a percentage where it matters."""
        name = self.method(variant)
        if variant.kind == "merge" and variant.weights:
            return f"{name} ({self.ratio(variant)})"
        usual = {*model.specialists.values(), model.mixture}
        if variant.kind in ("sft", "mix") and variant.name not in usual:
            return f"{name}, {variant.percent} %"
        return name

    def checkpoint_ids(self, model: Model, variant: Variant | None) -> dict[str, str]:
        """What CSV files say about a checkpoint, or about the specialists together (None)."""
        weights = (variant.weights if variant else None) or {}
        ids = {
            "model": model.key,
            "variant": variant.name if variant else "+".join(self.specialists(model)),
            "kind": variant.kind if variant else "sft",
            "strategy": (variant.strategy if variant else None) or "",
        }
        for task in self.tasks:
            ids[f"weight.{task.key}"] = repr(weights[task.key]) if task.key in weights else ""
        return ids
