"""Runs of the stage in one process without DeepSpeed: what is trained, published, refused."""

import json
import logging
import math
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

import sft_material as material
from mixmerge.artifacts.manifest import read_manifest, write_manifest
from mixmerge.core.errors import UserError
from mixmerge.core.io import read_json, write_jsonl
from mixmerge.sft.job import Job
from mixmerge.sft.settings import Sft
from mixmerge.sft.stage import fine_tune


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A base and a training set, made once."""
    return material.write_study(tmp_path_factory.mktemp("sft"))


def job(study: Path, out: Path, *, seed: int = 3, data: str = "set", **settings: Any) -> Job:
    return Job(
        base=study / "base",
        data=study / data,
        out=out / "out",
        scratch=out / "scratch",
        settings=Sft.model_validate({**material.SETTINGS, **settings}),
        seed=seed,
    )


def train(study: Path, out: Path, **changes: Any) -> Path:
    made = job(study, out, **changes)
    fine_tune(made)
    return made.out


def log(directory: Path) -> dict[str, Any]:
    found: dict[str, Any] = read_json(directory / "training.json")
    return found


def close(one: Path, two: Path, tolerance: float) -> None:
    a, b = load_file(one / "model.safetensors"), load_file(two / "model.safetensors")
    for name in a:
        torch.testing.assert_close(a[name], b[name], rtol=0, atol=tolerance)


def test_a_run_learns_and_publishes_a_whole_checkpoint(study: Path, tmp_path: Path) -> None:
    from transformers import AutoModelForCausalLM, AutoTokenizer

    out = train(study, tmp_path, epochs=4, evaluations=3)
    manifest = read_manifest(out, "checkpoint")
    assert manifest["facts"]["parameters"] == sum(
        t.numel() for t in load_file(study / "base" / "model.safetensors").values()
    )
    training = log(out)
    assert training["train"][-1]["loss"] < training["train"][0]["loss"] - 1
    losses = {v["step"]: v["loss"] for v in training["validation"]}
    steps = training["steps"]
    assert list(losses) == [round(steps / 3), round(2 * steps / 3), steps]
    assert training["chosen_step"] == min(losses, key=lambda step: losses[step])
    assert training["examples"] == {"train": 48, "validation": 7}
    assert not (tmp_path / "scratch").exists()
    assert {oct(p.stat().st_mode & 0o777) for p in out.iterdir()} == {"0o644"}
    model = AutoModelForCausalLM.from_pretrained(out)
    assert model.dtype == torch.float32
    assert AutoTokenizer.from_pretrained(out).chat_template == material.TEMPLATE
    text = json.dumps(manifest) + (out / "training.json").read_text()
    assert "seconds" not in text and "host" not in text and str(tmp_path) not in text


def test_the_validation_loss_is_the_published_model_s_own(study: Path, tmp_path: Path) -> None:
    """Oracle: transformers' own loss, example by example, weighted by tokens."""
    from transformers import AutoModelForCausalLM

    from mixmerge.sft.encoding import load_encoder

    out = train(study, tmp_path, checkpoint="last")
    model = AutoModelForCausalLM.from_pretrained(out).eval()
    encoder = load_encoder(study / "base", None)
    total = tokens = 0.0
    for row in material.rows(7, 2):
        ids, labels = encoder.encode(row["messages"], "x")
        learnt = sum(label != -100 for label in labels)
        with torch.no_grad():
            loss = model(input_ids=torch.tensor([ids]), labels=torch.tensor([labels])).loss
        total, tokens = total + loss.item() * learnt, tokens + learnt
    assert log(out)["validation"][-1]["loss"] == pytest.approx(total / tokens, abs=1e-5)
    assert log(out)["answer_tokens"]["validation"] == tokens


def test_two_runs_give_the_same_bytes_and_another_seed_others(study: Path, tmp_path: Path) -> None:
    one, two = (train(study, tmp_path / name) for name in "ab")
    assert (one / "manifest.json").read_bytes() == (two / "manifest.json").read_bytes()
    other = train(study, tmp_path / "c", seed=4)
    assert (one / "manifest.json").read_bytes() != (other / "manifest.json").read_bytes()


