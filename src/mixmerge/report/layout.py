"""What tables and figures are made of: a study's models, variants, columns and titles.

Built once from the validated configuration (`mixmerge.study.layout`) and handed to the report's
scripts as JSON. Everything a table prints about a checkpoint is looked up here; nothing is read out
of a path or a name.
"""

from typing import Any, Literal

from pydantic import Field

from mixmerge.core.section import Section

Role = Literal["test", "validation"]


class Task(Section):
    """A task and its name in print."""

    key: str
    """Key in the configuration."""

    title: str
    """Name printed in tables and legends."""


class Suite(Section):
    """An evaluation suite."""

    key: str
    """Key in the configuration and in `scores.json`."""

    title: str
    """Name printed in notes."""

    task: str
    """The task it judges."""

    role: Role
    """Whether it reports or serves to choose a ratio."""

    kind: Literal["code", "summary"]
    """Whether items are problems with tests or pairs of texts."""

    version: str
    """What exactly was judged on, as printed in the notes: a release, a file, a revision."""


class Column(Section):
    """One column of scores: a metric on a suite."""

    suite: str
    """Key of the suite."""

    metric: str
    """Key of the metric in `scores.json`."""

    header: str
    """Printed head of the column."""

    task: str
    """The task whose specialist the column is compared with."""

    role: Role
    """The suite's role."""

    digits: int
    """Printed decimals."""

    higher_is_better: bool = True
    """Whether a larger value is the better one."""

    counted: bool = False
    """Whether the value is a share of problems, so that differences can be given in problems."""

    @property
    def key(self) -> str:
        """Name of the column in scores and CSV files: ``suite.metric``."""
        return f"{self.suite}.{self.metric}"


class Strategy(Section):
    """A merge strategy."""

    key: str
    """Key in the configuration."""

    title: str
    """Name printed in tables and legends."""

    recipe: str
    """Method and fixed parameters, as printed in notes."""

    tasks: list[str] = []
    """Tasks whose specialists it merges; all where none is named."""


class Variant(Section):
    """One checkpoint of a model."""

    name: str
    """Name of the checkpoint's files."""

    kind: Literal["base", "sft", "mix", "merge"]
    """Which stage made it."""

    task: str | None = None
    """A specialist's task."""

    percent: int | None = None
    """Share of the training set, for specialists and mixtures."""

    strategy: str | None = None
    """Key of a merge's strategy."""

    weights: dict[str, float] | None = None
    """Task -> weight of its specialist in a merge."""


class Model(Section):
    """A base model and all checkpoints made from it."""

    key: str
    """Key in the configuration."""

    title: str
    """Name printed in tables and figures."""

    size: str
    """Size class, which groups the models in Table 1."""

    variants: list[Variant]
    """All checkpoints, in the order of the configuration."""

    specialists: dict[str, str]
    """Task -> variant that the task's columns are compared with (and that is merged)."""

    mixture: str
    """Variant of the mixture that stands beside the merges."""


class Run(Section):
    """Hyperparameters of one model's fine-tuning on one training set."""

    model: str
    """Key of the model."""

    training_set: str
    """Printed name of the training set."""

    settings: dict[str, Any]
    """Name of a field of `sft` -> value."""


class Counterpart(Section):
    """One of our tables that has a counterpart in the paper."""

    kind: str
    """Kind of our table, as in `mixmerge.report.entries.Entry.kind`."""

    model: str | None
    """The one model it is about, where it is about one."""

    table: str
    """Number of the paper's table."""


class Paper(Section):
    """Where the paper's figures are, and which of ours they stand beside."""

    results: str
    """File of Tables 3 and 5-9."""

    data_scale: str | None
    """File of Table 4."""

    columns: dict[str, str]
    """`Column.key` -> the paper's column."""

    models: dict[str, str]
    """Model -> its key in the files; models that are not there are left out."""

    strategies: dict[str, str]
    """Strategy -> its key in the files; strategies that are not there are left out."""

    task: str
    """Task whose weight the files give."""

    counterparts: list[Counterpart]
    """Our tables that have a counterpart, in the order of ours."""

    def files(self) -> list[str]:
        """The files that hold its figures."""
        return [self.results] if self.data_scale is None else [self.results, self.data_scale]


class Layout(Section):
    """All that the report's scripts know about a study besides its results."""

    title: str
    """Title of the study."""

    tasks: list[Task]
    """Tasks, in the order in which a ratio's weights are written."""

    suites: list[Suite]
    """Evaluation suites."""

    columns: list[Column]
    """Columns of scores, test and validation, grouped by task."""

    strategies: list[Strategy]
    """Merge strategies."""

    models: list[Model]
    """Models with their checkpoints."""

    runs: list[Run]
    """Hyperparameters of each model and training set (Table 1)."""

    strategy_models: list[str]
    """Models of Table 3."""

    scale_models: list[str]
    """Models of Table 4."""

    ablation_models: list[str]
    """Models with a table of all their merges (Tables 5-8)."""

    compact_models: list[str]
    """Models with a table of base, each specialist, mixture and all merges (Table 9)."""

    figure_models: list[str]
    """Models drawn in the figures."""

    select: Role
    """Role of the suites on which a strategy's ratio is chosen."""

    high_correlation: float = 0.5
    """Mean layer-wise Pearson r from which updates count as highly correlated; the verdict's."""

    dpi: int = Field(default=200, gt=0)
    """Resolution of the PNG files; the figures'."""

    paper: Paper | None = None
    """The paper's figures, where they are to stand beside ours."""

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
        return [
            variant
            for variant in model.variants
            if variant.kind == "merge" and strategy in (None, variant.strategy)
        ]
