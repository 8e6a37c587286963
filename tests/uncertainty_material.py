"""Score rows of simulated checkpoints, for the tests of uncertainty."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from fixtures.report_study import layout
from mixmerge.artifacts.manifest import write_manifest
from mixmerge.report.settings import Layout
from mixmerge.study.layout import uncertainty_settings
from mixmerge.uncertainty.settings import Uncertainty, UncertaintySettings

#: What the second task's columns are: metrics of summaries in the place of verdicts.
_SUMMARY = {"base": "bleu4", "plus": "meteor"}


def study(**changes: Any) -> Layout:
    """The report tests' study, its second task judged by the metrics of summaries."""
    plain = layout(**changes)
    columns = [
        column
        if column.task == "write"
        else column.model_copy(
            update={"metric": _SUMMARY[column.metric], "counted": False, "digits": 4}
        )
        for column in plain.columns
    ]
    suites = [
        suite if suite.task == "write" else suite.model_copy(update={"kind": "summary"})
        for suite in plain.suites
    ]
    return plain.model_copy(update={"columns": columns, "suites": suites})


def settings(
    found: Layout, model: str = "tiny", resamples: int = 1000, confidence: float = 0.95
) -> UncertaintySettings:
    """The settings that the rule would pass."""
    uncertainty = Uncertainty(resamples=resamples, confidence=confidence)
    return UncertaintySettings.model_validate(uncertainty_settings(found, model, uncertainty))


def write_rows(
    found: Layout, root: Path, skills: Mapping[str, float], items: int = 60, seed: int = 1
) -> dict[str, Path]:
    """Rows and summaries of every checkpoint of the first model, as the scoring rule writes them.

    Args:
        found: the study.
        root: the study's directory.
        skills: checkpoint -> chance that it solves a problem; 0.5 for those not named.
        items: size of each suite.
        seed: of the simulation.

    Returns:
        Checkpoint -> its directory.
    """
    draw = np.random.default_rng(seed)
    model = found.models[0]
    hardness = {suite.key: draw.random(items) for suite in found.suites}
    directories = {}
    for variant in model.variants:
        directory = root / "scores" / model.key / variant.name
        directory.mkdir(parents=True, exist_ok=True)
        summary = {}
        for suite in found.suites:
            own = np.where(draw.random(items) < 0.5, hardness[suite.key], draw.random(items))
            margins = skills.get(variant.name, 0.5) - own
            rows = [_row(suite.kind, i, margin) for i, margin in enumerate(margins)]
            text = "".join(json.dumps(row) + "\n" for row in rows)
            (directory / f"{suite.key}.jsonl").write_text(text, encoding="utf-8")
            summary[suite.key] = {
                "n": items,
                "metrics": _metrics(suite.kind, rows),
                "stopped": 1.0,
                "completion_tokens": 9.0,
            }
        (directory / "scores.json").write_text(json.dumps(summary), encoding="utf-8")
        write_manifest(directory, "scores")
        directories[variant.name] = directory
    return directories


def _row(kind: str, index: int, margin: float) -> dict[str, Any]:
    name = {"id": f"item/{index}"}
    if kind == "code":
        base, plus = ("pass" if margin > step else "fail" for step in (0, 0.05))
        # What the base tests fail may pass the plus tests; EvalPlus counts it as failed.
        return {**name, "solution": "x", "base": base, "plus": plus if index % 7 else "pass"}
    return {**name, "bleu4": float(max(margin, 0) ** 4), "meteor": float(max(margin, 0))}


def _metrics(kind: str, rows: list[dict[str, Any]]) -> dict[str, float]:
    if kind == "code":
        base = [row["base"] == "pass" for row in rows]
        plus = [row["base"] == "pass" and row["plus"] == "pass" for row in rows]
        return {"base": sum(base) / len(rows), "plus": sum(plus) / len(rows)}
    return {name: sum(row[name] for row in rows) / len(rows) for name in ("bleu4", "meteor")}
