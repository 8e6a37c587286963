"""Streamed layer statistics against a naive computation that holds everything in float64."""

from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from fixtures import checkpoints as material
from mixmerge.core.errors import UserError
from mixmerge.weights.statistics import layer_distances, update_agreement

EMBED, HEAD = "model.embed_tokens.weight", "lm_head.weight"


def load(directory: Path) -> dict[str, np.ndarray]:
    """All tensors of a checkpoint as float64, read by safetensors and torch."""
    from safetensors.torch import load_file

    found: dict[str, np.ndarray] = {}
    for file in directory.glob("*.safetensors"):
        found |= {name: t.double().numpy() for name, t in load_file(file).items()}
    return found


def vectors(arrays: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Group -> all its parameters as one vector."""
    groups: dict[str, list[np.ndarray]] = {}
    for name in sorted(arrays):
        if ".layers." in name:
            group = "layer." + name.split(".layers.")[1].split(".")[0]
        else:
            group = {EMBED: "embeddings", HEAD: "lm_head", "model.norm.weight": "final_norm"}[name]
        groups.setdefault(group, []).append(arrays[name].ravel())
    return {group: np.concatenate(parts) for group, parts in groups.items()}


def close(found: Any, expected: float) -> None:
    assert found == pytest.approx(expected, rel=1e-9, abs=1e-15)


#: Groups in the model's order, each with its layer.
ORDER = [("embeddings", None), *((f"layer.{n}", n) for n in range(material.LAYERS))]
ORDER += [("final_norm", None), ("lm_head", None)]


def check(base: Path, variants: dict[str, Path], groups: set[str]) -> None:
    def naive(directory: Path) -> dict[str, np.ndarray]:
        arrays = load(directory)
        if "lm_head" not in groups:
            arrays.pop(HEAD, None)
        elif HEAD not in arrays:
            arrays[HEAD] = arrays[EMBED]
        parts = vectors(arrays)
        return {**parts, "total": np.concatenate([parts[key] for key in sorted(parts)])}

    origin = naive(base)
    updates = {}
    for name, directory in variants.items():
        mine = naive(directory)
        updates[name] = {group: mine[group] - origin[group] for group in origin}
        found = layer_distances(base, directory)
        places = [(row["group"], row["layer"]) for row in found["groups"]]
        assert places == [place for place in ORDER if place[0] in groups]
        for row in [*found["groups"], {**found["total"], "group": "total"}]:
            delta = updates[name][row["group"]]
            assert row["parameters"] == delta.size
            close(row["l2"], np.linalg.norm(delta))
            close(row["base_l2"], np.linalg.norm(origin[row["group"]]))
            close(row["relative_l2"], np.linalg.norm(delta) / np.linalg.norm(origin[row["group"]]))
    pairs = update_agreement(base, variants)["pairs"]
    assert [(p["a"], p["b"]) for p in pairs] == list(combinations(variants, 2))
    for pair in pairs:
        for row in [*pair["groups"], {**pair["total"], "group": "total"}]:
            x, y = updates[pair["a"]][row["group"]], updates[pair["b"]][row["group"]]
            assert row["parameters"] == x.size
            close(row["pearson"], np.corrcoef(x, y)[0, 1])
            close(row["cosine"], x @ y / np.linalg.norm(x) / np.linalg.norm(y))
            close(row["norm_ratio"], np.linalg.norm(x) / np.linalg.norm(y))
            both = (x != 0) & (y != 0)
            close(row["sign_conflict"], (np.sign(x[both]) != np.sign(y[both])).mean())


LAYERS = {f"layer.{number}" for number in range(material.LAYERS)}
TIED = {"embeddings", "final_norm", *LAYERS}


def test_equals_the_naive_computation(tmp_path: Path) -> None:
    root = material.family_of_checkpoints(tmp_path / "m", "qwen2", 3)
    check(root / "base", {name: root / name for name in "abc"}, TIED)


def test_mixed_dtypes_and_shards(tmp_path: Path) -> None:
    base = material.values("llama", 1)
    a = material.write_checkpoint(tmp_path / "base", "llama", base, dtype="BF16", shards=3)
    b = material.write_checkpoint(tmp_path / "b", "llama", material.moved(base, 2), dtype="F32")
    c = material.write_checkpoint(
        tmp_path / "c", "llama", material.moved(base, 3), dtype="F16", shards=2
    )
    check(a, {"b": b, "c": c}, {*TIED, "lm_head"})


def test_update_with_a_large_mean(tmp_path: Path) -> None:
    """The textbook formula of Pearson's r loses all digits here."""
    base = material.values("qwen2", 1)
    random = np.random.default_rng(5)
    variants = {}
    for name in "ab":
        far = {k: v + 1000 + random.normal(0, 1e-3, v.shape) for k, v in base.items()}
        variants[name] = material.write_checkpoint(tmp_path / name, "qwen2", far, dtype="F64")
    zero = {k: np.zeros_like(v) for k, v in base.items()}
    check(material.write_checkpoint(tmp_path / "base", "qwen2", zero, dtype="F64"), {}, TIED)
    origin = material.write_checkpoint(tmp_path / "origin", "qwen2", base, dtype="F64")
    check(origin, variants, TIED)


def test_many_pieces_equal_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from mixmerge.checkpoint import tensors as stream

    root = material.family_of_checkpoints(tmp_path / "m", "llama", 2)
    monkeypatch.setattr(stream, "CHUNK", 97)
    check(root / "base", {name: root / name for name in "ab"}, {*TIED, "lm_head"})


def test_tied_copy_counts_once(tmp_path: Path) -> None:
    root = material.family_of_checkpoints(tmp_path / "m", "qwen2", 1)
    arrays = material.moved(material.values("qwen2", 1), 20)
    copy = material.write_checkpoint(tmp_path / "copy", "qwen2", {**arrays, HEAD: arrays[EMBED]})
    check(root / "base", {"a": root / "a", "copy": copy}, TIED)


def test_untied_head_is_compared_with_the_bases_embeddings(tmp_path: Path) -> None:
    root = material.family_of_checkpoints(tmp_path / "m", "qwen2", 1)
    arrays = material.moved(material.values("qwen2", 1), 20)
    own = {**arrays, HEAD: arrays[EMBED] + 0.5}
    untied = material.write_checkpoint(tmp_path / "own", "qwen2", own)
    check(root / "base", {"own": untied}, {*TIED, "lm_head"})
    (pair,) = update_agreement(root / "base", {"a": root / "a", "own": untied})["pairs"]
    assert {row["group"] for row in pair["groups"]} == {*TIED, "lm_head"}


def test_unmoved_groups_have_no_correlation(tmp_path: Path) -> None:
    base = material.values("qwen2", 1)
    origin = material.write_checkpoint(tmp_path / "base", "qwen2", base)
    other = {**base, "model.norm.weight": base["model.norm.weight"] + 1}
    moved = material.write_checkpoint(tmp_path / "moved", "qwen2", other)
    (pair,) = update_agreement(origin, {"moved": moved, "same": origin})["pairs"]
    for row in pair["groups"]:
        assert row["pearson"] is row["cosine"] is row["sign_conflict"] is row["norm_ratio"] is None
    rows = {row["group"]: row for row in layer_distances(origin, origin)["groups"]}
    assert rows["layer.0"]["l2"] == 0 and rows["layer.0"]["relative_l2"] == 0


def test_an_untied_checkpoint_without_a_head_is_refused(tmp_path: Path) -> None:
    root = material.family_of_checkpoints(tmp_path / "m", "qwen2", 1)
    arrays = material.values("qwen2", 1)
    headless = material.write_checkpoint(
        tmp_path / "own", "qwen2", arrays, tie_word_embeddings=False
    )
    with pytest.raises(UserError, match=r"own: lacks tensor 'lm_head\.weight', compared with"):
        layer_distances(root / "base", headless)


def test_other_architecture_is_refused(tmp_path: Path) -> None:
    qwen = material.family_of_checkpoints(tmp_path / "q", "qwen2", 1)
    llama = material.family_of_checkpoints(tmp_path / "l", "llama", 1)
    with pytest.raises(UserError, match="only checkpoints of the same base model"):
        layer_distances(qwen / "base", llama / "a")
