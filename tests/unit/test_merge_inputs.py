"""Bad checkpoints: one clear message, exit code 1, no half-written target, and on after mending."""

import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import checkpoint_material as material
from mixmerge.artifacts.manifest import read_manifest, write_manifest
from mixmerge.core.errors import UserError
from mixmerge.merge.execution import merge
from mixmerge.merge.inputs import check_inputs
from mixmerge.merge.reading import read_recipe
from mixmerge.merge.recipe import RecipeSettings, render_recipe

NORM = "model.layers.1.input_layernorm.weight"


@pytest.fixture
def study(tmp_path: Path) -> Path:
    root = material.family_of_checkpoints(tmp_path / "m", "llama", 2, shards=2)
    settings: dict[str, Any] = {
        "method": "linear",
        "weights": {"one": 0.5, "two": 0.5},
        "base": str(root / "base"),
        "specialists": {"one": str(root / "a"), "two": str(root / "b")},
    }
    (root / "r.yaml").write_text(render_recipe(RecipeSettings.model_validate(settings)))
    return root


def spoil(study: Path, fault: str) -> str:
    """Break specialist b in one way; return what the message must name."""
    b = study / "b"
    arrays = material.moved(material.values("llama", 1), 11)
    shard = b / "model-00001-of-00002.safetensors"
    if fault == "missing shard":
        shard.unlink()
        return f"{shard}: shard is missing"
    if fault == "truncated":
        shard.write_bytes(shard.read_bytes()[:-100])
        return f"{shard}: truncated"
    config: dict[str, Any] = {}
    expected = ""
    if fault == "nan":
        arrays[NORM][3] = np.nan
        expected = f"tensor '{NORM}' holds NaN at [3]"
    elif fault == "shape":
        arrays[NORM] = arrays[NORM][:-1]
        expected = f"tensor '{NORM}' has shape [31], but [32]"
    elif fault == "rope":
        config["rope_theta"] = 1_000_000.0
        expected = f"{b / 'config.json'}: rope_parameters is"
    shutil.rmtree(b)
    material.write_checkpoint(b, "llama", arrays, **config)
    if fault == "tokenizer":
        material.write_tokenizer(b, shift=3)
        expected = f"{b / 'tokenizer.json'}: vocabulary: token"
    return expected


@pytest.mark.parametrize(
    "fault", ["missing shard", "truncated", "nan", "shape", "tokenizer", "rope"]
)
def test_each_fault_is_one_message_and_leaves_nothing(study: Path, fault: str) -> None:
    before = {path.name for path in study.iterdir()}
    expected = spoil(study, fault)
    with pytest.raises(UserError) as caught:
        merge(study / "r.yaml", study / "out", seed=0, shard_bytes=10**6)
    assert expected in str(caught.value)
    assert {path.name for path in study.iterdir()} == before


def test_older_spelling_of_the_config_is_the_same(study: Path) -> None:
    config = json.loads((study / "b" / "config.json").read_text())
    config["rope_parameters"] = {"rope_type": "default", "rope_theta": config.pop("rope_theta")}
    config |= {"transformers_version": "5.23.0", "use_cache": False, "eos_token_id": 256}
    (study / "b" / "config.json").write_text(json.dumps(config))
    check_inputs(read_recipe(study / "r.yaml"))


def test_mixed_dtypes_need_a_dtype(study: Path) -> None:
    shutil.rmtree(study / "b")
    material.write_checkpoint(study / "b", "llama", material.values("llama", 3), dtype="F32")
    check_inputs(read_recipe(study / "r.yaml"))
    text = (study / "r.yaml").read_text()
    (study / "r.yaml").write_text(text.replace("dtype: bfloat16\nout_dtype: bfloat16\n", ""))
    with pytest.raises(UserError, match="name the `dtype`"):
        check_inputs(read_recipe(study / "r.yaml"))


def test_input_that_changed_behind_its_manifest(study: Path) -> None:
    write_manifest(study / "a", "checkpoint")
    check_inputs(read_recipe(study / "r.yaml"))
    (study / "a" / "generation_config.json").write_text("{}")
    with pytest.raises(UserError, match="the file was changed or cut off"):
        check_inputs(read_recipe(study / "r.yaml"))


def run_merge(root: Path, study: Path, out: str = "out") -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(root / "workflow/scripts/merge.py")]
    command += ["--recipe", str(study / "r.yaml"), "--out", str(study / out)]
    command += ["--seed", "7", "--shard-bytes", "1000000"]
    return subprocess.run(command, capture_output=True, text=True)


@pytest.mark.slow
def test_script_stops_with_one_line_and_goes_on_after_mending(root: Path, study: Path) -> None:
    shutil.copytree(study / "b", study / "whole")
    spoil(study, "truncated")
    done = run_merge(root, study)
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1].startswith("error: ")
    assert done.stderr.count("error:") == 1 and "Traceback" not in done.stderr
    assert not (study / "out").exists()
    shutil.rmtree(study / "b")
    (study / "whole").rename(study / "b")
    assert run_merge(root, study).returncode == 0
    manifest = read_manifest(study / "out", "checkpoint")
    assert manifest["facts"]["parameters"] == 39_904
    provenance = json.loads((study / "out" / "provenance.json").read_text())
    assert provenance["seed"] == 7 and provenance["software"]["mergekit"] == "0.1.5"


@pytest.mark.slow
def test_several_merges_in_one_process_are_the_same_as_alone(root: Path, study: Path) -> None:
    run_merge(root, study)
    command = [sys.executable, str(root / "workflow/scripts/merge.py"), "--shard-bytes", "1000000"]
    command += ["--recipe", *[str(study / "r.yaml")] * 2, "--seed", "7", "7"]
    done = subprocess.run(
        [*command, "--out", str(study / "x"), str(study / "y")], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    manifests = [(study / name / "manifest.json").read_bytes() for name in ("out", "x", "y")]
    assert len(set(manifests)) == 1
    done = subprocess.run([*command, "--out", str(study / "x")], capture_output=True, text=True)
    assert done.returncode == 1 and "as many values" in done.stderr


def test_recipe_script(root: Path, study: Path) -> None:
    settings = {
        "method": "ties",
        "parameters": {},
        "model_parameters": {"densty": 0.5},
        "weights": {"one": 0.3, "two": 0.7},
        "pivot": None,
        "dtype": "bfloat16",
        "base": str(study / "base"),
        "specialists": {"one": str(study / "a"), "two": str(study / "b")},
    }

    def run(value: dict[str, Any]) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, str(root / "workflow/scripts/recipe.py")]
        command += ["--settings", json.dumps(value), "--out", str(study / "new.yaml")]
        return subprocess.run(command, capture_output=True, text=True)

    failed = run(settings)
    assert failed.returncode == 1 and "did you mean 'density'" in failed.stderr
    assert failed.stderr.startswith("error: ") and not (study / "new.yaml").exists()
    assert run({**settings, "model_parameters": {"density": 0.5}}).returncode == 0
    read_recipe(study / "new.yaml")
