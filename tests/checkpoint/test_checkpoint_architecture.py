"""Names in files and names in the model, over many architectures."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import AutoModelForCausalLM

from fixtures.architectures import KINDS, loss, write_model
from mixmerge.checkpoint.architecture import (
    Architecture,
    embeddings,
    output_layer,
    parameter_count,
)
from mixmerge.checkpoint.index import read_index
from mixmerge.checkpoint.snapshot import settle_weights
from mixmerge.core.errors import UserError
from mixmerge.core.io import read_json, write_json

Tensors = dict[str, torch.Tensor]


def edit(directory: Path, change: Callable[[Tensors], Any]) -> Tensors:
    """Change a checkpoint's tensors; those it had before."""
    before = load_file(directory / "model.safetensors")
    after = dict(before)
    after = change(after) or after
    save_file(after, directory / "model.safetensors", metadata={"format": "pt"})
    return before


@pytest.mark.parametrize("kind", KINDS)
def test_what_transformers_saves_stays_as_it_is(tmp_path: Path, kind: str) -> None:
    model = write_model(tmp_path, kind)
    index = read_index(tmp_path)
    architecture = Architecture(tmp_path, trusted=False)
    assert architecture.names(index) == {name: name for name in index}
    assert {name: info.shape for name, info in index.items()} == architecture.shapes
    stored, head = load_file(tmp_path / "model.safetensors"), output_layer(index)
    assert (head is None) == model.config.tie_word_embeddings
    if head is not None:
        assert architecture.output_layer == head
        assert torch.equal(stored[head], model.get_output_embeddings().weight)
    found = embeddings(index)
    assert found is not None and architecture.input_layer == found.name
    assert torch.equal(stored[found.name], model.get_input_embeddings().weight)


def with_buffers(*names: str) -> Callable[[Tensors], None]:
    return lambda tensors: tensors.update(
        {name.format(n): torch.ones(1, 1, 8, 8) for name in names for n in range(2)}
    )


def without_prefix(tensors: Tensors) -> Tensors:
    return {name.removeprefix("transformer."): tensor for name, tensor in tensors.items()}


def with_copy(tensors: Tensors) -> None:
    tensors["lm_head.weight"] = tensors["model.embed_tokens.weight"].clone()


@pytest.mark.parametrize(
    ("kind", "changed", "change"),
    [
        ("llama", {}, with_buffers("model.layers.{}.self_attn.rotary_emb.inv_freq")),
        (
            "gpt2",
            {},
            with_buffers("transformer.h.{}.attn.bias", "transformer.h.{}.attn.masked_bias"),
        ),
        ("gpt_neox", {}, with_buffers("gpt_neox.layers.{}.attention.bias")),
        ("gpt2", {}, without_prefix),
        ("qwen2", {"tie_word_embeddings": True}, with_copy),
    ],
)
def test_old_forms_become_what_transformers_saves(
    tmp_path: Path, kind: str, changed: dict[str, Any], change: Callable[[Tensors], Any]
) -> None:
    before = loss(write_model(tmp_path / "m", kind, **changed))
    old = edit(tmp_path / "m", change)
    (tmp_path / "link").hardlink_to(tmp_path / "m/model.safetensors")
    given = (tmp_path / "link").read_bytes()
    settle_weights(tmp_path / "m")
    new = load_file(tmp_path / "m/model.safetensors")
    assert new.keys() == old.keys() and all(torch.equal(old[name], new[name]) for name in old)
    assert loss(AutoModelForCausalLM.from_pretrained(tmp_path / "m").eval()) == before
    assert (tmp_path / "link").read_bytes() == given, "the user's own file was written to"


@pytest.mark.parametrize("kind", ["mixtral", "qwen3_moe"])
def test_experts_may_be_packed_in_files_too(tmp_path: Path, kind: str) -> None:
    write_model(tmp_path, kind).save_pretrained(tmp_path, save_original_format=False)
    index = read_index(tmp_path)
    assert any(name.endswith("experts.gate_up_proj") for name in index)
    assert Architecture(tmp_path, trusted=False).names(index) == {name: name for name in index}
    edit(tmp_path, lambda tensors: {name: t for name, t in tensors.items() if "down" not in name})
    with pytest.raises(UserError, match=r"lacks tensor .*experts.0.(w2|down_proj).weight"):
        settle_weights(tmp_path)


@pytest.mark.parametrize(
    ("kind", "change", "words"),
    [
        (
            "llama",
            lambda t: t.pop("model.norm.weight"),
            "lacks tensor 'model.norm.weight' of Llama",
        ),
        ("gpt_neox", lambda t: t.pop("embed_out.weight"), "is false, but embed_out.weight is not"),
        (
            "llama",
            lambda t: t.update({"model.layers.0.self_attn.q_proj.bias": torch.zeros(32)}),
            "'model.layers.0.self_attn.q_proj.bias' is none of LlamaForCausalLM",
        ),
        (
            "mixtral",
            lambda t: t.pop("model.layers.0.block_sparse_moe.experts.3.w1.weight"),
            "lacks tensor 'model.layers.0.block_sparse_moe.experts.3.w1.weight'",
        ),
        (
            "llama",
            lambda t: t.update({"model.norm.weight": torch.ones(16)}),
            r"asks for shape \[32\] of 'model.norm.weight', but .* has \[16\]",
        ),
        (
            "gpt_neox",
            lambda t: t.update({"gpt_neox.embed_in.weight": torch.ones(300, 32)}),
            "vocab_size is 264, but gpt_neox.embed_in.weight in model.safetensors has 300 rows",
        ),
    ],
)
def test_tensors_of_another_model_are_refused(
    tmp_path: Path, kind: str, change: Callable[[Tensors], Any], words: str
) -> None:
    write_model(tmp_path, kind)

    def broken(tensors: Tensors) -> None:
        change(tensors)

    edit(tmp_path, broken)
    with pytest.raises(UserError, match=words) as caught:
        settle_weights(tmp_path)
    assert str(tmp_path) in str(caught.value) and "\n" not in str(caught.value)


def test_a_model_with_code_of_its_own_counts_under_any_names(tmp_path: Path) -> None:
    write_model(tmp_path, "llama")
    config = read_json(tmp_path / "config.json")
    own = {"model_type": "never-heard-of", "auto_map": {"AutoModelForCausalLM": "own.Model"}}
    write_json(tmp_path / "config.json", config | own)
    before = edit(tmp_path, lambda tensors: {f"own.{name}": t for name, t in tensors.items()})
    count = sum(tensor.numel() for tensor in before.values())
    assert parameter_count(tmp_path, read_index(tmp_path)) == count
