"""The paper's study with the paper's own figures as its scores."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import yaml

from mixmerge.config.load import parse_config
from mixmerge.report.layout import Column, Layout, Model, Variant
from mixmerge.report.paper_tables import Line, read_results, read_scale
from mixmerge.report.scores import VariantScores
from mixmerge.study.graph import variants
from mixmerge.study.layout import layout_of
from paper_audit.hypotheses import Paper

Scores = dict[tuple[str, str], VariantScores]

#: The paper's columns in ours, as config/config.yaml names its suites.
COLUMNS = {
    "humaneval.base": "humaneval",
    "humaneval.plus": "humaneval_plus",
    "mbpp.base": "mbpp",
    "mbpp.plus": "mbpp_plus",
    "codexglue.bleu4": "bleu4",
    "codexglue.chrfpp": "chrfpp",
    "codexglue.rouge_l": "rouge_l",
    "codexglue.meteor": "meteor",
}
ITEMS = {"humaneval": 164, "mbpp": 378}


def figures(root: Path) -> Paper:
    """The paper's figures."""
    folder = root / "resources" / "paper"
    return Paper(
        read_results(folder / "paper_results.csv"), read_scale(folder / "paper_data_scale.csv")
    )


def content(root: Path, **tables: Any) -> dict[str, Any]:
    """The paper's study beside the paper, as YAML would give it."""
    found: dict[str, Any] = yaml.safe_load((root / "config/config.yaml").read_text())
    paper = {
        "results": str(root / "resources/paper/paper_results.csv"),
        "data_scale": str(root / "resources/paper/paper_data_scale.csv"),
        "columns": COLUMNS,
    }
    found["tables"] = {**found["tables"], "select": "test", "paper": paper, **tables}
    return found


def study(root: Path, **tables: Any) -> Layout:
    """Its layout."""
    return built(content(root, **tables))


def built(given: dict[str, Any]) -> Layout:
    """The layout of a configuration."""
    config = parse_config(given, "test")
    return layout_of(config, {model: variants(config, model) for model in config.models})


def as_printed(layout: Layout, root: Path, tables: tuple[str, ...]) -> Scores:
    """The paper's scores as ours, of the first of these tables that prints a checkpoint."""
    paper = figures(root)

    def line_of(model: Model, variant: Variant) -> Line | None:
        weight = None if variant.weights is None else variant.weights["codegen"]
        name = {"base": "base", "sft": "sft", "mix": "mix"}.get(variant.kind, variant.strategy)
        for table in tables:
            for line in paper.lines:
                if (line.table, line.model, line.strategy, line.weight) == (
                    *(table, model.key, name),
                    weight,
                ):
                    return line
        return None

    def value(model: Model, variant: Variant, column: Column) -> float:
        metric = COLUMNS.get(column.key)
        if metric is None:
            return 0.5
        for share in paper.scale:
            if (share.model, share.percent) == (model.key, variant.percent) and "4" in tables:
                return float(share.values.get(metric, 0))
        line = line_of(model, variant)
        return 0.0 if line is None else float(line.values[metric])

    return scores(layout, value)


def scores(layout: Layout, value: Callable[[Model, Variant, Column], float]) -> Scores:
    """Scores of every checkpoint by a function."""
    return {
        (model.key, variant.name): VariantScores(
            values={column.key: value(model, variant, column) for column in layout.columns},
            items={suite.key: ITEMS.get(suite.key, 25834) for suite in layout.suites},
            stopped={suite.key: 1.0 for suite in layout.suites},
        )
        for model in layout.models
        for variant in model.variants
    }
