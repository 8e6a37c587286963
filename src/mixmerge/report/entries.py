"""The files of the report, known from the layout alone: what rules declare as outputs.

Imports nothing heavy: the rules ask for these names each time they are read.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field

from mixmerge.report.layout import Layout

#: Renderings of each table.
TABLE_FORMATS = ("csv", "md", "tex", "html")

#: Renderings of each figure.
FIGURE_FORMATS = ("svg", "png")

#: What the verdict and the timings are written as, besides the tables.
VERDICT_FILES = (
    "verdict.csv",
    "verdict.md",
    "verdict.tex",
    "verdict.html",
    "verdict.txt",
    "verdict-approaches.csv",
    "verdict-costs.csv",
    "verdict-ratios.csv",
    "verdict-data.csv",
    "verdict-weights.csv",
)
TIMING_FILES = ("timing.csv", "timing.md", "timing.html", "timing.txt")

#: All tables in one Markdown file.
INDEX = "index.md"


@dataclass(frozen=True)
class Entry:
    """One table or figure."""

    name: str
    """Stem of its files."""

    kind: str
    """What it shows; also the stem of its caption in ``resources/captions``."""

    number: str
    """Such as ``Table 3`` or ``Figure 2``."""

    labels: dict[str, str] = field(default_factory=dict)
    """Labels in Snakemake's report."""

    model: str | None = None
    """The one model it is about, where it is about one."""

    @property
    def caption(self) -> str:
        """File name of its caption for Snakemake's report."""
        return f"{self.kind}.rst"


def table_entries(layout: Layout) -> list[Entry]:
    """The study's tables in print order; a table that would have no line is left out."""
    return list(_tables(layout))


def _tables(layout: Layout) -> Iterator[Entry]:
    for number, kind, title, present in (
        (1, "hyperparameters", "Hyperparameters", True),
        (2, "data", "Training data", True),
        (3, "strategies", "Mixing and merging", bool(layout.strategy_models)),
        (4, "data-scale", "Data scale", bool(layout.scale_models)),
    ):
        if present:
            labels = {"table": f"Table {number}", "shows": title, "model": "all"}
            yield Entry(f"table{number}-{kind}", kind, f"Table {number}", labels)
    number = 5
    for kind, shows, models in (
        ("ablation", "Merge weights", layout.ablation_models),
        ("compact", "All strategies", layout.compact_models),
    ):
        for key in models:
            labels = {"table": f"Table {number}", "shows": shows, "model": layout.model(key).title}
            yield Entry(f"table{number}-{kind}-{key}", kind, f"Table {number}", labels, key)
            number += 1


def paper_entries(layout: Layout) -> list[Entry]:
    """The tables that stand beside the paper's; none where the study names no paper."""
    counterparts = layout.paper.counterparts if layout.paper else []
    tables = {(found.kind, found.model): found.table for found in counterparts}
    found = []
    for entry in table_entries(layout):
        if (entry.kind, entry.model) in tables:
            theirs = tables[entry.kind, entry.model]
            labels = {**entry.labels, "shows": f"Beside the paper's Table {theirs}"}
            name = entry.name.replace("table", "paper", 1)
            found.append(Entry(name, f"paper-{entry.kind}", entry.number, labels, entry.model))
    return found


def figure_entries(layout: Layout) -> list[Entry]:
    """The study's figures; none where no model is drawn."""
    if not layout.figure_models:
        return []
    return [
        Entry(
            f"figure{number}-{kind}",
            kind,
            f"Figure {number}",
            {"figure": f"Figure {number}", "shows": shows},
        )
        for number, kind, shows in (
            (2, "distance", "Distance from base by layer"),
            (3, "correlation", "Correlation of updates by layer"),
            (4, "spread", "Spread of distances over layers"),
        )
    ]


def table_files(layout: Layout) -> list[str]:
    """File names of all tables, in all renderings, and of the Markdown index."""
    shown = [*table_entries(layout), *paper_entries(layout)]
    files = [f"{entry.name}.{form}" for entry in shown for form in TABLE_FORMATS]
    return [*files, INDEX]


def figure_files(layout: Layout) -> list[str]:
    """File names of all figures in all renderings."""
    return [f"{entry.name}.{form}" for entry in figure_entries(layout) for form in FIGURE_FORMATS]
