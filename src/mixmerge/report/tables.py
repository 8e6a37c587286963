"""All tables of a study, from its results to files."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from mixmerge.artifacts.manifest import MANIFEST
from mixmerge.core.io import read_json
from mixmerge.report import markdown
from mixmerge.report.beside import beside_table
from mixmerge.report.contest import ablation_table, compact_table, strategies_table
from mixmerge.report.dataset import data_counts, data_table
from mixmerge.report.entries import INDEX, Entry, paper_entries, table_entries
from mixmerge.report.evidence import read_evidence
from mixmerge.report.handed import handed, number
from mixmerge.report.hyperparameters import hyperparameters_table
from mixmerge.report.layout import Layout
from mixmerge.report.marks import EvidenceByModel
from mixmerge.report.pages import write_long
from mixmerge.report.scale import scale_table
from mixmerge.report.scores import Scores
from mixmerge.report.table import Table
from mixmerge.report.writing import write_table, write_text


def read_parameters(layout: Layout, results: Path) -> dict[str, int]:
    """Model -> number of weights of its base checkpoint, from the checkpoint's manifest."""
    found = {}
    for model in layout.models:
        base = next(variant.name for variant in model.variants if variant.kind == "base")
        path = results / "checkpoints" / model.key / base / MANIFEST
        content = read_json(path)
        with handed(path, "of the base model"):
            if "parameters" in content["facts"]:
                found[model.key] = int(number(content["facts"]["parameters"]))
    return found


def build_tables(
    layout: Layout,
    scores: Scores,
    statistics: Any,
    parameters: dict[str, int],
    evidence: EvidenceByModel,
) -> Iterator[Table]:
    """The study's tables in print order.

    Args:
        layout: the study.
        scores: scores of all checkpoints.
        statistics: content of ``data/statistics.json``.
        parameters: model -> number of weights.
        evidence: model -> intervals and comparisons.
    """
    for entry in table_entries(layout):
        yield _build(layout, entry, scores, statistics, parameters, evidence)


def _build(
    layout: Layout,
    entry: Entry,
    scores: Scores,
    statistics: Any,
    parameters: dict[str, int],
    evidence: EvidenceByModel,
) -> Table:
    if entry.kind == "hyperparameters":
        return hyperparameters_table(layout, entry, parameters)
    if entry.kind == "data":
        return data_table(layout, entry, statistics, scores)
    if entry.kind == "strategies":
        return strategies_table(layout, entry, scores, evidence)
    if entry.kind == "data-scale":
        return scale_table(layout, entry, scores, evidence)
    if entry.kind == "ablation":
        return ablation_table(layout, entry, scores, evidence)
    return compact_table(layout, entry, scores, evidence)


def write_tables(
    layout: Layout, results: Path, scores: Scores, out: Path, shelf: Path | None = None
) -> None:
    """Write every table of the study in every rendering, and all of them in one Markdown file.

    Args:
        layout: the study.
        results: the study's directory; ``data/statistics.json``, ``uncertainty/`` and manifests are
            read.
        scores: scores of all checkpoints.
        out: directory of the tables.
        shelf: directory of ``uncertainty/``, if it is another.
    """
    statistics = read_json(results / "data" / "statistics.json")
    parameters = read_parameters(layout, results)
    evidence = read_evidence(layout, shelf or results)
    with handed(results / "data" / "statistics.json", "statistics"):
        data_counts(layout, statistics)
    tables = list(build_tables(layout, scores, statistics, parameters, evidence))
    for table in tables:
        write_table(table, out)
    beside = [beside_table(layout, entry, scores) for entry in paper_entries(layout)]
    for table in beside:
        write_long(table, out)
    parts = [f"# {layout.title}", *(markdown.render(table) for table in (*tables, *beside))]
    write_text(out / INDEX, "\n".join(f"{part.rstrip()}\n" for part in parts))
