"""The files of the report, known from the layout alone: what rules declare as outputs.

Imports nothing heavy: the rules ask for these names each time they are read.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field

from mixmerge.report.settings import Layout

#: Renderings of each table, and of each figure.
TABLE_FORMATS = ("csv", "md", "tex", "html")
FIGURE_FORMATS = ("svg", "png")

#: What the verdict and the timings are written as, besides the tables.
VERDICT_FILES = (
    *(f"verdict.{form}" for form in (*TABLE_FORMATS, "txt")),
    *(f"verdict-{part}.csv" for part in ("approaches", "costs", "ratios", "data", "weights")),
)
TIMING_FILES = ("timing.csv", "timing.md", "timing.html", "timing.txt")

#: All tables in one Markdown file.
INDEX = "index.md"


@dataclass(frozen=True)
class Entry:
    """One table or figure."""

    name: str  # stem of its files
    kind: str  # what it shows; also the stem of its caption in ``resources/captions``
    number: str  # such as ``Table 3`` or ``Figure 2``
    labels: dict[str, str] = field(default_factory=dict)  # in Snakemake's report
    model: str | None = None  # the one model it is about, where it is about one

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
    pages = [("ablation", "Merge weights", key) for key in layout.ablation_models]
    pages += [("compact", "All strategies", key) for key in layout.compact_models]
    for number, (kind, shows, key) in enumerate(pages, 5):
        labels = {"table": f"Table {number}", "shows": shows, "model": layout.model(key).title}
        yield Entry(f"table{number}-{kind}-{key}", kind, f"Table {number}", labels, key)


def paper_entries(layout: Layout) -> list[Entry]:
    """The tables that stand beside the paper's; none where the study names no paper."""
    counterparts = layout.paper.counterparts if layout.paper else []
    tables = {(entry.kind, entry.model): entry.table for entry in counterparts}
    entries = []
    for entry in table_entries(layout):
        if (entry.kind, entry.model) in tables:
            theirs = tables[entry.kind, entry.model]
            labels = {**entry.labels, "shows": f"Beside the paper's Table {theirs}"}
            name = entry.name.replace("table", "paper", 1)
            kind = f"paper-{entry.kind}"
            entries.append(Entry(name, kind, entry.number, labels, entry.model))
    return entries


def figure_entries(layout: Layout) -> list[Entry]:
    """The study's figures; none where no model is drawn."""
    drawn = (
        ("distance", "Distance from base by layer"),
        ("correlation", "Correlation of updates by layer"),
        ("spread", "Spread of distances over layers"),
    )
    return [
        Entry(f"figure{n}-{kind}", kind, f"Figure {n}", {"figure": f"Figure {n}", "shows": shows})
        for n, (kind, shows) in enumerate(drawn if layout.figure_models else (), 2)
    ]


def table_files(layout: Layout) -> list[str]:
    """File names of all tables, in all renderings, and of the Markdown index."""
    shown = [*table_entries(layout), *paper_entries(layout)]
    return [*(f"{entry.name}.{form}" for entry in shown for form in TABLE_FORMATS), INDEX]


def figure_files(layout: Layout) -> list[str]:
    """File names of all figures in all renderings."""
    return [f"{entry.name}.{form}" for entry in figure_entries(layout) for form in FIGURE_FORMATS]
