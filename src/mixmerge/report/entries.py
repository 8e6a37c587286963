"""The files of the report, known from the layout alone: what rules declare as outputs.

Imports nothing heavy: the rules ask for these names each time they are read.
"""

from typing import NamedTuple

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


class Entry(NamedTuple):
    """One table or figure."""

    name: str  # stem of its files
    kind: str  # what it shows; also the stem of its caption in ``resources/captions``
    number: str  # such as ``Table 3`` or ``Figure 2``
    labels: dict[str, str]  # in Snakemake's report
    model: str | None = None  # the one model it is about, where it is about one

    @property
    def caption(self) -> str:
        """File name of its caption for Snakemake's report."""
        return f"{self.kind}.rst"


def table_entries(layout: Layout) -> list[Entry]:
    """The study's tables in print order; a table that would have no line is left out."""
    tables: list[tuple[int, str, str, str | None]] = [
        (1, "hyperparameters", "Hyperparameters", None),
        (2, "data", "Training data", None),
    ]
    if layout.strategy_models:
        tables.append((3, "strategies", "Mixing and merging", None))
    if layout.scale_models:
        tables.append((4, "data-scale", "Data scale", None))
    pages = [("ablation", "Merge weights", key) for key in layout.ablation_models]
    pages += [("compact", "All strategies", key) for key in layout.compact_models]
    tables += [(number, *page) for number, page in enumerate(pages, 5)]
    entries = []
    for number, kind, shows, key in tables:
        about = layout.model(key).title if key else "all"
        labels = {"table": f"Table {number}", "shows": shows, "model": about}
        name = "-".join([f"table{number}", kind, *([key] if key else [])])
        entries.append(Entry(name, kind, f"Table {number}", labels, key))
    return entries


def paper_entries(layout: Layout) -> list[Entry]:
    """The tables that stand beside the paper's; none where the study names no paper."""
    counterparts = layout.paper.counterparts if layout.paper else []
    tables = {(entry.kind, entry.model): entry.table for entry in counterparts}
    return [
        entry._replace(
            name=entry.name.replace("table", "paper", 1),
            kind=f"paper-{entry.kind}",
            labels={**entry.labels, "shows": f"Beside the paper's Table {tables[key]}"},
        )
        for entry in table_entries(layout)
        if (key := (entry.kind, entry.model)) in tables
    ]


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
