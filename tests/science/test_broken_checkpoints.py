"""Broken checkpoints: refused in one sentence where they come in."""

import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from broken_damage import FIRST, SECOND, UP, cut, edit, flip, loop, rewrite, shut, spoilt
from broken_material import Case, Server, Stage, Worlds, cases
from fixtures import checkpoints as material

pytestmark = pytest.mark.slow

INDEX, NORM = "model.safetensors.index.json", "model.norm.weight"


def write_given(folder: Path) -> None:
    """A base checkpoint in two shards, as a user brings it."""
    material.write_checkpoint(folder / "given", "qwen2", material.values("qwen2", 1), shards=2)


SETTINGS = json.dumps({"kind": "local", "path": "in/given"})

STAGES = {
    "snapshot": Stage(
        "snapshot.py",
        ("--model", "m", "--settings", SETTINGS, "--out", "out/base"),
        write_given,
    ),
}


def header(file: Path, change: Any) -> None:
    """Change a shard's header and leave its data."""
    raw = file.read_bytes()
    end = 8 + int.from_bytes(raw[:8], "little")
    content = json.loads(raw[8:end])
    change(content)
    text = json.dumps(content).encode()
    file.write_bytes(len(text).to_bytes(8, "little") + text + raw[end:])


def tensor(header: dict[str, Any]) -> str:
    """The first tensor that a header names."""
    return min(name for name in header if name != "__metadata__")


def pickled(folder: Path) -> None:
    for file in folder.glob("model*"):
        file.unlink()
    (folder / "pytorch_model.bin").write_bytes(b"\x80\x04.")


def shared(content: dict[str, Any]) -> None:
    """Two tensors of one size at the same bytes."""
    names = [n for n, e in content.items() if e.get("shape") == [32]]
    content[names[1]]["data_offsets"] = content[names[0]]["data_offsets"]


G = "in/given"

