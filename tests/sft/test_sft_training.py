"""Runs of the stage in one process without DeepSpeed: what is trained, published, refused."""

import json
import logging
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from transformers import AutoModelForCausalLM, AutoTokenizer

from fixtures import sft_studies as material
from mixmerge.artifacts.manifest import read_manifest, write_manifest
from mixmerge.core.errors import UserError
from mixmerge.core.io import read_json, write_jsonl
from mixmerge.sft.encoding import load_encoder
from mixmerge.sft.job import Job
from mixmerge.sft.stage import fine_tune

pytestmark = pytest.mark.slow
Train = Callable[..., Path]


@pytest.fixture
def train(job: Callable[..., Job], tmp_path: Path) -> Train:
    """Trains in this process, below ``tmp_path / name``; returns what was published."""

    def run(name: str = "run", **settings: Any) -> Path:
        made = job(tmp_path / name, **settings)
        fine_tune(made)
        return made.out

    return run


def log(directory: Path) -> dict[str, Any]:
    return read_json(directory / "training.json")


def weights(directory: Path) -> dict[str, torch.Tensor]:
    return load_file(directory / "model.safetensors")


def learns(directory: Path, by: float = 0) -> bool:
    losses = [entry["loss"] for entry in log(directory)["train"]]
    return bool(losses[-1] < losses[0] - by)


def validation_loss(out: Path, encoder: Any) -> tuple[float, int]:
    """A published model's loss by transformers, example by example, and its tokens."""
    model = AutoModelForCausalLM.from_pretrained(out).eval()
    total = tokens = 0
    for row in material.rows(7, 2):
        ids, labels = torch.tensor([encoder.encode(row["messages"], "x")]).unbind(1)
        learnt = int((labels != -100).sum())
        with torch.no_grad():
            total += model(input_ids=ids, labels=labels).loss.item() * learnt
        tokens += learnt
    return total / tokens, tokens


def test_a_run_learns_and_publishes_a_whole_checkpoint(study: Path, train: Train) -> None:
    out = train(epochs=4, evaluations=3, checkpoint="last")
    manifest = read_manifest(out, "checkpoint")
    assert manifest["facts"]["parameters"] == sum(
        tensor.numel() for tensor in weights(study / "base").values()
    )
    training = log(out)
    assert learns(out, by=1)
    steps = training["steps"]
    evaluated = [entry["step"] for entry in training["validation"]]
    assert evaluated == [round(steps / 3), round(2 * steps / 3), steps]
    assert training["chosen_step"] == steps
    assert training["examples"] == {"train": 48, "validation": 7}
    assert [path.name for path in out.parent.iterdir()] == ["out"]
    assert {oct(p.stat().st_mode & 0o777) for p in out.iterdir()} == {"0o644"}
    assert AutoTokenizer.from_pretrained(out).chat_template == material.TEMPLATE
    assert not re.search(f"seconds|host|{out.parent}", json.dumps([manifest, training]))
    assert {tensor.dtype for tensor in weights(out).values()} == {torch.float32}
    loss, tokens = validation_loss(out, load_encoder(study / "base"))
    assert training["validation"][-1]["loss"] == pytest.approx(loss, abs=1e-5)
    assert training["answer_tokens"]["validation"] == tokens


@pytest.mark.parametrize("packing", [True, False])
def test_accumulation_and_recomputation_change_memory_only(train: Train, packing: bool) -> None:
    """Micro-batches hold unequal numbers of answer tokens; only a token-wise mean agrees."""
    whole = train("a", packing=packing, gradient_accumulation=1, epochs=1)
    less = {"gradient_accumulation": 4, "gradient_checkpointing": True}
    parts = train("b", packing=packing, epochs=1, **less)
    for a, b in zip(log(whole)["train"], log(parts)["train"], strict=True):
        assert a["loss"] == pytest.approx(b["loss"], abs=2e-5)
        assert a["grad_norm"] == pytest.approx(b["grad_norm"], rel=1e-3)
    theirs = weights(parts)
    for name, tensor in weights(whole).items():
        torch.testing.assert_close(tensor, theirs[name], rtol=0, atol=2e-3)


