"""A bit flipped in a checkpoint is caught by every stage before anything is made of it."""

import json
import os
import random
from pathlib import Path

import pytest

from fixtures import checkpoints as material
from fixtures import sft_studies as sft_material
from fixtures.forks import run_script
from mixmerge.artifacts.manifest import MANIFEST, read_manifest, write_manifest
from mixmerge.checkpoint.side_files import finish_files
from mixmerge.core.errors import UserError
from mixmerge.core.io import write_jsonl
from mixmerge.merge.execution import check_inputs
from mixmerge.merge.recipe import render_recipe
from mixmerge.merge.settings import RecipeSettings
from mixmerge.weights.statistics import layer_distances

SHARD = "model-00002-of-00002.safetensors"


def flip(file: Path, place: float, bit: int = 0) -> None:
    """Flip one bit, leaving size and modification time as a rotting disk does."""
    before = file.stat()
    data = bytearray(file.read_bytes())
    data[int(place * (len(data) - 1))] ^= 1 << bit
    file.write_bytes(data)
    os.utime(file, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert (file.stat().st_size, file.stat().st_mtime_ns) == (before.st_size, before.st_mtime_ns)


@pytest.fixture
def study(tmp_path: Path) -> Path:
    """Base and two specialists in two shards each, published as their rules publish them."""
    root = material.family_of_checkpoints(tmp_path / "m", "llama", 2, shards=2)
    for name in ("base", "a", "b"):
        write_manifest(root / name, "checkpoint", finish_files(root / name))
    settings = {
        "method": "linear",
        "weights": {"one": 0.5, "two": 0.5},
        "base": str(root / "base"),
        "specialists": {"one": str(root / "a"), "two": str(root / "b")},
    }
    (root / "r.yaml").write_text(render_recipe(RecipeSettings.model_validate(settings)))
    return root


def command(stage: str, study: Path, out: Path) -> tuple[Path, list[object]]:
    """The checkpoint that a stage reads, and the stage's own command line."""
    a = study / "a"
    if stage == "merge.py":
        return a, ["--recipe", study / "r.yaml", "--out", out, "--seed", 1, "--shard-bytes", 10**6]
    if stage == "layers.py":
        return a, ["--base", study / "base", "--variant", a, "--out", out / "a.json"]
    if stage == "updates.py":
        pairs = [f"a={a}", f"b={study / 'b'}"]
        return a, ["--base", study / "base", "--variants", *pairs, "--out", out / "u.json"]
    if stage == "sft.py":
        data = sft_material.write_set(study / "set", 4, 2)
        settings = json.dumps({"batch_size": 2, "gradient_accumulation": 1})
        given = ["--base", study / "base", "--data", data, "--settings", settings, "--seed", 1]
        return study / "base", [*given, "--scratch", study / "scratch", "--out", out]
    suite = study / "suite"
    write_jsonl(suite / "items.jsonl", [])
    write_manifest(suite, "suite")
    decoding = {"decoding": {}, "suites": {"s": {"max_new_tokens": 4, "stop": []}}}
    given = ["--checkpoint", a, "--suites", f"s={suite}", "--settings", json.dumps(decoding)]
    return a, [*given, "--scratch", study / "scratch", "--out", out]


@pytest.mark.slow
@pytest.mark.parametrize("stage", ["merge.py", "generate.py", "sft.py", "layers.py", "updates.py"])
def test_no_stage_reads_past_a_flipped_bit(stage: str, study: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    checkpoint, arguments = command(stage, study, out)
    # The lowest bit of a bfloat16's fraction: still a finite number, only another one.
    flip(checkpoint / SHARD, 0.9, bit=0)
    done = run_script(stage, *arguments)
    assert done.returncode == 1, done.stderr
    assert f"{checkpoint / SHARD}: its SHA-256 is" in done.stderr
    assert str(checkpoint / MANIFEST) in done.stderr
    assert "Traceback" not in done.stderr
    assert not list(tmp_path.glob("out*"))


@pytest.mark.slow
def test_score_reads_no_changed_completion(tmp_path: Path) -> None:
    completions, suite = tmp_path / "completions", tmp_path / "suite"
    for folder, kind in ((completions, "completions"), (suite, "suite")):
        write_jsonl(folder / "s.jsonl", [{"id": "1", "text": "return 1"}])
        write_manifest(folder, kind)
    flip(completions / "s.jsonl", 0.5)
    settings = {"code": {}, "suites": {"s": {"kind": "summary", "metrics": ["bleu4"]}}}
    done = run_script(
        *("score.py", "--completions", completions, "--suites", f"s={suite}"),
        *("--settings", json.dumps(settings), "--out", tmp_path / "out"),
    )
    assert done.returncode == 1
    assert f"{completions / 's.jsonl'}: its SHA-256 is" in done.stderr
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("file", [SHARD, "tokenizer.json", "config.json", "chat_template.jinja"])
def test_a_flip_anywhere_in_any_file_is_found(study: Path, file: str) -> None:
    for place in (0.0, 0.5, 1.0):
        flip(study / "b" / file, place, bit=3)
        with pytest.raises(UserError, match=rf"{file}: its SHA-256 is .*verify"):
            check_inputs(study / "base", [study / "a", study / "b"])
        flip(study / "b" / file, place, bit=3)


def test_sound_checkpoints_pass_and_are_hashed_once_a_process(study: Path) -> None:
    checkpoints = study / "base", [study / "a", study / "b"]
    check_inputs(*checkpoints)
    assert layer_distances(study / "base", study / "a")["total"]["l2"] > 0
    # What this process has hashed counts until something is written to it, however quietly.
    flip(study / "a" / SHARD, 0.3)
    with pytest.raises(UserError, match="its SHA-256 is"):
        layer_distances(study / "base", study / "a")
    flip(study / "a" / SHARD, 0.3)
    check_inputs(*checkpoints)


def test_a_manifest_with_a_flipped_bit_never_passes_for_another(study: Path) -> None:
    """Whichever bit it is: one message, or a manifest that lists the very same files."""
    path = study / "a" / MANIFEST
    text = path.read_bytes()
    files = json.loads(text)["files"]
    dice = random.Random(5)
    for _ in range(300):
        data = bytearray(text)
        data[dice.randrange(len(data))] ^= 1 << dice.randrange(8)
        path.write_bytes(data)
        try:
            found = read_manifest(study / "a", "checkpoint")
        except UserError as error:
            assert str(study / "a") in str(error)
        else:
            assert found["files"] == files
    path.write_text("[]")
    with pytest.raises(UserError, match="expected a JSON object, found list"):
        read_manifest(study / "a")
