"""Ways to break a file, or a checkpoint."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from fixtures import checkpoints as material
from mixmerge.artifacts.manifest import write_manifest

#: The shards of a checkpoint in two, and a tensor of the second.
FIRST, SECOND = (f"model-0000{n}-of-00002.safetensors" for n in (1, 2))
UP = "model.layers.1.mlp.up_proj.weight"


def edit(path: Path, change: Callable[[Any], object]) -> None:
    """Change a JSON file in place, as an editor does."""
    content = json.loads(path.read_text())
    change(content)
    path.write_text(json.dumps(content))


def line(path: Path, number: int, text: str | bytes) -> None:
    """Replace a line of a file, counted from 1."""
    lines = path.read_bytes().split(b"\n")
    lines[number - 1] = text.encode() if isinstance(text, str) else text
    path.write_bytes(b"\n".join(lines))


def cut(path: Path, count: int) -> None:
    """Cut a file's last bytes off."""
    path.write_bytes(path.read_bytes()[:-count])


def flip(path: Path, byte: int) -> None:
    """Change one byte of a file."""
    content = bytearray(path.read_bytes())
    content[byte] ^= 0x55
    path.write_bytes(content)


def swap(path: Path, old: str, new: str) -> None:
    """Replace the first of a text's occurrences in a file."""
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new, 1))


def shut(path: Path) -> None:
    """Nobody may read it, its owner least of all."""
    path.chmod(0)


def loop(path: Path) -> None:
    """A link to itself takes its place."""
    path.unlink()
    path.symlink_to(path.name)


def reseal(folder: Path) -> None:
    """Make a manifest fit what was changed, so that it is not the manifest that says so."""
    found = json.loads((folder / "manifest.json").read_text())
    write_manifest(folder, found["kind"], found["facts"])


def rewrite(folder: Path, family: str = "qwen2", dtype: str = "BF16", **changed: Any) -> None:
    """Write a checkpoint anew: tensors changed by name (None: left out), or keys of the config."""
    arrays = material.values(family, 1)
    arrays |= {name: value for name, value in changed.items() if isinstance(value, np.ndarray)}
    arrays = {name: value for name, value in arrays.items() if changed.get(name, 0) is not None}
    rest = {name: value for name, value in changed.items() if "." not in name}
    shutil.rmtree(folder)
    material.write_checkpoint(folder, family, arrays, dtype, shards=2, **rest)


def spoilt(value: float) -> np.ndarray:
    array = material.values("qwen2", 1)[UP]
    array[7, 3] = value
    return array