@pytest.mark.parametrize("packing", [True, False])
def test_accumulation_equals_the_large_batch(study: Path, tmp_path: Path, packing: bool) -> None:
    """Micro-batches hold unequal numbers of answer tokens; only a token-wise mean agrees."""
    whole = train(study, tmp_path / "a", packing=packing, gradient_accumulation=1)
    parts = train(study, tmp_path / "b", packing=packing, gradient_accumulation=4)
    for a, b in zip(log(whole)["train"], log(parts)["train"], strict=True):
        assert a["loss"] == pytest.approx(b["loss"], abs=2e-5)
        assert a["grad_norm"] == pytest.approx(b["grad_norm"], rel=1e-3)
    close(whole, parts, 2e-3)


def test_packing_changes_where_rows_stand_not_what_is_learnt(study: Path, tmp_path: Path) -> None:
    """One step over the whole set: packed and unpacked, its loss and gradient are the same."""
    one = {"gradient_accumulation": 1, "max_steps": 1, "evaluations": 1, "warmup_ratio": 0.0}
    # Both batches are as large as the set: 48 samples here, all packed rows there.
    unpacked = train(study, tmp_path / "a", packing=False, batch_size=48, max_length=512, **one)
    packed = train(study, tmp_path / "b", packing=True, batch_size=48, max_length=512, **one)
    assert 1 < log(packed)["rows"]["train"] < 12
    a, b = log(unpacked)["train"][0], log(packed)["train"][0]
    assert a["loss"] == pytest.approx(b["loss"], abs=1e-5)
    assert a["grad_norm"] == pytest.approx(b["grad_norm"], rel=1e-4)


@pytest.mark.parametrize("family", ["qwen2", "llama"])
def test_packed_samples_do_not_see_each_other(tmp_path: Path, family: str) -> None:
    """Through TRL's collator and fused head, as training runs it; to the bit."""
    from transformers import AttentionInterface, AutoModelForCausalLM
    from trl.trainer.sft_trainer import DataCollatorForLanguageModeling
    from trl.trainer.utils import add_fused_lm_head

    from mixmerge.sft.trainer import SAMPLEWISE, samplewise_attention

    AttentionInterface.register(SAMPLEWISE, samplewise_attention)
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
            found: torch.Tensor = through(**collate([row]), fused_lm_head=True).log_probs[0]
        return found

    first, second, third = sample(17), sample(30), sample(9)
    packed = scores(first, second, third)
    changed = scores(sample(17), second, sample(9))
    start, end = 17, 17 + 29
    assert torch.equal(packed[start:end], changed[start:end])
    torch.testing.assert_close(packed[start:end], scores(second)[:29], rtol=0, atol=1e-6)
    # And against transformers' eager attention, which gets a block-diagonal mask.
    torch.testing.assert_close(
        packed, scores(first, second, third, through=plain), rtol=0, atol=1e-6
    )


def test_long_examples_are_counted_reported_and_left_out(
    study: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING):
        out = train(study, tmp_path, max_length=55)
    dropped, kept = log(out)["dropped"]["train"], log(out)["examples"]["train"]
    assert dropped > 0 and kept > 0 and dropped + kept == 48
    assert f"{dropped} of 48 examples are longer than max_length 55" in caplog.text


def test_a_limit_below_all_examples_is_a_mistake(study: Path, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="max_length"):
        train(study, tmp_path, max_length=8)
    assert not (tmp_path / "out").exists()


def spoilt(tmp_path: Path, change: Any) -> Path:
    """A study whose base was changed."""
    base = material.write_study(tmp_path) / "base"
    file = base / "model.safetensors"
    weights = load_file(file)
    change(file, weights)
    write_manifest(base, "checkpoint")
    return tmp_path


def nan(file: Path, weights: dict[str, torch.Tensor]) -> None:
    weights["model.norm.weight"][3] = math.nan
    save_file(weights, file, metadata={"format": "pt"})


def cut(file: Path, weights: dict[str, torch.Tensor]) -> None:
    file.write_bytes(file.read_bytes()[:-100])


def short(file: Path, weights: dict[str, torch.Tensor]) -> None:
    name = "model.embed_tokens.weight"
    weights[name] = weights[name][:250].clone()
    save_file(weights, file, metadata={"format": "pt"})


@pytest.mark.parametrize(
    ("change", "message"),
    [(nan, "model.norm.weight.*NaN"), (cut, "truncated"), (short, "tokenizer has 300 tokens")],
)
def test_a_spoilt_base_is_refused_before_training(
    tmp_path: Path, change: Any, message: str
) -> None:
    with pytest.raises(UserError, match=message):
        train(spoilt(tmp_path, change), tmp_path / "run")
    assert not (tmp_path / "run" / "out").exists()


