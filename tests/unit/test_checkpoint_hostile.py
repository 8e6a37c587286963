"""Checkpoints made to do harm: pickles that would run where they are read; real ones."""

import json
import os
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import checkpoint_material as material
from hub_server import files_of, serving
from mixmerge.artifacts.manifest import read_manifest
from mixmerge.checkpoint.index import INDEX, SINGLE, pickle_refusal, read_index
from mixmerge.checkpoint.snapshot import snapshot
from mixmerge.config.models import HubModel, LocalModel
from mixmerge.core.errors import UserError

ROOT = Path(__file__).parents[2]
PICKLES = [
    "pytorch_model.bin",
    "pytorch_model-00001-of-00002.bin",
    "model.pt",
    "model.pth",
    "last.ckpt",
    "weights.pkl",
    "consolidated.00.pth",
    "adapter_model.bin",
    "optimizer.pt",
]


class Bomb:
    """Unpickling one makes a file."""

    def __init__(self, canary: Path) -> None:
        self.canary = canary

    def __reduce__(self) -> tuple[Any, ...]:
        return open, (str(self.canary), "w")


@pytest.fixture
def canary(tmp_path: Path) -> Path:
    return tmp_path / "canary"


def write_pickle(path: Path, canary: Path) -> None:
    import torch

    torch.save({"lm_head.weight": torch.zeros(2), "extra": Bomb(canary)}, path)


def whole(path: Path) -> Path:
    return material.write_checkpoint(path, "llama", material.values("llama", 1))


def local(path: Path) -> LocalModel:
    return LocalModel(kind="local", path=path)


def test_the_bomb_goes_off_where_it_is_unpickled(tmp_path: Path, canary: Path) -> None:
    import torch

    write_pickle(tmp_path / "a.bin", canary)
    torch.load(tmp_path / "a.bin", weights_only=False)
    assert canary.exists()


@pytest.mark.parametrize("name", PICKLES)
def test_a_directory_of_pickles_is_refused_and_never_opened(
    tmp_path: Path, canary: Path, name: str
) -> None:
    source = whole(tmp_path / "source")
    (source / SINGLE).unlink()
    write_pickle(source / name, canary)
    with pytest.raises(UserError) as caught:
        snapshot("mine", local(source), tmp_path / "base")
    message = str(caught.value)
    assert message.startswith(f"{source}: holds no safetensors weights, only pickles ({name})")
    assert "\n" not in message
    way = {"adapter_model.bin": "merge the adapter", "optimizer.pt": "name the model's own"}
    way["consolidated.00.pth"] = "that its authors publish for transformers"
    assert way.get(name, "save_pretrained('OUT')") in message
    assert not canary.exists() and not (tmp_path / "base").exists()


@pytest.mark.parametrize("name", ["pytorch_model.bin", "deep/er/model.pth"])
def test_a_repository_of_pickles_is_refused_before_anything_is_fetched(
    tmp_path: Path, canary: Path, name: str
) -> None:
    source = whole(tmp_path / "source")
    (source / SINGLE).unlink()
    (source / name).parent.mkdir(parents=True, exist_ok=True)
    write_pickle(source / name, canary)
    with serving() as hub:
        commit = hub.repository("models", "a/b").commit(files_of(source))
        given = {"kind": "hub", "id": "a/b", "revision": commit}
        out = str(tmp_path / "base")
        arguments = ["--model", "m", "--settings", json.dumps(given), "--out", out]
        done = subprocess.run(
            [sys.executable, "-P", str(ROOT / "workflow/scripts/snapshot.py"), *arguments],
            env={**os.environ, **hub.environment(tmp_path / "home")},
            capture_output=True,
            text=True,
            check=False,
        )
        assert not any("resolve" in path for _, path, _ in hub.requests)
    expected = pickle_refusal(f"error: models.m.id: a/b@{commit}", name)
    assert (done.returncode, done.stderr.strip()) == (1, expected)
    assert not canary.exists()


def test_pickles_beside_safetensors_are_left_where_they_are(tmp_path: Path, canary: Path) -> None:
    source = whole(tmp_path / "source")
    for name in PICKLES:
        write_pickle(source / name, canary)
    snapshot("mine", local(source), tmp_path / "base")
    assert not set(read_manifest(tmp_path / "base")["files"]) & set(PICKLES)
    assert not canary.exists()


def test_a_pickle_under_the_name_of_safetensors(tmp_path: Path, canary: Path) -> None:
    import pickle

    source = whole(tmp_path / "source")
    write_pickle(source / SINGLE, canary)
    with pytest.raises(UserError, match=r"model\.safetensors: is no safetensors file whatever its"):
        snapshot("mine", local(source), tmp_path / "base")
    (source / SINGLE).write_bytes(pickle.dumps(Bomb(canary), protocol=4))
    with pytest.raises(UserError, match="is no safetensors file whatever its name; holds no"):
        read_index(source)
    assert not canary.exists()


