"""Merges against MergeKit's own command line, and against plain arithmetic."""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from fixtures import checkpoints as material
from mixmerge.artifacts.manifest import read_manifest
from mixmerge.checkpoint.index import INDEX, read_index
from mixmerge.checkpoint.tensors import raw_values, to_float64
from mixmerge.core.errors import UserError
from mixmerge.core.io import sha256
from mixmerge.merge.execution import merge
from mixmerge.merge.methods import METHODS
from mixmerge.merge.settings import Strategy

#: The methods of the paper with its parameters.
PAPER: dict[str, dict[str, Any]] = {
    "linear": {},
    "ties": {"density": 0.5},
    "dare_linear": {"density": 0.5},
    "della": {"density": 0.5, "epsilon": 0.1},
}

#: What each method needs beside its defaults.
PARAMETERS: dict[str, dict[str, Any]] = {"nearswap": {"t": 0.001}, "sce": {"select_topk": 0.5}}
SEED = 1234
SHARD = 50_000


@pytest.fixture(scope="module", params=["qwen2", "llama"])
def family(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp(request.param)
    return material.family_of_checkpoints(root, request.param, 3, shards=2)


@pytest.fixture(scope="module")
def qwen(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return material.family_of_checkpoints(tmp_path_factory.mktemp("qwen"), "qwen2", 3)


def tensors(directory: Path) -> dict[str, tuple[str, bytes]]:
    found = {}
    for name, info in read_index(directory).items():
        with info.file.open("rb") as file:
            file.seek(info.offset)
            found[name] = (info.dtype, file.read(info.nbytes))
    return found


def array(directory: Path, name: str) -> np.ndarray:
    info = read_index(directory)[name]
    return to_float64(raw_values(info), info.dtype)


@pytest.mark.slow
@pytest.mark.parametrize("method", PAPER)
def test_equals_mergekits_command_line_bit_for_bit(
    family: Path, method: str, write_recipe: Callable[..., Path]
) -> None:
    recipe = write_recipe(
        family,
        f"cli-{method}",
        method=method,
        model_parameters=PAPER[method],
        weights={"one": 0.3, "two": 0.7},
    )
    ours, theirs = family / f"ours-{method}", family / f"theirs-{method}"
    merge(recipe, ours, seed=SEED, shard_bytes=SHARD)
    command = [
        str(Path(sys.executable).with_name("mergekit-yaml")),
        str(recipe),
        str(theirs),
        "--random-seed",
        str(SEED),
        "--out-shard-size",
        str(SHARD),
    ]
    subprocess.run(
        command, check=True, capture_output=True, env={**os.environ, "HF_HUB_OFFLINE": "1"}
    )
    assert tensors(ours) == tensors(theirs)
    weights = [*ours.glob("*.safetensors"), ours / INDEX, ours / "config.json"]
    side = [
        ours / name for name in ("tokenizer.json", "chat_template.jinja", "mergekit_config.yml")
    ]
    for file in [*weights, *side]:
        assert file.read_bytes() == (theirs / file.name).read_bytes(), file.name


@pytest.mark.parametrize("weight", [0.0, 0.25, 1.0])
def test_linear_is_the_weighted_mean(
    family: Path, weight: float, write_recipe: Callable[..., Path]
) -> None:
    recipe = write_recipe(
        family,
        f"linear-{weight}",
        method="linear",
        weights={"one": weight, "two": 1 - weight},
        dtype="float32",
    )
    out = family / f"linear-{weight}"
    merge(recipe, out, seed=0, shard_bytes=SHARD)
    for name in read_index(out):
        mean = weight * array(family / "a", name) + (1 - weight) * array(family / "b", name)
        np.testing.assert_allclose(array(out, name), mean, rtol=1e-6, atol=1e-9)


def test_task_arithmetic_adds_weighted_updates(
    qwen: Path, write_recipe: Callable[..., Path]
) -> None:
    recipe = write_recipe(
        qwen,
        "arithmetic",
        method="task_arithmetic",
        parameters={"lambda": 1.3},
        weights={"one": 0.5, "two": 0.25, "three": 0.25},
        specialists={"one": str(qwen / "a"), "two": str(qwen / "b"), "three": str(qwen / "c")},
        dtype="float32",
    )
    merge(recipe, qwen / "arithmetic", seed=0, shard_bytes=SHARD)
    for name in read_index(qwen / "base"):
        base = array(qwen / "base", name)
        update = sum(
            w * (array(qwen / d, name) - base) for d, w in (("a", 0.5), ("b", 0.25), ("c", 0.25))
        )
        np.testing.assert_allclose(
            array(qwen / "arithmetic", name), base + 1.3 * update, rtol=1e-5, atol=1e-7
        )


def strategy_of(method: str) -> Strategy:
    """A config section that reaches the method."""
    given: dict[str, Any] = {"method": method, "parameters": PARAMETERS.get(method, {})}
    if METHODS[method].weighted or method == "slerp":
        given["ratios"] = [0.3]
    if METHODS[method].pivots and method != "slerp":
        given["pivot"] = "two"
    if method == "passthrough":
        given |= {"tasks": ["one"], "model_parameters": {"scale": 0.9}}
    return Strategy.model_validate(given)


@pytest.mark.parametrize("method", sorted(METHODS))
def test_every_method_runs_from_a_config_section(
    qwen: Path, method: str, write_recipe: Callable[..., Path]
) -> None:
    strategy = strategy_of(method)
    tasks = strategy.tasks or ["one", "two"]
    strategy.check_tasks(tasks)
    recipe = write_recipe(
        qwen,
        f"method-{method}",
        **strategy.model_dump(include={"method", "parameters", "model_parameters", "pivot"}),
        weights={"one": 0.3, "two": 0.7} if strategy.ratios else None,
        specialists={task: str(qwen / {"one": "a", "two": "b"}[task]) for task in tasks},
    )
    out = qwen / f"method-{method}"
    merge(recipe, out, seed=SEED, shard_bytes=SHARD)
    manifest = read_manifest(out, "checkpoint")
    assert manifest["facts"] == {"architecture": "Qwen2ForCausalLM", "parameters": 31_776}
    result, base = tensors(out), tensors(qwen / "base")
    assert set(result) == set(base)
    assert {dtype for dtype, _ in result.values()} == {"BF16"}
    assert result != base
    # Whatever MergeKit's base model was, the study's base gives tokenizer and settings.
    for name in ("tokenizer.json", "tokenizer_config.json", "chat_template.jinja",
                 "generation_config.json"):  # fmt: skip
        assert (out / name).read_bytes() == (qwen / "base" / name).read_bytes()
    config = json.loads((out / "config.json").read_text())
    assert config["dtype"] == "bfloat16" and config["tie_word_embeddings"] is True
    # A second run in the same process gives the same bytes, provenance and manifest included.
    before = {path.name: sha256(path) for path in out.iterdir()}
    merge(recipe, out, seed=SEED, shard_bytes=SHARD)
    assert {path.name: sha256(path) for path in out.iterdir()} == before
    assert {path.stat().st_mode & 0o777 for path in out.iterdir()} == {0o644}


def test_seed_moves_random_methods_only(qwen: Path, write_recipe: Callable[..., Path]) -> None:
    for method, moves in (("dare_linear", True), ("ties", False)):
        recipe = write_recipe(
            qwen,
            f"seed-{method}",
            method=method,
            model_parameters={"density": 0.5},
            weights={"one": 0.5, "two": 0.5},
        )
        for seed in (1, 2):
            merge(recipe, qwen / f"{method}-{seed}", seed=seed, shard_bytes=SHARD)
        assert (tensors(qwen / f"{method}-1") != tensors(qwen / f"{method}-2")) == moves


def test_merge_sees_inputs_that_changed_in_between(
    qwen: Path, tmp_path: Path, write_recipe: Callable[..., Path]
) -> None:
    """MergeKit's loader cache outlives a merge; a later one must not be served old files."""
    root = material.family_of_checkpoints(tmp_path / "m", "qwen2", 2)
    recipe = write_recipe(root, "r", method="linear", weights={"one": 1.0, "two": 0.0})
    merge(recipe, root / "out", seed=0, shard_bytes=SHARD)
    (root / "a").rename(root / "old")
    (root / "b").rename(root / "a")
    (root / "old").rename(root / "b")
    merge(recipe, root / "out", seed=0, shard_bytes=SHARD)
    assert tensors(root / "out") == tensors(root / "a")


def test_copied_head_stays_tied(tmp_path: Path, write_recipe: Callable[..., Path]) -> None:
    """An input with a copy of its tied embeddings merges like one without."""
    plain = material.family_of_checkpoints(tmp_path / "plain", "qwen2", 2)
    copied = material.family_of_checkpoints(tmp_path / "copied", "qwen2", 2)
    arrays = material.values("qwen2", 1)
    arrays["lm_head.weight"] = arrays["model.embed_tokens.weight"]
    tied = material.write_checkpoint(tmp_path / "tied", "qwen2", arrays)
    (tied / "model.safetensors").replace(copied / "base" / "model.safetensors")
    for root in (plain, copied):
        recipe = write_recipe(root, "r", method="linear", weights={"one": 0.5, "two": 0.5})
        merge(recipe, root / "out", seed=0, shard_bytes=2_000)
    assert tensors(plain / "out") == tensors(copied / "out")


@pytest.mark.slow
def test_merged_checkpoint_generates(qwen: Path, write_recipe: Callable[..., Path]) -> None:
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    recipe = write_recipe(
        qwen,
        "generates",
        method="ties",
        model_parameters={"density": 0.5},
        weights={"one": 0.5, "two": 0.5},
    )
    merge(recipe, qwen / "generates", seed=0, shard_bytes=SHARD)
    tokenizer = AutoTokenizer.from_pretrained(qwen / "generates")
    model = AutoModelForCausalLM.from_pretrained(qwen / "generates", dtype=torch.float32)
    ids = tokenizer.apply_chat_template(
        [{"role": "user", "content": "hi"}],
        add_generation_prompt=True,
        return_tensors="pt",
        return_dict=True,
    )["input_ids"]
    assert torch.isfinite(model(ids).logits).all()
    assert model.lm_head.weight.data_ptr() == model.model.embed_tokens.weight.data_ptr()


def test_result_that_overflows_is_not_published(
    tmp_path: Path, write_recipe: Callable[..., Path]
) -> None:
    arrays = material.values("qwen2", 1)
    arrays["model.norm.weight"] = np.full(material.HIDDEN, 60_000.0)
    root = tmp_path / "m"
    material.write_checkpoint(root / "base", "qwen2", arrays)
    for name in "ab":
        moved = {**arrays, "model.norm.weight": np.full(material.HIDDEN, 65_000.0)}
        material.write_checkpoint(root / name, "qwen2", moved)
    recipe = write_recipe(
        root,
        "r",
        method="task_arithmetic",
        parameters={"lambda": 4.0},
        weights={"one": 1.0, "two": 1.0},
        dtype="float16",
    )
    with pytest.raises(UserError, match=r"'model\.norm\.weight' holds infinity"):
        merge(recipe, root / "out", seed=0, shard_bytes=SHARD)
    assert sorted(path.name for path in root.iterdir()) == ["a", "b", "base", "r.yaml"]
