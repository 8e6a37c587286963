"""The corpus as a study sees it: suites, ground truth, completions, and the script that scores."""

import json
import os
import sys
from pathlib import Path
from typing import Any

from hostile.corpus import KINDS, SUITES, Program
from hostile.world import VARIABLE, World

from hostile import corpus, watch
from mixmerge.artifacts.manifest import write_manifest
from mixmerge.core.io import read_jsonl, write_jsonl
from mixmerge.evaluate.groundtruth import make_ground_truth, make_recorded_truth
from mixmerge.evaluate.settings import CodeScoring, GroundTruthSettings


def write_suite(world: World, suite: str, tasks: dict[str, Program], code: CodeScoring) -> None:
    """A suite with a problem for each program, and its ground truth."""
    directory = world.folder / "suites" / suite
    rows = [
        corpus.problem(task, program.kind, world.secret)
        for task, program in tasks.items()
        if KINDS[program.kind][0] == suite
    ]
    write_jsonl(directory / "problems.jsonl", rows)
    items = [
        {"id": row["task_id"], "messages": [{"role": "user", "content": "?"}], "reference": None}
        for row in rows
    ]
    write_jsonl(directory / "items.jsonl", items)
    write_manifest(directory, "suite")
    settings = GroundTruthSettings.model_validate(SUITES[suite] | {"code": code.model_dump()})
    make = make_ground_truth if settings.tests == "inputs" else make_recorded_truth
    make(directory / "problems.jsonl", world.folder / "truth" / suite, settings)


def write_completions(
    world: World, suites: dict[str, dict[str, Any]], tasks: dict[str, Program]
) -> None:
    """The programs as completions, with the canaries' names filled in."""
    for suite in suites:
        rows = []
        for item in read_jsonl(world.folder / "suites" / suite / "items.jsonl"):
            text = world.told(tasks[item["id"]].text, suite)
            rows.append(
                {
                    "id": item["id"],
                    "completion": text,
                    "stop_reason": "stop",
                    "prompt_tokens": 1,
                    "completion_tokens": 1,
                }
            )
        path = world.folder / "completions" / f"{suite}.jsonl"
        path.parent.mkdir(exist_ok=True)
        # With escapes: a lone surrogate is legal JSON and no UTF-8.
        path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="ascii")
    write_manifest(world.folder / "completions", "completions")


def score(
    world: World, suites: dict[str, dict[str, Any]], root: Path, code: CodeScoring
) -> watch.Seen:
    """Run the scoring script, watched; the secret is in its environment."""
    folder = world.folder
    settings = {"code": code.model_dump(), "suites": suites}
    command = [
        *(sys.executable, str(root / "workflow" / "scripts" / "score.py")),
        *("--completions", str(folder / "completions"), "--out", str(folder / "scores")),
        *("--settings", json.dumps(settings)),
        *("--suites", *(f"{name}={folder}/suites/{name}" for name in suites)),
        *("--groundtruth", *(f"{name}={folder}/truth/{name}" for name in suites)),
    ]
    return watch.run(
        command,
        dict(os.environ) | {VARIABLE: world.secret},
        folder / "log",
        "hx-",
        world.number("FREE_PORT"),
        f"{world.mark}-listener",
    )