@pytest.mark.parametrize(
    "name",
    ["pytorch_model.bin", "../other/model.safetensors", "/etc/x.safetensors", 3, None, ["a"], "\n"],
)
def test_an_index_names_safetensors_beside_it_only(
    tmp_path: Path, canary: Path, name: object
) -> None:
    source = whole(tmp_path / "source")
    whole(tmp_path / "other")
    (source / SINGLE).unlink()
    write_pickle(source / "pytorch_model.bin", canary)
    (source / INDEX).write_text(json.dumps({"weight_map": {"lm_head.weight": name}}))
    with pytest.raises(UserError, match=r"weight_map: 'lm_head.weight' lies in .* no name of a"):
        snapshot("mine", local(source), tmp_path / "base")
    assert not canary.exists()


def test_no_loader_falls_back_to_a_pickle(tmp_path: Path, canary: Path) -> None:
    from mixmerge.evaluate.engines.weights import load_model
    from mixmerge.merge.execution import merge

    source = whole(tmp_path / "source")
    (source / SINGLE).unlink()
    write_pickle(source / "pytorch_model.bin", canary)
    with pytest.raises(UserError, match="safetensors"):
        load_model(source, "float32", "cpu")
    recipe = tmp_path / "recipe.yaml"
    recipe.write_text(
        f"merge_method: linear\nmodels:\n- model: {source}\n  parameters: {{weight: 1.0}}\n"
        f"- model: {whole(tmp_path / 'fine')}\n  parameters: {{weight: 1.0}}\ndtype: float32\n"
    )
    with pytest.raises(UserError, match="only pickles"):
        merge(recipe, tmp_path / "merged", seed=1, shard_bytes=10**9)
    assert not canary.exists()


def test_code_of_a_merged_checkpoint_is_not_run(tmp_path: Path, canary: Path) -> None:
    """A recipe by hand may name any directory; only what a model's entry allowed runs."""
    from mixmerge.merge.execution import merge

    fine, own = whole(tmp_path / "fine"), whole(tmp_path / "own")
    (own / "own.py").write_text(f"open({str(canary)!r}, 'w')\nclass C: pass\n")
    config = json.loads((own / "config.json").read_text())
    (own / "config.json").write_text(json.dumps({**config, "auto_map": {"AutoConfig": "own.C"}}))
    recipe = tmp_path / "recipe.yaml"
    for first, second in ((fine, own), (own, fine)):
        recipe.write_text(
            f"merge_method: linear\nmodels:\n- model: {first}\n  parameters: {{weight: 1.0}}\n"
            f"- model: {second}\n  parameters: {{weight: 1.0}}\ndtype: float32\n"
        )
        with pytest.raises(UserError, match=rf"^{own}: its config names code of its own"):
            merge(recipe, tmp_path / "merged", seed=1, shard_bytes=10**9)
    assert not canary.exists()


def test_the_way_to_convert_is_one_that_works(tmp_path: Path) -> None:
    """The command of the message, on a real checkpoint of torch's: what it writes is accepted."""
    import torch
    from safetensors.torch import load_file

    source = whole(tmp_path / "source")
    tensors = load_file(source / SINGLE)
    (source / SINGLE).unlink()
    torch.save(tensors, source / "pytorch_model.bin")
    with pytest.raises(UserError) as caught:
        snapshot("mine", local(source), tmp_path / "base")
    command = str(caught.value).split("your files): ")[1].split(", copy the tokenizer")[0]
    converted = tmp_path / "converted"
    words = shlex.split(command.replace("'IN'", f"'{source}'").replace("'OUT'", f"'{converted}'"))
    subprocess.run([sys.executable, *words[1:]], check=True, capture_output=True)
    for path in source.glob("*"):
        if path.name.startswith(("tokenizer", "chat_template", "generation_config")):
            (converted / path.name).write_bytes(path.read_bytes())
    snapshot("mine", local(converted), tmp_path / "base")
    written = load_file(tmp_path / "base" / SINGLE)
    assert set(written) == set(tensors)
    assert all(torch.equal(written[name], tensors[name]) for name in tensors)


def test_a_hub_model_may_hold_files_of_any_name(tmp_path: Path) -> None:
    """A hostile mirror's names never lead out of the target."""
    from mixmerge.checkpoint.hub import HubFile, Repository

    names = [
        "model.safetensors",
        "model-/../../x-of-y.safetensors",
        "a/../../b.py",
        "c\n.py",
        "d.py",
    ]
    files = tuple(HubFile(name, 1, "") for name in names)
    found = Repository("model", "a/b", "0" * 40, files).matching(["*.safetensors", "*.py"])
    assert [file.name for file in found] == ["model.safetensors", "d.py"]
    assert HubModel(kind="hub", id="a/b", revision="0" * 40).trust_remote_code is None
