"""Every model is trained with its own attention, whatever it offers for packed rows."""

import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import AutoModelForCausalLM

from fixtures import sft_studies as material
from mixmerge.artifacts.manifest import write_manifest
from mixmerge.core.errors import UserError
from mixmerge.core.io import read_json
from mixmerge.sft import attention
from mixmerge.sft.encoding import load_encoder
from mixmerge.sft.job import Job
from mixmerge.sft.stage import fine_tune
from model_table.tiny import write_model

pytestmark = pytest.mark.slow

#: Measures the base's own loss, and trains nothing.
STILL: dict[str, Any] = {"learning_rate": 1e-30, "max_steps": 1, "evaluations": 1, "batch_size": 8}
STILL |= {"gradient_accumulation": 1, "max_length": 256}


@pytest.fixture
def still(study: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> Callable[..., Any]:
    """Runs a job on a tiny model; its validation loss, transformers' own, and the log."""

    def run(kind: str, changed: dict[str, Any] | None = None, **settings: Any) -> Any:
        base = tmp_path / "base"
        write_model(base, kind, **changed or {})
        write_manifest(base, "checkpoint")
        sft = {**material.SETTINGS, **STILL, **settings}
        job = {"base": base, "data": study / "set", "out": tmp_path / "out", "seed": 3}
        with caplog.at_level(logging.INFO):
            fine_tune(Job.model_validate({**job, "scratch": tmp_path / "scratch", "settings": sft}))
        [entry] = read_json(tmp_path / "out" / "training.json")["validation"]
        return entry["loss"], eager_loss(base), caplog.text

    return run


def eager_loss(base: Path) -> float:
    """The validation set's loss by transformers alone: example by example, neither padded."""
    model = AutoModelForCausalLM.from_pretrained(base, attn_implementation="eager").eval()
    encoder = load_encoder(base)
    total = count = 0.0
    for row in material.rows(7, 2):
        ids, labels = torch.tensor(encoder.encode(row["messages"], "x"))
        with torch.no_grad():
            scores = model(ids[None]).logits[0, :-1].log_softmax(-1)
        learnt = labels[1:] != -100
        total -= scores[learnt].gather(1, labels[1:][learnt, None]).sum().item()
        count += learnt.sum().item()
    return total / count


FAST, WHOLE = "by samplewise attention: loss", "by eager attention: loss"
APART, EAGER_APART = "by sdpa attention, samples of", "by eager attention, samples of"
OWN_OUTPUT = "by samplewise attention, the model's own output layer"


@pytest.mark.parametrize(
    ("kind", "way"),
    [
        ("llama", FAST),
        ("llama4_text", OWN_OUTPUT),  # attends within chunks of 16 tokens
        ("qwen3_moe", FAST),
        ("mistral", FAST),  # windows of 16 tokens, as in the next ones
        ("starcoder2", FAST),
        ("phi3", FAST),
        ("gemma3_text", FAST),  # layers with windows and without
        ("cohere2", FAST),
        ("granite", FAST),
        ("gpt2", FAST),
        ("stablelm", FAST),
        ("gemma2", WHOLE),  # soft caps
        ("codegen", WHOLE),
        ("gpt_oss", EAGER_APART),  # sinks
        ("falcon", EAGER_APART),
        ("bloom", EAGER_APART),
        ("mamba", EAGER_APART),
        ("opt", APART),
        ("qwen3_next", APART),
    ],
)
def test_packed_rows_have_the_model_s_own_loss(
    still: Callable[..., Any], kind: str, way: str
) -> None:
    loss, own, log = still(kind)
    assert loss == pytest.approx(own, abs=2e-5)
    assert way in log


@pytest.mark.parametrize("kind", ["gemma2", "mistral", "gpt_oss", "falcon", "mamba"])
def test_padded_rows_have_the_model_s_own_loss(still: Callable[..., Any], kind: str) -> None:
    loss, own, log = still(kind, packing=False)
    assert loss == pytest.approx(own, abs=2e-5)
    assert ("by sdpa attention" in log) is (kind == "mistral")


def test_bf16_is_checked_in_the_weights_own_precision(still: Callable[..., Any]) -> None:
    assert FAST in still("llama", precision="bf16")[2]


def test_a_model_that_looks_ahead_is_refused(still: Callable[..., Any]) -> None:
    with pytest.raises(UserError, match="BertLMHeadModel: is no causal language model"):
        still("bert")


def test_no_way_is_taken_that_differs(
    still: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of a kernel, and of a mask that lets samples see each other, only the log tells."""
    kernel = attention.scaled_dot_product_attention
    monkeypatch.setattr(
        attention, "scaled_dot_product_attention", lambda *a, **k: kernel(*a, **k) * 1.01
    )
    loss, own, log = still("llama")
    assert loss == pytest.approx(own, abs=2e-5)
    assert "not by samplewise attention (losses differ by" in log and WHOLE in log


def test_where_nothing_agrees_training_stops(
    still: Callable[..., Any], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    scored = attention.ForwardPass._scored

    def wrong(self: Any, **inputs: Any) -> Any:
        output = scored(self, **inputs)
        output.log_probs = output.log_probs * 1.01
        return output

    monkeypatch.setattr(attention.ForwardPass, "_scored", wrong)
    with pytest.raises(UserError, match="LlamaForCausalLM: can't be trained as it computes"):
        still("llama")
    assert not (tmp_path / "out").exists()
