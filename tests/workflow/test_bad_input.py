"""Bad input through the real workflow: one message, no traceback, nothing half-written, and on."""

import copy
import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from fixtures.workspace import Workspace

ROWS = [
    {"id": f"r{n}", "problem": f'def f{n}(x):\n    """Add {n} to x."""', "solution": f"x + {n}"}
    for n in range(40)
]


def refused(workspace: Workspace, *arguments: str) -> str:
    result = workspace.snakemake(*arguments)
    output = result.stdout + result.stderr
    assert result.returncode != 0, output
    assert "Traceback" not in output, output
    return output


@pytest.mark.parametrize(
    ("path", "value", "message"),
    [
        ("sft/learning_rat", 1, "study.yaml: sft: unknown key 'learning_rat'; did you mean"),
        ("strategies/ties/ratios", [1.5], "strategies.ties.ratios: 1.5 is outside"),
        ("strategies/ties/ratios", [], "strategies.ties.ratios: the list of ratios is empty"),
        ("tables/ablation", ["qwen2-smal"], "unknown model 'qwen2-smal'; did you mean"),
        ("models/gone", {"kind": "local", "path": "no/such"}, "models.gone.path: no/such does not"),
    ],
)
def test_config_mistakes_stop_before_any_job(
    tmp_path: Path, shrunken: dict[str, Any], path: str, value: Any, message: str
) -> None:
    data = copy.deepcopy(shrunken)
    *parents, last = path.split("/")
    section = data
    for part in parents:
        section = section[part]
    section[last] = value
    workspace = Workspace(tmp_path)
    workspace.write_config(data)
    assert message in refused(workspace, "all")
    assert not (tmp_path / "results").exists()


def with_rows(tmp_path: Path, shrunken: dict[str, Any], lines: list[str]) -> Workspace:
    """The shrunken study, its generation task trained on a file of these lines."""
    data = copy.deepcopy(shrunken)
    (tmp_path / "rows.jsonl").write_text("\n".join(lines) + "\n", encoding="utf-8")
    data["sources"]["functions-to-write"] = {
        "kind": "local",
        "path": "rows.jsonl",
        "id_column": "id",
    }
    workspace = Workspace(tmp_path)
    workspace.write_config(data)
    return workspace


def broken(change: str) -> list[str]:
    rows = copy.deepcopy(ROWS)
    lines = [json.dumps(row) for row in rows]
    if change == "missing column":
        lines = [json.dumps({"id": r["id"], "problem": r["problem"], "solutoin": 1}) for r in rows]
    elif change == "empty answer":
        lines[6] = json.dumps(rows[6] | {"solution": "  "})
    elif change == "invalid JSON":
        lines[6] = lines[6][:-3]
    elif change == "duplicate id":
        lines[6] = json.dumps(rows[6] | {"id": "r3"})
    return lines


@pytest.mark.slow
@pytest.mark.parametrize(
    ("change", "words"),
    [
        ("missing column", ["solution", "solutoin"]),
        ("empty answer", [":7", "empty answer"]),
        ("invalid JSON", ["rows.jsonl:7: not valid JSON"]),
        ("duplicate id", ["r3", ":7"]),
    ],
)
def test_a_broken_row_is_named_and_the_mended_file_goes_on(
    tmp_path: Path, shrunken: dict[str, Any], change: str, words: list[str]
) -> None:
    workspace = with_rows(tmp_path, shrunken, broken(change))
    target = "results/shrunken/data/tasks/codegen/manifest.json"
    output = refused(workspace, target)
    for word in words:
        assert word in output, output
    assert not (tmp_path / target).exists()
    assert not list((tmp_path / "results").rglob("*.tmp"))

    (tmp_path / "rows.jsonl").write_text("\n".join(map(json.dumps, ROWS)) + "\n")
    result = workspace.snakemake(target)
    assert result.returncode == 0, result.stdout + result.stderr
    assert json.loads((tmp_path / target).read_text())["facts"]["rows"] == len(ROWS)


def break_checkpoint(folder: Path, change: str) -> None:
    import torch
    from safetensors.torch import load_file, save_file

    weights = folder / "model.safetensors"
    if change == "truncated":
        weights.write_bytes(weights.read_bytes()[:-100])
        return
    tensors = load_file(weights)
    if change == "NaN":
        name = next(iter(tensors))
        tensors[name].view(-1)[3] = torch.nan
        save_file(tensors, weights, metadata={"format": "pt"})
    elif change == "missing shard":
        names = sorted(tensors)
        parts = {"model-00001-of-00002.safetensors": names[::2]}
        parts["model-00002-of-00002.safetensors"] = names[1::2]
        for file, chosen in parts.items():
            save_file({n: tensors[n] for n in chosen}, folder / file, metadata={"format": "pt"})
        index = {"weight_map": {n: file for file, chosen in parts.items() for n in chosen}}
        (folder / "model.safetensors.index.json").write_text(json.dumps(index))
        weights.unlink()
        (folder / "model-00002-of-00002.safetensors").unlink()


@pytest.mark.slow
@pytest.mark.parametrize(
    ("change", "words"),
    [
        ("truncated", ["model.safetensors"]),
        ("NaN", ["model.safetensors", "NaN"]),
        ("missing shard", ["model-00002-of-00002.safetensors"]),
    ],
)
def test_a_broken_base_checkpoint_is_named_and_the_mended_one_goes_on(
    finished: Workspace, tmp_path: Path, shrunken: dict[str, Any], change: str, words: list[str]
) -> None:
    whole = finished.path / "results/shrunken/checkpoints/llama-small/base"
    given = tmp_path / "given"
    shutil.copytree(whole, given, ignore=shutil.ignore_patterns("manifest.json", "provenance.json"))
    break_checkpoint(given, change)
    data = copy.deepcopy(shrunken)
    data["models"]["llama-small"] = {"kind": "local", "path": "given"}
    workspace = Workspace(tmp_path)
    workspace.write_config(data)
    target = "results/shrunken/checkpoints/llama-small/base/manifest.json"
    output = refused(workspace, target)
    for word in words:
        assert word in output, output
    assert not (tmp_path / target).exists()

    shutil.rmtree(given)
    shutil.copytree(whole, given, ignore=shutil.ignore_patterns("manifest.json", "provenance.json"))
    result = workspace.snakemake(target)
    assert result.returncode == 0, result.stdout + result.stderr


@pytest.mark.slow
def test_specialists_that_do_not_fit_stop_the_merge(finished: Workspace, tmp_path: Path) -> None:
    """A specialist swapped for another family's: the merge says so before MergeKit starts."""
    workspace = finished.copy_to(tmp_path / "copy")
    checkpoints = workspace.path / "results/shrunken/checkpoints"
    place = checkpoints / "llama-small/sft-codesum-p100"
    shutil.rmtree(place)
    shutil.copytree(checkpoints / "qwen2-small/sft-codesum-p100", place)
    target = "results/shrunken/checkpoints/llama-small/dare-w0.3/manifest.json"
    (workspace.path / target).unlink()
    output = refused(workspace, "--allowed-rules", "merge", "recipe", "--", target)
    assert "sft-codesum-p100" in output
    assert not (workspace.path / target).exists()
