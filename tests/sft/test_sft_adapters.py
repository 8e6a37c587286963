"""LoRA: adapters folded as they were trained, over many architectures; targets that take none."""

from pathlib import Path
from typing import Any

import pytest
import torch
from peft import get_peft_model
from transformers import AutoModelForCausalLM

from fixtures.architectures import KINDS, loss, write_model
from mixmerge.checkpoint.architecture import Architecture
from mixmerge.checkpoint.index import read_index
from mixmerge.core.errors import UserError
from mixmerge.sft import adapters, publish
from mixmerge.sft.settings import Lora


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
@pytest.mark.parametrize("kind", KINDS)
def test_folded_weights_have_the_adapted_models_loss(tmp_path: Path, kind: str, dtype: str) -> None:
    lora, base, out = Lora(rank=4, alpha=8), tmp_path / "base", tmp_path / "out"
    model = write_model(base, kind)
    before = loss(model)
    adapters.check_targets(Architecture(base, trusted=False), lora)
    adapted = get_peft_model(model, adapters.lora_config(lora))
    for name, parameter in adapted.named_parameters():
        if "lora_B" in name:
            torch.nn.init.normal_(parameter, std=0.2)
    adapted.save_pretrained(tmp_path / "checkpoint-1")
    trained = loss(adapted)
    assert abs(trained - before) > 0.01
    out.mkdir()
    publish.write_weights(base, tmp_path / "checkpoint-1", out, getattr(torch, dtype))
    assert read_index(out).keys() == read_index(base).keys()
    (out / "config.json").write_text((base / "config.json").read_text())
    folded = AutoModelForCausalLM.from_pretrained(out, dtype=torch.float32).eval()
    assert loss(folded) == pytest.approx(trained, abs=1e-5 if dtype == "float32" else 0.05)


@pytest.mark.parametrize(
    ("kind", "lora", "words"),
    [
        ("llama", {"targets": ["q_projj"]}, r"'q_projj' is no module .*did you mean 'q_proj'"),
        ("llama", {"targets": ["q_proj", "w1"]}, "'w1' is no module of LlamaForCausalLM"),
        ("llama", {"targets": ["q_proj", "lm_head"]}, "'lm_head' is the output layer"),
        ("gpt_neox", {"targets": ["embed_out"]}, "'embed_out' is the output layer"),
        ("qwen2", {"targets": ["embed_tokens"]}, "'embed_tokens' is the input embedding"),
        ("gpt2", {"targets": ["wte"]}, "'wte' is the input embedding"),
        ("qwen2_moe", {"targets": ["q_proj", "gate"]}, "peft puts no adapters on Qwen2Moe"),
        ("mixtral", {"targets": ["w1"]}, "'w1' is packed with others"),
        ("qwen3_moe", {"dropout": 0.1}, "does not work with lora_dropout"),
        ("phimoe", {}, "router' returns more than a tensor"),
        ("mamba", {}, "peft puts no adapters on MambaForCausalLM"),
    ],
)
def test_targets_that_take_no_adapter_are_told(
    tmp_path: Path, kind: str, lora: dict[str, Any], words: str
) -> None:
    write_model(tmp_path, kind, tie_word_embeddings=False)
    with pytest.raises(UserError, match=words) as caught:
        adapters.check_targets(Architecture(tmp_path, trusted=False), Lora(**lora))
    message = str(caught.value)
    assert message.startswith("sft.lora") and str(tmp_path) in message and "\n" not in message
