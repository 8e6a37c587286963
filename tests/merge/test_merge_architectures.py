"""Merges of many architectures: a checkpoint merged with itself is that checkpoint."""

from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from fixtures.architectures import KINDS, write_model
from mixmerge.checkpoint.index import read_index
from mixmerge.checkpoint.tensors import load_tensors
from mixmerge.merge.execution import merge


@pytest.mark.parametrize("kind", KINDS)
def test_a_checkpoint_merged_with_itself_is_that_checkpoint(
    tmp_path: Path, kind: str, write_recipe: Callable[..., Path]
) -> None:
    for name in ("base", "a", "b"):
        write_model(tmp_path / name, kind)
    recipe = write_recipe(tmp_path, dtype="float32")
    merge(recipe, tmp_path / "out", seed=1, shard_bytes=30_000)
    given, made = (load_tensors(read_index(tmp_path / name)) for name in ("base", "out"))
    assert given.keys() == made.keys()
    assert all(torch.equal(given[name], made[name]) for name in given)


@pytest.mark.parametrize("kind", ["gpt_neox", "qwen2_moe", "qwen3_moe"])
def test_updates_are_added_tensor_by_tensor(
    tmp_path: Path, kind: str, write_recipe: Callable[..., Path]
) -> None:
    """Also where MergeKit names and packs them otherwise."""
    from safetensors.torch import save_file

    write_model(tmp_path / "base", kind)
    base = load_tensors(read_index(tmp_path / "base"))
    moved = {}
    for seed, name in enumerate("ab"):
        write_model(tmp_path / name, kind)
        torch.manual_seed(seed + 1)
        moved[name] = {key: tensor + torch.randn_like(tensor) for key, tensor in base.items()}
        save_file(moved[name], tmp_path / name / "model.safetensors", metadata={"format": "pt"})
    weights = {"one": 0.3, "two": 0.7}
    options = {"parameters": {"lambda": 0.5}, "weights": weights, "dtype": "float32"}
    recipe = write_recipe(tmp_path, method="task_arithmetic", **options)
    merge(recipe, tmp_path / "out", seed=1, shard_bytes=30_000)
    made = load_tensors(read_index(tmp_path / "out"))
    assert made.keys() == base.keys()
    for key, start in base.items():
        update = 0.3 * (moved["a"][key] - start) + 0.7 * (moved["b"][key] - start)
        torch.testing.assert_close(made[key], start + 0.5 * update, rtol=1e-5, atol=1e-5)
