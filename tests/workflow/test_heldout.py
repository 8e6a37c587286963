"""A suite of held-out training rows in the real workflow: its place in the plan, and no leak."""

import copy
import json
from pathlib import Path
from typing import Any

import pytest

from fixtures.workspace import Workspace

ROOT = "results/shrunken"
TRUTH = f"{ROOT}/groundtruth/written/manifest.json"


def row(number: int) -> dict[str, str]:
    return {
        "id": f"r{number}",
        "problem": f"Write f{number}(x) that adds {number}.",
        "solution": f"def f{number}(x):\n    return x + {number}",
        "tests": f"from solution import f{number}\n\n"
        f"def test_it():\n    assert f{number}(1) == {number + (1 if number % 5 else 0)}",
    }


@pytest.fixture
def workspace(tmp_path: Path, shrunken: dict[str, Any]) -> Workspace:
    """The shrunken study, a training source with tests added, judged on its held-out rows."""
    lines = [json.dumps(row(number)) for number in range(200)]
    (tmp_path / "rows.jsonl").write_text("\n".join(lines) + "\n", encoding="utf-8")
    data = copy.deepcopy(shrunken)
    data["sources"]["tested"] = {"kind": "local", "path": "rows.jsonl", "id_column": "id"}
    data["tasks"]["codegen"]["sources"].append("tested")
    data["data"]["validation_fraction"] = 0.2
    data["suites"]["written"] = {
        "kind": "code",
        "task": "codegen",
        "title": "Held-out functions",
        "role": "validation",
        "problems": "held-out",
        "source": "tested",
        "fields": {"problem": "problem", "tests": "tests", "solution": "solution"},
        "sample": 20,
    }
    data["suites"]["summaries-validation"]["sample"] = 4
    data["suites"]["human-eval"] = {
        "kind": "code",
        "task": "codegen",
        "title": "HumanEval",
        "problems": "human-eval",
        "limit": 2,
    }
    workspace = Workspace(tmp_path)
    workspace.write_config(data)
    return workspace


@pytest.mark.slow
def test_the_held_out_suite_stands_below_the_split_and_above_nothing_that_trains(
    workspace: Workspace, shrunken: dict[str, Any]
) -> None:
    others = len(shrunken["suites"]) + 1
    trained = workspace.planned("--", f"{ROOT}/data/sets/mix-p100/manifest.json")
    assert trained["hold_out"] == others
    assert "suite" not in trained
    # The whole study has every suite made once, and no cycle.
    scored = workspace.planned("--", f"{ROOT}/scores/qwen2-small/linear-w0.3/manifest.json")
    assert scored["suite"] == scored["hold_out"] == others + 1
    assert scored["ground_truth"] == 4


@pytest.mark.slow
def test_no_row_is_both_trained_on_and_judged(workspace: Workspace) -> None:
    sets = [f"{ROOT}/data/sets/{name}/manifest.json" for name in ("codegen-p100", "mix-p100")]
    samples = f"{ROOT}/suites/summaries-validation/manifest.json"
    result = workspace.snakemake("--", TRUTH, *sets, samples)
    assert result.returncode == 0, (result.stdout + result.stderr)[-4000:]

    def ids(path: str) -> set[str]:
        lines = (workspace.path / ROOT / path).read_text(encoding="utf-8").splitlines()
        return {json.loads(line)["id"] for line in lines}

    asked = ids("suites/written/items.jsonl")
    assert len(asked) == 20
    assert all(name.startswith("codegen/tested/r") for name in asked)
    judged, dropped = (
        ids("groundtruth/written/tasks.jsonl"),
        ids("groundtruth/written/dropped.jsonl"),
    )
    assert judged | dropped == asked
    assert dropped
    assert {name for name in asked if int(name.split("/r")[1]) % 5 == 0} == dropped
    assert asked <= ids("data/split/codegen/validation.jsonl")
    for name in ("codegen-p100", "mix-p100"):
        trained = ids(f"data/sets/{name}/train.jsonl")
        assert any(row.startswith("codegen/tested/r") for row in trained)
        assert not trained & asked
    assert len(ids("suites/summaries-validation/items.jsonl")) == 4
