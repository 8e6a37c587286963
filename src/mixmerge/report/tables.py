"""All tables of a study, from its results to files."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from mixmerge.files import read_json
from mixmerge.manifest import MANIFEST
from mixmerge.report import markdown
from mixmerge.report.contest import ablation_table, compact_table, strategies_table
from mixmerge.report.dataset import data_table
from mixmerge.report.entries import INDEX, Entry, table_entries
from mixmerge.report.hyperparameters import hyperparameters_table
from mixmerge.report.layout import Layout
from mixmerge.report.scale import scale_table
from mixmerge.report.scores import Scores
from mixmerge.report.table import Table
from mixmerge.report.writing import write_table, write_text


def read_parameters(layout: Layout, results: Path) -> dict[str, int]:
    """Model -> number of weights of its base checkpoint, from the checkpoint's manifest."""
    found = {}
    for model in layout.models:
        base = next(variant.name for variant in model.variants if variant.kind == "base")
        facts = read_json(results / "checkpoints" / model.key / base / MANIFEST)["facts"]
        if "parameters" in facts:
            found[model.key] = int(facts["parameters"])
    return found


def build_tables(
    layout: Layout, scores: Scores, statistics: Any, parameters: dict[str, int]
) -> Iterator[Table]:
    """The study's tables in print order.

    Args:
        layout: the study.
        scores: scores of all checkpoints.
        statistics: content of ``data/statistics.json``.
        parameters: model -> number of weights.
    """
    for entry in table_entries(layout):
        yield _build(layout, entry, scores, statistics, parameters)


def _build(
    layout: Layout, entry: Entry, scores: Scores, statistics: Any, parameters: dict[str, int]
) -> Table:
    if entry.kind == "hyperparameters":
        return hyperparameters_table(layout, entry, parameters)
    if entry.kind == "data":
        return data_table(layout, entry, statistics, scores)
    if entry.kind == "strategies":
        return strategies_table(layout, entry, scores)
    if entry.kind == "data-scale":
        return scale_table(layout, entry, scores)
    if entry.kind == "ablation":
        return ablation_table(layout, entry, scores)
    return compact_table(layout, entry, scores)


def write_tables(layout: Layout, results: Path, scores: Scores, out: Path) -> None:
    """Write every table of the study in every rendering, and all of them in one Markdown file.

    Args:
        layout: the study.
        results: the study's directory; ``data/statistics.json`` and manifests are read.
        scores: scores of all checkpoints.
        out: directory of the tables.
    """
    statistics = read_json(results / "data" / "statistics.json")
    tables = list(build_tables(layout, scores, statistics, read_parameters(layout, results)))
    for table in tables:
        write_table(table, out)
    parts = [f"# {layout.title}", *(markdown.render(table) for table in tables)]
    write_text(out / INDEX, "\n".join(f"{part.rstrip()}\n" for part in parts))
