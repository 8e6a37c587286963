"""Layouts and results directories for the report's tests: small, exact, with known answers."""

import json
from collections.abc import Mapping, Sequence
from itertools import combinations
from pathlib import Path
from typing import Any

from evidence_material import evidence
from mixmerge.report.layout import Column, Layout, Model, Run, Strategy, Suite, Task, Variant
from mixmerge.report.scores import VariantScores

TASKS = ("write", "explain", "translate", "test")


def layout(
    *,
    tasks: int = 2,
    models: Sequence[str] = ("tiny",),
    ratios: Sequence[float] = (0.25, 0.75),
    percents: Sequence[int] = (50, 100),
    **changes: Any,
) -> Layout:
    """A study with one suite of two columns a task and role, and one strategy, ``blend``."""
    keys = TASKS[:tasks]
    built = [_model(key, keys, ratios, percents) for key in models]
    values: dict[str, Any] = {
        "title": "A test study",
        "tasks": [Task(key=key, title=key.capitalize()) for key in keys],
        "suites": [
            Suite(
                key=f"{key}-{role}",
                title=f"{key.capitalize()} suite",
                task=key,
                role=role,
                kind="code",
                version="v1",
            )
            for role in ("test", "validation")
            for key in keys
        ],
        "columns": [
            Column(
                suite=f"{key}-{role}",
                metric=metric,
                header=f"{key} {metric}",
                task=key,
                role=role,
                digits=3,
                counted=True,
            )
            for role in ("test", "validation")
            for key in keys
            for metric in ("base", "plus")
        ],
        "strategies": [Strategy(key="blend", title="Blend", recipe="merge_method linear")]
        if ratios
        else [],
        "models": built,
        "runs": [
            Run(model=key, training_set=task, settings={"learning_rate": 1e-5, "lora": None})
            for key in models
            for task in (*keys, "Data mixture")
        ],
        "strategy_models": list(models),
        "scale_models": list(models),
        "ablation_models": list(models) if ratios else [],
        "compact_models": [],
        "figure_models": list(models),
        "select": "test",
        "high_correlation": 0.5,
        "dpi": 72,
    }
    return Layout.model_validate(values | changes)


def _model(
    key: str, tasks: Sequence[str], ratios: Sequence[float], percents: Sequence[int]
) -> Model:
    variants = [Variant(name="base", kind="base")]
    for task in tasks:
        variants += [
            Variant(name=f"{task}-at-{p}", kind="sft", task=task, percent=p) for p in percents
        ]
    variants.append(Variant(name="mixed", kind="mix", percent=percents[-1]))
    for ratio in ratios:
        rest = (1 - ratio) / (len(tasks) - 1)
        weights = {task: ratio if i == 0 else rest for i, task in enumerate(tasks)}
        variants.append(
            Variant(name=f"blend-{ratio}", kind="merge", strategy="blend", weights=weights)
        )
    return Model(
        key=key,
        title=f"{key.capitalize()} model",
        size="small",
        variants=variants,
        specialists={task: f"{task}-at-{percents[-1]}" for task in tasks},
        mixture="mixed",
    )


def scores(
    study: Layout, special: Mapping[tuple[str, str], float] | None = None
) -> dict[tuple[str, str], VariantScores]:
    """Every value 0.5, but for those given by (variant, column key)."""
    special = special or {}
    return {
        (model.key, variant.name): VariantScores(
            values={c.key: special.get((variant.name, c.key), 0.5) for c in study.columns},
            items={suite.key: 40 for suite in study.suites},
            stopped={suite.key: 1.0 for suite in study.suites},
        )
        for model in study.models
        for variant in model.variants
    }


def write_results(
    study: Layout,
    root: Path,
    found: Mapping[tuple[str, str], VariantScores],
    layers: int = 3,
    pearson: float | None = 0.25,
) -> None:
    """A results directory in the stages' formats."""
    for model in study.models:
        _json(root / "uncertainty" / f"{model.key}.json", evidence(study, model, found))
        _json(
            root / "checkpoints" / model.key / "base" / "manifest.json",
            {"kind": "checkpoint", "facts": {"parameters": 1_540_000_000}, "files": {}},
        )
        for order, variant in enumerate(model.variants):
            entry = found[model.key, variant.name]
            summary = {
                suite.key: {
                    "n": entry.items[suite.key],
                    "metrics": {
                        c.metric: entry.values[c.key] for c in study.columns if c.suite == suite.key
                    },
                    "stopped": entry.stopped[suite.key],
                    "completion_tokens": 12.5,
                }
                for suite in study.suites
            }
            _json(root / "scores" / model.key / variant.name / "scores.json", summary)
            groups = [_group(i, l2=1 + order + i / 10) for i in range(layers)]
            groups.append(_group(None, l2=100.0))
            weights = root / "weights" / model.key
            _json(weights / f"{variant.name}.json", {"groups": groups, "total": {}})
        pairs = [
            {
                "a": a,
                "b": b,
                "groups": [
                    *(
                        _group(
                            i,
                            pearson=None if pearson is None else pearson + i / 100,
                            cosine=0.3,
                            sign_conflict=0.4,
                            norm_ratio=0.8,
                        )
                        for i in range(layers)
                    ),
                    _group(None, pearson=0.99, cosine=0.99, sign_conflict=0.01, norm_ratio=9.0),
                ],
                "total": {},
            }
            for a, b in combinations(model.specialists.values(), 2)
        ]
        _json(root / "weights" / model.key / "updates.json", {"pairs": pairs})
    words = {"mean": 10.25, "p95": 30.0}
    task = {
        "read": 1200,
        "empty": 1,
        "duplicates": 90,
        "contaminated": 9,
        "rows": 1100,
        "train": 1000,
        "validation": 100,
        "prompt": {"words": words},
        "answer": {"words": words},
        "sources": {},
    }
    mixture = {"train": 1000 * len(study.tasks), "validation": 100, "tasks": {}}
    _json(
        root / "data" / "statistics.json",
        {"sources": {}, "tasks": {t.key: task for t in study.tasks}, "sets": {"mix-p100": mixture}},
    )


def _group(layer: int | None, **values: float | None) -> dict[str, Any]:
    name = "embeddings" if layer is None else f"layer.{layer}"
    return {"group": name, "layer": layer, "parameters": 10, **values}


def _json(path: Path, value: Any) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(value), encoding="utf-8")
