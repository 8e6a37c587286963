"""Which merged weights stay, and what the choice of a strategy's winner is told."""

import shutil
from pathlib import Path
from typing import Any

from mixmerge.artifacts.manifest import read_manifest
from mixmerge.core.errors import UserError
from mixmerge.report.settings import Layout
from mixmerge.study.plan import Study


def kept(study: Study) -> list[str]:
    """Checkpoints that stay, as files or directories: trained ones, and with `keep: all` merges."""
    trained = study.checkpoints("base", "sft", "mix")
    found = [study.manifest("checkpoints", *pair) for pair in trained]
    if study.config.merging.keep == "all":
        found += [study.weights(*pair) for pair in study.checkpoints("merge")]
    return found


def drop_remains(study: Study) -> list[Path]:
    """Delete merged weights that are not whole; returns their directories.

    A run that is killed while it deletes weights leaves some of their files, which Snakemake would
    take for the weights. Whole ones, and what a merge is still writing, stay.
    """
    dropped = []
    for model, variant in study.checkpoints("merge"):
        folder = Path(study.weights(model, variant))
        if not folder.is_dir():
            continue
        try:
            read_manifest(folder, "checkpoint", content=False)
        except UserError:
            shutil.rmtree(folder, ignore_errors=True)
            dropped.append(folder)
    return dropped


def sweep(study: Study, model: str, strategy: str) -> list[str]:
    """A model's merges by one strategy, in the order of the configuration."""
    return [
        name
        for name, variant in study.variants[model].items()
        if variant.kind == "merge" and variant.strategy == strategy
    ]


def winners(study: Study) -> list[tuple[str, str]]:
    """Model and strategy of each sweep whose winner is kept; none unless `keep: winners`."""
    if study.config.merging.keep != "winners":
        return []
    return [
        (model, strategy)
        for model in study.config.models
        for strategy in study.config.strategies
        if sweep(study, model, strategy)
    ]


def contenders(study: Study, layout: Layout, model: str, strategy: str) -> list[str]:
    """Checkpoints whose scores choose a winner: the merges, and what they are compared with."""
    return [*layout.specialists(layout.model(model)), *sweep(study, model, strategy)]


def winner_layout(study: Study, layout: Layout, model: str, strategy: str) -> dict[str, Any]:
    """The part of the study's layout that decides a winner.

    What only matters in print is left out, so that a new title makes no job run again.

    Args:
        study: the study.
        layout: its report.
        model: key of the model.
        strategy: key of the strategy.
    """
    wanted = set(contenders(study, layout, model, strategy))
    entry = layout.model(model)
    columns = layout.columns_of(layout.select)
    suites = {column.suite for column in columns}
    plain = {"title": ""}
    return Layout(
        title="",
        tasks=[task.model_copy(update=plain) for task in layout.tasks],
        suites=[
            suite.model_copy(update=plain | {"version": ""})
            for suite in layout.suites
            if suite.key in suites
        ],
        columns=[column.model_copy(update={"header": ""}) for column in columns],
        strategies=[
            found.model_copy(update=plain | {"recipe": ""})
            for found in layout.strategies
            if found.key == strategy
        ],
        models=[
            entry.model_copy(
                update=plain
                | {
                    "size": "",
                    "mixture": "",
                    "variants": [v for v in entry.variants if v.name in wanted],
                }
            )
        ],
        runs=[],
        strategy_models=[],
        scale_models=[],
        ablation_models=[],
        compact_models=[],
        figure_models=[],
        select=layout.select,
        high_correlation=0,
        dpi=1,
    ).model_dump(mode="json")
