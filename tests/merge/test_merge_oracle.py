"""Merges against MergeKit's own command line, and against plain arithmetic."""

import json
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
from mixmerge.merge.settings import METHODS, Strategy

Recipe = Callable[..., Path]
SEED, SHARD = 1234, 50_000

#: The methods of the paper with its parameters.
PAPER: dict[str, dict[str, Any]] = {
    "linear": {},
    "ties": {"density": 0.5},
    "dare_linear": {"density": 0.5},
    "della": {"density": 0.5, "epsilon": 0.1},
}
#: What each method needs beside its defaults.
PARAMETERS: dict[str, dict[str, Any]] = {"nearswap": {"t": 0.001}, "sce": {"select_topk": 0.5}}


@pytest.fixture(scope="module", params=["qwen2", "llama"])
def family(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp(request.param)
    return material.family_of_checkpoints(root, request.param, 3, shards=2)


@pytest.fixture(scope="module")
def qwen(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return material.family_of_checkpoints(tmp_path_factory.mktemp("qwen"), "qwen2", 3)


def tensors(directory: Path) -> dict[str, tuple[str, bytes]]:
    index = read_index(directory)
    return {name: (info.dtype, raw_values(info).tobytes()) for name, info in index.items()}


def arrays(directory: Path) -> dict[str, np.ndarray]:
    index = read_index(directory)
    return {name: to_float64(raw_values(info), info.dtype) for name, info in index.items()}


def run(recipe: Path, seed: int = SEED, shard: int = SHARD) -> Path:
    """Merge into a directory beside the recipe."""
    out = recipe.with_suffix(f".{seed}")
    merge(recipe, out, seed=seed, shard_bytes=shard)
    return out


@pytest.mark.parametrize("method", PAPER)
def test_equals_mergekits_command_line_bit_for_bit(
    family: Path, method: str, write_recipe: Recipe, monkeypatch: pytest.MonkeyPatch
) -> None:
    from mergekit.io.tasks import LoaderCache
    from mergekit.scripts.run_yaml import main as mergekit_yaml

    weights = {"one": 0.3, "two": 0.7}
    options = {"method": method, "model_parameters": PAPER[method], "weights": weights}
    recipe = write_recipe(family, f"cli-{method}", **options)
    ours, theirs = run(recipe), family / f"theirs-{method}"
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    LoaderCache().loaders.clear()
    command = [str(recipe), str(theirs), "--random-seed", str(SEED), "--out-shard-size", str(SHARD)]
    mergekit_yaml(command, standalone_mode=False)
    assert tensors(ours) == tensors(theirs)
    side = ("tokenizer.json", "chat_template.jinja", "mergekit_config.yml", "config.json", INDEX)
    for file in [*ours.glob("*.safetensors"), *(ours / name for name in side)]:
        assert file.read_bytes() == (theirs / file.name).read_bytes(), file.name


def test_task_arithmetic_adds_weighted_updates(qwen: Path, write_recipe: Recipe) -> None:
    weights = {"a": 0.5, "b": 0.25, "c": 0.25}
    recipe = write_recipe(
        qwen,
        "arithmetic",
        method="task_arithmetic",
        parameters={"lambda": 1.3},
        weights=weights,
        specialists={name: str(qwen / name) for name in weights},
        dtype="float32",
    )
    merged, bases = arrays(run(recipe)), arrays(qwen / "base")
    specialists = {name: arrays(qwen / name) for name in weights}
    for name, base in bases.items():
        update = sum(w * (specialists[task][name] - base) for task, w in weights.items())
        np.testing.assert_allclose(merged[name], base + 1.3 * update, rtol=1e-5, atol=1e-7)


def strategy_of(method: str) -> Strategy:
    """A config section that reaches the method."""
    section: dict[str, Any] = {"method": method, "parameters": PARAMETERS.get(method, {})}
    if METHODS[method].weighted or method == "slerp":
        section["ratios"] = [0.3]
    if METHODS[method].pivots and method != "slerp":
        section["pivot"] = "two"
    if method == "passthrough":
        section |= {"tasks": ["one"], "model_parameters": {"scale": 0.9}}
    return Strategy.model_validate(section)


@pytest.mark.parametrize("method", sorted(METHODS))
def test_every_method_runs_from_a_config_section(
    qwen: Path, method: str, write_recipe: Recipe
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
    out = run(recipe)
    manifest = read_manifest(out, "checkpoint")
    reach = manifest["facts"].pop("ratio_reach", None)
    assert (reach is not None) == (method in ("ties", "della"))  # MergeKit's defaults
    assert manifest["facts"] == {"architecture": "Qwen2ForCausalLM", "parameters": 31_776}
    result, base = tensors(out), tensors(qwen / "base")
    assert set(result) == set(base) and result != base
    assert {dtype for dtype, _ in result.values()} == {"BF16"}
    # Whatever MergeKit's base model was, the study's base gives tokenizer and settings.
    for name in ("tokenizer.json", "tokenizer_config.json", "chat_template.jinja",
                 "generation_config.json"):  # fmt: skip
        assert (out / name).read_bytes() == (qwen / "base" / name).read_bytes()
    config = json.loads((out / "config.json").read_text())
    assert config["dtype"] == "bfloat16" and config["tie_word_embeddings"] is True
    # A second run in the same process gives the same bytes, provenance and manifest included.
    before = {path.name: sha256(path) for path in out.iterdir()}
    run(recipe)
    assert {path.name: sha256(path) for path in out.iterdir()} == before
    assert {path.stat().st_mode & 0o777 for path in out.iterdir()} == {0o644}


@pytest.fixture(scope="module")
def agreeing(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Specialists whose updates agree in sign, differ in size, and are in part 0."""
    root, dice = tmp_path_factory.mktemp("agreeing"), np.random.default_rng(4)
    base = material.values("qwen2", 1)
    own = {k: dice.normal(0, 0.01, v.shape) * (dice.random(v.shape) < 0.9) for k, v in base.items()}
    other = {k: v * dice.uniform(2, 3, v.shape) for k, v in own.items()}
    for name, update in {"base": {}, "a": own, "b": other}.items():
        arrays = {key: values + update.get(key, 0) for key, values in base.items()}
        material.write_checkpoint(root / name, "qwen2", arrays, dtype="F32")
    return root


@pytest.mark.parametrize(
    ("method", "parameters", "own"),
    [
        ("ties", {}, {"density": 0.5}),
        ("ties", {}, {}),
        ("ties", {"normalize": False}, {"density": 0.5}),
        ("della", {}, {"density": 0.4, "epsilon": 0.1}),
        ("dare_ties", {}, {"density": 0.5}),
        ("dare_ties", {"normalize": True}, {"density": 0.5}),
        ("breadcrumbs_ties", {"normalize": True}, {"density": 0.5}),
        ("dare_linear", {"normalize": True}, {"density": 0.5}),
    ],
)
def test_a_ratio_reaches_the_elements_that_it_changes(
    agreeing: Path, method: str, parameters: Any, own: Any, write_recipe: Recipe
) -> None:
    settings = {"method": method, "parameters": parameters, "model_parameters": own}
    outs = []
    for number, share in enumerate((0.25, 0.75)):
        weights = {"one": share, "two": 1 - share}
        recipe = write_recipe(agreeing, f"r{number}", **settings, weights=weights, dtype="float32")
        outs.append(run(recipe))
    reach = {read_manifest(out, "checkpoint")["facts"].get("ratio_reach") for out in outs}
    base, first, last = (arrays(path) for path in (agreeing / "base", *outs))
    changed = sum((abs(first[k] - last[k]) > 0.01 * abs(first[k] - base[k])).sum() for k in base)
    moved = sum((first[k] != base[k]).sum() for k in base)
    if "dare_linear" not in method and parameters.get("normalize", method in ("ties", "della")):
        assert reach == {changed / sum(map(np.size, base.values()))}
        assert 0.1 * moved < changed and (changed < 0.95 * moved) == bool(own)
    else:
        assert reach == {None} and changed == moved


def test_merge_sees_inputs_that_changed_in_between(tmp_path: Path, write_recipe: Recipe) -> None:
    """MergeKit's loader cache outlives a merge; a later one must not be served old files."""
    root = material.family_of_checkpoints(tmp_path / "m", "qwen2", 2)
    recipe = write_recipe(root, weights={"one": 1.0, "two": 0.0})
    run(recipe)
    (root / "a").rename(root / "old")
    (root / "b").rename(root / "a")
    (root / "old").rename(root / "b")
    assert tensors(run(recipe)) == tensors(root / "a")


def test_copied_head_stays_tied(tmp_path: Path, write_recipe: Recipe) -> None:
    """An input with a copy of its tied embeddings merges like one without."""
    plain = material.family_of_checkpoints(tmp_path / "plain", "qwen2", 2)
    copied = material.family_of_checkpoints(tmp_path / "copied", "qwen2", 2)
    values = material.values("qwen2", 1)
    values["lm_head.weight"] = values["model.embed_tokens.weight"]
    tied = material.write_checkpoint(tmp_path / "tied", "qwen2", values)
    (tied / "model.safetensors").replace(copied / "base" / "model.safetensors")
    outs = [run(write_recipe(root), shard=2_000) for root in (plain, copied)]
    assert tensors(outs[0]) == tensors(outs[1])


def test_result_that_overflows_is_not_published(tmp_path: Path, write_recipe: Recipe) -> None:
    root, values = tmp_path / "m", material.values("qwen2", 1)
    for name, norm in (("base", 60_000.0), ("a", 65_000.0), ("b", 65_000.0)):
        values["model.norm.weight"] = np.full(material.HIDDEN, norm)
        material.write_checkpoint(root / name, "qwen2", values)
    options = {"parameters": {"lambda": 4.0}, "weights": {"one": 1.0, "two": 1.0}}
    recipe = write_recipe(root, method="task_arithmetic", dtype="float16", **options)
    with pytest.raises(UserError, match=r"'model\.norm\.weight' holds infinity"):
        run(recipe)
    assert sorted(path.name for path in root.iterdir()) == ["a", "b", "base", "r.yaml"]
