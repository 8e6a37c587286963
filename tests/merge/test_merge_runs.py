"""Recipes edited by hand, records of merges, and the scripts; bad inputs: tests/broken_input."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from fixtures import checkpoints as material
from fixtures.forks import run_script
from mixmerge.artifacts.manifest import MANIFEST, PROVENANCE, read_manifest
from mixmerge.core.errors import UserError
from mixmerge.merge.execution import check_inputs, merge
from mixmerge.merge.recipe import (
    differing,
    holds_recorded,
    merge_again,
    recorded_weights,
    write_record,
)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("    weight: 0.5\n", "  density: 0.5\n", "models.0.density: Extra inputs"),
        ("merge_method: linear\n", "", "merge_method: missing"),
        ("merge_method: linear", "merge_method: lineal", "Unimplemented merge method lineal"),
        ("models:", "slices:", "no list `models`"),
        ("    weight: 0.5\n", "    normalize: true\n", "Missing required parameter weight"),
        ("    weight: 0.5\n", "    weight: much\n", "MergeKit cannot run it: .*much"),
    ],
)
def test_a_hand_edited_recipe_gets_mergekits_own_message(
    study: Path, old: str, new: str, message: str
) -> None:
    path = study / "r.yaml"
    text = path.read_text().split("# base")[1].partition("\n")[2]
    assert old in text
    path.write_text(text.replace(old, new, 1))
    with pytest.raises(UserError, match=message) as caught:
        merge(path, study / "out", seed=0, shard_bytes=10**6)
    assert str(study) in str(caught.value) and "\n" not in str(caught.value)
    assert not (study / "out").exists()


def test_older_spelling_of_the_config_is_the_same(study: Path) -> None:
    config = json.loads((study / "b" / "config.json").read_text())
    config["rope_parameters"] = {"rope_type": "default", "rope_theta": config.pop("rope_theta")}
    config |= {"transformers_version": "5.23.0", "use_cache": False, "eos_token_id": 256}
    (study / "b" / "config.json").write_text(json.dumps(config))
    check_inputs(study / "base", [study / "a", study / "b"])


def test_a_recipe_with_a_dtype_takes_inputs_of_several(study: Path) -> None:
    shutil.rmtree(study / "b")
    material.write_checkpoint(study / "b", "llama", material.values("llama", 3), dtype="F32")
    check_inputs(study / "base", [study / "a", study / "b"])


@pytest.fixture(scope="module")
def merged(tmp_path_factory: pytest.TempPathFactory, write_recipe: Callable[..., Path]) -> Path:
    """A directory with a recipe of DARE, which draws random masks, its merge and its record."""
    root = material.family_of_checkpoints(tmp_path_factory.mktemp("m"), "llama", 2, shards=2)
    write_recipe(root, method="dare_linear", model_parameters={"density": 0.5})
    merge(root / "r.yaml", root / "weights", seed=7, shard_bytes=50_000)
    write_record(root / "weights", root / "record")
    return root


def test_the_record_stands_for_deleted_weights_which_come_back(merged: Path) -> None:
    weights, record, scratch = merged / "gone", merged / "record", merged / "scratch"
    shutil.copytree(merged / "weights", weights)
    assert {path.name for path in record.iterdir()} == {MANIFEST, PROVENANCE}
    with recorded_weights(weights, record, merged / "r.yaml", scratch, seed=7) as place:
        assert place == weights  # as long as they are there
    shutil.rmtree(weights)
    assert not holds_recorded(weights, record)
    with recorded_weights(weights, record, merged / "r.yaml", scratch, seed=7) as place:
        assert place == scratch and differing(scratch, record) is None
        assert (scratch / MANIFEST).read_bytes() == (record / MANIFEST).read_bytes()
    assert not scratch.exists() and not weights.exists()


def test_weights_that_come_out_differently_are_refused(merged: Path) -> None:
    record = shutil.copytree(merged / "record", merged / "record-of-old")
    provenance = json.loads((record / PROVENANCE).read_text())
    provenance["software"]["mergekit"] = "0.1.4"
    (record / PROVENANCE).write_text(json.dumps(provenance))
    with pytest.raises(UserError) as caught:
        merge_again(merged / "r.yaml", record, merged / "out", seed=8)
    message = str(caught.value)
    assert "model-00001-of-" in message and "\n" not in message
    assert "mergekit was 0.1.4, is 0.1.5; other seed" in message
    assert f"delete {record / MANIFEST} and run again" in message
    assert not (merged / "out").exists()


@pytest.mark.parametrize("fault", ["flipped byte", "missing", "extra"])
def test_every_byte_of_kept_weights_is_compared(merged: Path, tmp_path: Path, fault: str) -> None:
    copy = shutil.copytree(merged / "weights", tmp_path / "copy")
    assert differing(copy, merged / "record") is None
    shard = min(copy.glob("*.safetensors"))
    if fault == "flipped byte":
        data = bytearray(shard.read_bytes())
        data[-1] ^= 1
        shard.write_bytes(data)
    elif fault == "missing":
        shard.unlink()
    else:
        shard = copy / "stray.txt"
        shard.touch()
    assert differing(copy, merged / "record") == shard.name


@pytest.mark.slow
def test_script_stops_with_one_line_and_keeps_what_is_done(study: Path, tmp_path: Path) -> None:
    """Of several merges in one process each is the same as alone; the first fault ends it."""
    torn = shutil.copytree(study, tmp_path / "torn")
    shard = torn / "b/model-00001-of-00002.safetensors"
    shard.write_bytes(shard.read_bytes()[:-100])
    (torn / "r.yaml").write_text((study / "r.yaml").read_text().replace(str(study), str(torn)))
    recipes, outs = [study / "r.yaml"] * 2 + [torn / "r.yaml"], [study / name for name in "xyz"]
    given = ["--recipe", *recipes, "--seed", 7, 7, 7, "--shard-bytes", 10**6, "--out", *outs]
    done = run_script("merge.py", *given)
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1].startswith("error: ")
    assert done.stderr.count("error:") == 1 and "Traceback" not in done.stderr
    assert not outs[2].exists()
    assert read_manifest(outs[0], "checkpoint")["facts"]["parameters"] == 39_904
    provenance = json.loads((outs[0] / PROVENANCE).read_text())
    assert provenance["seed"] == 7 and provenance["software"]["mergekit"] == "0.1.5"
    assert (outs[0] / MANIFEST).read_bytes() == (outs[1] / MANIFEST).read_bytes()
    done = run_script("merge.py", *given[:-1])
    assert done.returncode == 1 and "as many values" in done.stderr