@pytest.mark.parametrize("family", ["qwen2", "llama"])
def test_packed_samples_do_not_see_each_other(tmp_path: Path, family: str) -> None:
    """Through TRL's collator and fused head, as training runs it; to the bit."""
    from trl.trainer.sft_trainer import DataCollatorForLanguageModeling
    from trl.trainer.utils import add_fused_lm_head

    from mixmerge.sft.attention import SAMPLEWISE

    base = material.write_base(tmp_path, family)
    model = AutoModelForCausalLM.from_pretrained(base, attn_implementation=SAMPLEWISE)
    plain = AutoModelForCausalLM.from_pretrained(base, attn_implementation="eager")
    for each in (model, plain):
        add_fused_lm_head(each)
    collate = DataCollatorForLanguageModeling(pad_token_id=0, padding_free=True)
    dice = torch.Generator().manual_seed(5)

    def sample(length: int) -> list[int]:
        return torch.randint(3, 300, (length,), generator=dice).tolist()

    def scores(*samples: list[int], through: Any = model) -> torch.Tensor:
        ids = [token for each in samples for token in each]
        row = {"input_ids": ids, "labels": ids, "seq_lengths": [len(s) for s in samples]}
        with torch.no_grad():
            output: torch.Tensor = through(**collate([row]), fused_lm_head=True).log_probs[0]
        return output

    first, second, third = sample(17), sample(30), sample(9)
    packed = scores(first, second, third)
    changed = scores(sample(17), second, sample(9))
    assert torch.equal(packed[17:46], changed[17:46])
    torch.testing.assert_close(packed[17:46], scores(second)[:29], rtol=0, atol=1e-6)
    # And against transformers' eager attention, which gets a block-diagonal mask.
    eager = scores(first, second, third, through=plain)
    torch.testing.assert_close(packed, eager, rtol=0, atol=1e-6)


def test_long_examples_are_counted_reported_and_left_out(
    train: Train, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING):
        out = train(max_length=55, max_steps=1)
    dropped, kept = log(out)["dropped"]["train"], log(out)["examples"]["train"]
    assert dropped > 0 and kept > 0 and dropped + kept == 48
    assert [entry["step"] for entry in log(out)["validation"]] == [1], "one step, one evaluation"
    assert f"{dropped} of 48 examples are longer than max_length 55" in caplog.text


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"batch_size": 3}, "batch_size 3 is not divisible"),
        ({"learning_rate": 1e30, "warmup_ratio": 0.0}, r"loss is (nan|inf) (at|after) step [234]"),
    ],
)
def test_settings_that_cannot_work_publish_nothing(
    train: Train, tmp_path: Path, settings: dict[str, Any], message: str
) -> None:
    with pytest.raises(UserError, match=message):
        train(**settings)
    assert not (tmp_path / "run" / "out").exists()


def test_each_example_counts_once_an_epoch(train: Train) -> None:
    """At a learning rate too small to matter, an epoch's steps average to one pass's loss."""
    still = {"packing": False, "epochs": 1, "evaluations": 1, "learning_rate": 1e-12}
    many = log(train("a", batch_size=10, **still))["train"]
    once = log(train("b", batch_size=48, **still))["train"]
    assert (len(many), len(once)) == (5, 1)
    # 48 examples over five batches of ten places: no step has eight, no example is repeated.
    assert sum(entry["loss"] for entry in many) / 5 == pytest.approx(once[0]["loss"], abs=0.01)


def test_the_best_checkpoint_is_published(study: Path, train: Train) -> None:
    write_jsonl(study / "few" / "train.jsonl", material.rows(6, 1))
    write_jsonl(study / "few" / "validation.jsonl", material.rows(7, 2))
    write_manifest(study / "few", "rows")
    best = train(
        data="few", epochs=60, learning_rate=2e-2, packing=False, batch_size=6,
        gradient_accumulation=1, evaluations=6,
    )  # fmt: skip
    losses = [entry["loss"] for entry in log(best)["validation"]]
    assert min(losses) < losses[-1], "the run was to overfit"
    assert log(best)["chosen_step"] == 10 * (losses.index(min(losses)) + 1)
    loss, _ = validation_loss(best, load_encoder(study / "base"))
    assert loss == pytest.approx(min(losses), abs=1e-5)


def test_lora_leaves_all_but_its_targets_alone(study: Path, train: Train) -> None:
    out = train(lora={"rank": 4, "alpha": 8, "targets": ["q_proj", "v_proj"], "dropout": 0.1})
    before, after = weights(study / "base"), weights(out)
    assert set(before) == set(after) and not list(out.glob("adapter*"))
    for name, tensor in before.items():
        touched = name.endswith(("q_proj.weight", "v_proj.weight"))
        assert torch.equal(tensor, after[name]) is not touched, name
    assert learns(out)


def test_bf16_keeps_small_updates_and_publishes_in_its_own_precision(train: Train) -> None:
    out = train(precision="bf16", learning_rate=1e-3)
    assert {tensor.dtype for tensor in weights(out).values()} == {torch.bfloat16}
    assert read_json(out / "config.json")["dtype"] == "bfloat16"
    assert learns(out)