def test_training_that_diverges_stops_at_once(study: Path, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"loss is (nan|inf) (at|after) step [234]"):
        train(study, tmp_path, learning_rate=1e30, warmup_ratio=0.0)
    assert not (tmp_path / "out").exists()


def test_each_example_counts_once_an_epoch(study: Path, tmp_path: Path) -> None:
    """At a learning rate too small to matter, an epoch's steps average to one pass's loss."""
    still: dict[str, Any] = {
        "packing": False,
        "epochs": 1,
        "evaluations": 1,
        "learning_rate": 1e-12,
    }
    many = log(train(study, tmp_path / "a", batch_size=10, **still))["train"]
    once = log(train(study, tmp_path / "b", batch_size=48, **still))["train"]
    assert (len(many), len(once)) == (5, 1)
    # 48 examples over five batches of ten places: no step is left with eight examples and no
    # example is repeated; the steps' losses differ only by which examples they hold.
    assert sum(entry["loss"] for entry in many) / 5 == pytest.approx(once[0]["loss"], abs=0.01)


def test_best_is_published_or_last_as_the_settings_say(study: Path, tmp_path: Path) -> None:
    write_jsonl(study / "few" / "train.jsonl", material.rows(6, 1))
    write_jsonl(study / "few" / "validation.jsonl", material.rows(7, 2))
    write_manifest(study / "few", "rows")
    overfit: dict[str, Any] = {
        "data": "few", "epochs": 60, "learning_rate": 2e-2, "packing": False,
        "batch_size": 6, "gradient_accumulation": 1, "evaluations": 6,
    }  # fmt: skip
    best = train(study, tmp_path / "a", checkpoint="best", **overfit)
    last = train(study, tmp_path / "b", checkpoint="last", **overfit)
    losses = [v["loss"] for v in log(best)["validation"]]
    assert losses == [v["loss"] for v in log(last)["validation"]]
    assert min(losses) < losses[-1], "the run was to overfit"
    assert log(last)["chosen_step"] == 60
    assert log(best)["chosen_step"] == 10 * (losses.index(min(losses)) + 1)
    one, two = (load_file(d / "model.safetensors") for d in (best, last))
    assert any(not torch.equal(one[name], two[name]) for name in one)


def test_lora_leaves_all_but_its_targets_alone(study: Path, tmp_path: Path) -> None:
    lora = {"rank": 4, "alpha": 8, "targets": ["q_proj", "v_proj"], "dropout": 0.1}
    out = train(study, tmp_path, lora=lora)
    before, after = (load_file(d / "model.safetensors") for d in (study / "base", out))
    assert set(before) == set(after) and not list(out.glob("adapter*"))
    for name, tensor in before.items():
        touched = name.endswith(("q_proj.weight", "v_proj.weight"))
        assert torch.equal(tensor, after[name]) is not touched, name
    losses = log(out)["train"]
    assert losses[-1]["loss"] < losses[0]["loss"]


def test_bf16_keeps_small_updates_and_publishes_in_its_own_precision(
    study: Path, tmp_path: Path
) -> None:
    out = train(study, tmp_path, precision="bf16", learning_rate=1e-3)
    weights = load_file(out / "model.safetensors")
    assert {tensor.dtype for tensor in weights.values()} == {torch.bfloat16}
    assert read_json(out / "config.json")["dtype"] == "bfloat16"
    losses = log(out)["train"]
    assert losses[-1]["loss"] < losses[0]["loss"]


def test_a_crash_before_publishing_costs_no_training(
    study: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from mixmerge.sft import stage

    calm = train(study, tmp_path / "a")

    def crash(*arguments: Any) -> None:
        raise OSError("disk full")

    with monkeypatch.context() as patched, pytest.raises(OSError, match="disk full"):
        patched.setattr(stage, "publish", crash)
        train(study, tmp_path / "b")

    def never(*arguments: Any) -> None:
        raise AssertionError("trained again")

    monkeypatch.setattr(stage, "train", never)
    rough = train(study, tmp_path / "b")
    assert (rough / "manifest.json").read_bytes() == (calm / "manifest.json").read_bytes()


def test_gradient_checkpointing_changes_memory_only(study: Path, tmp_path: Path) -> None:
    plain = train(study, tmp_path / "a", max_steps=3)
    spared = train(study, tmp_path / "b", max_steps=3, gradient_checkpointing=True)
    close(plain, spared, 1e-5)


def test_a_batch_that_does_not_divide_is_refused(study: Path, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="batch_size"):
        train(study, tmp_path, batch_size=3)
