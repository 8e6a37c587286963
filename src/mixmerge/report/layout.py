"""The layout: all that the report knows of a study besides its results, and the files it makes.

Built from the configuration by `mixmerge.study.layout`, and handed to the report's scripts as JSON.
Rules ask for the files' names each time they are read, so nothing heavy is imported.
"""

from typing import Any, Literal, NamedTuple

from pydantic import Field

from mixmerge.core.section import Section
from mixmerge.report.settings import Paper
from mixmerge.uncertainty.settings import Arm, Measure

Role = Literal["test", "validation"]

#: Renderings of each table and each figure; what the verdict and the timings are written as.
TABLE_FORMATS = ("csv", "md", "tex", "html")
FIGURE_FORMATS = ("svg", "png")
VERDICT_FILES = (
    *(f"verdict.{form}" for form in (*TABLE_FORMATS, "txt")),
    *(f"verdict-{part}.csv" for part in ("approaches", "costs", "ratios", "data", "weights")),
)
TIMING_FILES = ("timing.csv", "timing.md", "timing.html", "timing.txt")
INDEX = "index.md"  # all tables in one file

#: Kind of a table or figure -> what it shows, as Snakemake's report lists it.
_SHOWS = {
    "hyperparameters": "Hyperparameters",
    "data": "Training data",
    "strategies": "Mixing and merging",
    "data-scale": "Data scale",
    "ablation": "Merge weights",
    "compact": "All strategies",
    "distance": "Distance from base by layer",
    "correlation": "Correlation of updates by layer",
    "spread": "Spread of distances over layers",
}


class Task(Section):
    """A task and its name in print."""

    key: str
    title: str


class Suite(Section):
    """An evaluation suite."""

    key: str  # in the configuration and in `scores.json`
    title: str
    task: str  # which it judges
    role: Role
    kind: Literal["code", "summary"]  # of its items: problems with tests, or pairs of texts
    version: str  # what exactly was judged on, as notes print it: a release, a file, a revision
    extraction: str = ""  # how a code suite's programs are found in completions


class Column(Measure):
    """One column of scores in print."""

    header: str


class Strategy(Section):
    """A merge strategy."""

    key: str
    title: str  # printed in tables and legends
    recipe: str  # method and fixed parameters, as printed in notes
    tasks: list[str] = []  # whose specialists it merges; all where none is named


class Variant(Arm):
    """One checkpoint of a model, and what it was made from."""

    percent: int | None = None  # share of the training set, of specialists and mixtures
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


class PaperMatch(Paper):
    """The paper's figures, and which of our names, all of them, stand for which of its."""

    counterparts: dict[str, str]  # name of our table -> number of the paper's


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
        weights = variant.weights or {}  # JSON may have been written with its keys sorted
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
        about = variant or Variant(name="+".join(self.specialists(model)), kind="sft")
        ids = {"model": model.key, "variant": about.name, "kind": about.kind}
        ids["strategy"] = about.strategy or ""
        weights = about.weights or {}
        for task in self.tasks:
            ids[f"weight.{task.key}"] = repr(weights[task.key]) if task.key in weights else ""
        return ids


class Entry(NamedTuple):
    """One table or figure."""

    name: str  # stem of its files
    kind: str  # what it shows; also the stem of its caption in ``resources/captions``
    number: str  # such as ``Table 3`` or ``Figure 2``
    labels: dict[str, str]  # in Snakemake's report
    model: str | None = None  # the one model it is about, where it is about one


def table_entries(layout: Layout) -> list[Entry]:
    """The study's tables in print order; a table that would have no line is left out."""
    tables: list[tuple[int, str, str | None]] = [(1, "hyperparameters", None), (2, "data", None)]
    tables += [(3, "strategies", None)] if layout.strategy_models else []
    tables += [(4, "data-scale", None)] if layout.scale_models else []
    details = [("ablation", key) for key in layout.ablation_models]
    details += [("compact", key) for key in layout.compact_models]
    tables += [(at, kind, key) for at, (kind, key) in enumerate(details, 5)]
    entries = []
    for at, kind, key in tables:
        about = layout.model(key).title if key else "all"
        labels = {"table": f"Table {at}", "shows": _SHOWS[kind], "model": about}
        name = f"table{at}-{kind}" + (f"-{key}" if key else "")
        entries.append(Entry(name, kind, f"Table {at}", labels, key))
    return entries


def paper_entries(layout: Layout) -> list[Entry]:
    """The tables that stand beside the paper's; none where the study names no paper."""
    theirs = layout.paper.counterparts if layout.paper else {}
    return [
        entry._replace(
            name=entry.name.replace("table", "paper", 1),
            kind=f"paper-{entry.kind}",
            labels={**entry.labels, "shows": f"Beside the paper's Table {theirs[entry.name]}"},
        )
        for entry in table_entries(layout)
        if entry.name in theirs
    ]


def figure_entries(layout: Layout) -> list[Entry]:
    """The study's figures; none where no model is drawn."""
    kinds = {2: "distance", 3: "correlation", 4: "spread"} if layout.figure_models else {}
    entries = []
    for at, kind in kinds.items():
        labels = {"figure": f"Figure {at}", "shows": _SHOWS[kind]}
        entries.append(Entry(f"figure{at}-{kind}", kind, f"Figure {at}", labels))
    return entries


def table_files(layout: Layout) -> list[str]:
    """File names of all tables, in all renderings, and of the Markdown index."""
    entries = [*table_entries(layout), *paper_entries(layout)]
    return [*(f"{entry.name}.{form}" for entry in entries for form in TABLE_FORMATS), INDEX]


def figure_files(layout: Layout) -> list[str]:
    """File names of all figures in all renderings."""
    return [f"{entry.name}.{form}" for entry in figure_entries(layout) for form in FIGURE_FORMATS]
