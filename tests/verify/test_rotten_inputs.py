"""A flipped bit is found before a checkpoint is used; what stages say: tests/broken_input."""

import json
import os
import random
from pathlib import Path

import pytest

from fixtures import checkpoints as material
from mixmerge.artifacts.manifest import MANIFEST, read_manifest, write_manifest
from mixmerge.checkpoint.side_files import finish_files
from mixmerge.core.errors import UserError
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
