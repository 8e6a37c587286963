"""Published weights: adapters folded as peft folds them, shards, shells refused."""

from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from fixtures import sft_studies as material
from mixmerge.checkpoint.index import read_index
from mixmerge.core.errors import UserError
from mixmerge.sft import publish


def tensors(directory: Path) -> dict[str, torch.Tensor]:
    found = {}
    for file in sorted(directory.glob("*.safetensors")):
        found |= load_file(file)
    return found


@pytest.mark.parametrize("targets", ["all-linear", ["q_proj", "down_proj"]])
def test_adapters_are_folded_as_peft_folds_them(tmp_path: Path, targets: str | list[str]) -> None:
    from peft import LoraConfig, get_peft_model
    from transformers import AutoModelForCausalLM

    base = material.write_base(tmp_path / "base")
    model = AutoModelForCausalLM.from_pretrained(base)
    config = LoraConfig(task_type="CAUSAL_LM", r=3, lora_alpha=5, target_modules=targets)
    adapted = get_peft_model(model, config)
    torch.manual_seed(1)
    for name, parameter in adapted.named_parameters():
        if "lora_" in name:
            torch.nn.init.normal_(parameter)
    adapted.save_pretrained(tmp_path / "checkpoint-1")
    (tmp_path / "out").mkdir()
    publish.write_weights(base, tmp_path / "checkpoint-1", tmp_path / "out", torch.float32)
    folded, oracle = tensors(tmp_path / "out"), adapted.merge_and_unload().state_dict()
    assert set(folded) == set(tensors(base))
    for name, tensor in folded.items():
        torch.testing.assert_close(tensor, oracle[name], rtol=1e-6, atol=1e-6)


def test_a_shell_is_refused_by_name(tmp_path: Path) -> None:
    base = material.write_base(tmp_path / "base")
    lost = "model.layers.1.mlp.up_proj.weight"
    shell = {name: tensor for name, tensor in tensors(base).items() if name != lost}
    save_file(shell, tmp_path / "model.safetensors")
    with pytest.raises(UserError, match=lost):
        publish.write_weights(base, tmp_path, tmp_path / "out", torch.float32)


def test_large_models_come_in_shards(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    base = material.write_base(tmp_path / "base", "llama")
    monkeypatch.setattr(publish, "SHARD_BYTES", 40_000)
    (tmp_path / "out").mkdir()
    publish.write_weights(base, base, tmp_path / "out", torch.bfloat16)
    assert len(list((tmp_path / "out").glob("model-*-of-*.safetensors"))) > 1
    index = read_index(tmp_path / "out")
    assert {info.dtype for info in index.values()} == {"BF16"}
    before = tensors(base)
    for name, tensor in tensors(tmp_path / "out").items():
        assert torch.equal(tensor, before[name].bfloat16())