SNAPSHOT = [
    Case(
        "truncated shard",
        lambda i: cut(i / "given" / SECOND, 100),
        (f"{G}/{SECOND}: truncated", "fetch or write the file again"),
    ),
    Case(
        "a shard with more than its header says",
        lambda i: (i / "given" / FIRST).open("ab").write(b"x" * 10),
        (f"{G}/{FIRST}: longer than its header says",),
    ),
    Case(
        "missing shard",
        lambda i: (i / "given" / SECOND).unlink(),
        (f"{G}/{SECOND}: shard is missing", "fetch or write"),
    ),
    Case(
        "missing index",
        lambda i: (i / "given" / INDEX).unlink(),
        (f"{G}: holds {FIRST} but neither",),
    ),
    Case(
        "broken index",
        lambda i: cut(i / "given" / INDEX, 20),
        (f"{G}/{INDEX}:1:", "not valid JSON"),
    ),
    Case(
        "empty index",
        lambda i: (i / "given" / INDEX).write_text("{}"),
        (f"{G}/{INDEX}: has no 'weight_map'",),
    ),
    Case(
        "an index with an unknown tensor",
        lambda i: edit(
            i / "given" / INDEX, lambda c: c["weight_map"].update({"lm_tail.weight": FIRST})
        ),
        (f"{G}/{INDEX}: says that {FIRST} holds 'lm_tail.weight'",),
    ),
    Case(
        "an index with a number for a shard",
        lambda i: edit(i / "given" / INDEX, lambda c: c["weight_map"].update({NORM: 7})),
        (
            f"{G}/{INDEX}: weight_map: {NORM!r} lies in '7'",
            "fetch or write",
        ),
    ),
    Case(
        "an index that leads elsewhere",
        lambda i: edit(
            i / "given" / INDEX, lambda c: c["weight_map"].update({NORM: "../../etc/passwd"})
        ),
        (f"{G}/{INDEX}: weight_map: {NORM!r} lies in '../../etc/passwd', which is no name",),
    ),
    Case(
        "a shard that its index leaves out a tensor of",
        lambda i: edit(i / "given" / INDEX, lambda c: c["weight_map"].pop(UP)),
        (f"{G}/{INDEX}: leaves out tensor {UP!r}",),
    ),
    Case(
        "a header that lies about its length",
        lambda i: (i / "given" / FIRST).write_bytes(b"\xff" * 8 + b"{}"),
        (f"{G}/{FIRST}: not a whole safetensors file",),
    ),
    Case(
        "a header that is no JSON",
        lambda i: flip(i / "given" / FIRST, 8),
        (f"{G}/{FIRST}: broken safetensors header",),
    ),
    Case(
        "a shape that does not fit its bytes",
        lambda i: header(i / "given" / FIRST, lambda c: c[tensor(c)].update(shape=[3])),
        (f"{G}/{FIRST}: broken safetensors header", "invalid shape, data type, or offset"),
    ),
    Case(
        "two tensors at the same bytes",
        lambda i: header(i / "given" / FIRST, shared),
        (f"{G}/{FIRST}: broken safetensors header (invalid offset for tensor",),
    ),
    Case(
        "a dtype that is none",
        lambda i: header(i / "given" / FIRST, lambda c: c[tensor(c)].update(dtype="BF17")),
        (f"{G}/{FIRST}", "unknown dtype 'BF17'"),
    ),
    Case(
        "quantised weights",
        lambda i: header(
            i / "given" / FIRST,
            lambda c: [e.update(dtype="I16") for k, e in c.items() if k != "__metadata__"],
        ),
        (f"{G}/{FIRST}", "has dtype I16; only BF16, F16, F32, F64"),
    ),
    Case(
        "NaN",
        lambda i: rewrite(i / "given", **{UP: spoilt(np.nan)}),
        (f"tensor {UP!r} holds NaN at [7, 3]", "Make it again"),
    ),
    Case(
        "infinity",
        lambda i: rewrite(i / "given", **{UP: spoilt(-np.inf)}),
        (f"tensor {UP!r} holds infinity at [7, 3]",),
    ),
    Case(
        "pickled weights",
        lambda i: pickled(i / "given"),
        (f"{G}: holds no safetensors weights, only pickles (pytorch_model.bin)", "convert it"),
    ),
    Case(
        "no weights",
        lambda i: [f.unlink() for f in (i / "given").glob("model*")],
        (f"{G}: holds no weights",),
    ),
    Case(
        "empty shard",
        lambda i: (i / "given" / FIRST).write_bytes(b""),
        (f"{G}/{FIRST}: not a whole safetensors file (0 bytes",),
    ),
    Case(
        "a folder as shard",
        lambda i: [(i / "given" / FIRST).unlink(), (i / "given" / FIRST).mkdir()],
        (f"{G}/{FIRST}: is a directory", "names it"),
    ),
    Case(
        "a shard of no permission",
        lambda i: shut(i / "given" / FIRST),
        (f"{G}/{FIRST}", "Permission denied"),
        obedient=True,
    ),
    Case(
        "a shard that is a link to itself",
        lambda i: loop(i / "given" / FIRST),
        (f"{G}/{FIRST}", "symbolic link"),
    ),
    Case(
        "a checkpoint that is a link to itself",
        lambda i: [shutil.rmtree(i / "given"), (i / "given").symlink_to("given")],
        (f"{G}", "symbolic link"),
    ),
    Case(
        "no checkpoint",
        lambda i: shutil.rmtree(i / "given"),
        (f"{G}: no such checkpoint directory",),
    ),
]

CASES = {
    "snapshot": SNAPSHOT,
}

MODULES = ("numpy", "mixmerge.checkpoint.snapshot")


@pytest.fixture(scope="module")
def worlds(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Worlds]:
    with Server(*MODULES) as server:
        yield Worlds(server, tmp_path_factory.mktemp("broken"))


@pytest.mark.parametrize(("stage", "case"), cases(CASES))
def test_a_broken_checkpoint_is_told_and_the_mended_goes_on(
    worlds: Worlds, stage: str, case: Case
) -> None:
    worlds.check(stage, STAGES[stage], case)
