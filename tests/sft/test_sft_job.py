"""Settings of a run, the job that takes or discards scratch, its checkpoints, requests to stop."""

import json
import logging
import os
import signal
from pathlib import Path
from typing import Any

import pytest

from mixmerge.artifacts.manifest import write_manifest
from mixmerge.core.errors import UserError
from mixmerge.core.io import write_jsonl
from mixmerge.sft import job as module
from mixmerge.sft.examples import fill_up
from mixmerge.sft.job import Job, Preempted, StopRequest, best_step, keep_checkpoint
from mixmerge.sft.settings import Sft
from mixmerge.sft.stage import spans
from mixmerge.sft.train import arguments, zero_config


def test_deepspeed_gathers_weights_sums_in_fp32_and_offloads() -> None:
    config = zero_config(Sft(zero_stage=3, offload="all"), 1000)
    zero = config["zero_optimization"]
    assert zero["stage3_gather_16bit_weights_on_model_save"] is True
    assert zero["reduce_bucket_size"] == 1000
    assert zero["offload_param"]["device"] == zero["offload_optimizer"]["device"] == "cpu"
    assert config["data_types"] == {"grad_accum_dtype": "fp32"}
    assert "data_types" not in zero_config(Sft(zero_stage=2, precision="fp32"), 9)


@pytest.mark.parametrize(
    ("settings", "problem"),
    [
        ({"offload": "optimizer", "zero_stage": None}, "offload 'optimizer' needs zero_stage"),
        ({"offload": "optimizer", "zero_stage": 1}, "offload 'optimizer' needs zero_stage"),
        ({"offload": "all", "zero_stage": 2}, "offload 'all' (parameters too) needs zero_stage 3"),
        ({"offload": "all", "zero_stage": 3}, None),
        ({"batch_size": 12, "gradient_accumulation": 8}, "batch_size 12 is not divisible"),
        ({"processes": 2, "nodes": 3}, "processes 2 is not divisible by nodes = 3"),
        ({"batch_size": 16, "gradient_accumulation": 4, "processes": 4, "nodes": 2}, None),
    ],
)
def test_what_does_not_go_together(settings: dict[str, Any], problem: str | None) -> None:
    problems = list(Sft.model_validate(settings).problems())
    assert len(problems) == (problem is not None)
    assert not problems or problems[0].startswith(str(problem))


def test_an_epoch_is_filled_up_with_rows_without_a_loss() -> None:
    from datasets import Dataset

    rows = Dataset.from_dict({"input_ids": [[5, 6, 7]] * 9, "labels": [[-100, 6, 7]] * 9})
    filled = fill_up(rows, 4)
    assert len(filled) == 12 and filled.features == rows.features
    assert filled[:9] == rows[:]
    assert all(set(labels) == {-100} for labels in filled[9:]["labels"])
    assert fill_up(filled, 4) is filled


@pytest.fixture
def job(tmp_path: Path) -> Job:
    places = {name: tmp_path / name for name in ("base", "data", "out", "scratch")}
    for name, kind in (("base", "checkpoint"), ("data", "rows")):
        write_jsonl(places[name] / "x.jsonl", [{"a": 1}])
        write_manifest(places[name], kind)
    return Job(**places, settings=Sft(), seed=3)


def test_the_same_job_keeps_its_scratch(job: Job) -> None:
    assert not job.open()
    job.tokens.mkdir()
    assert job.open(), "work was taken over"
    assert job.tokens.exists()
    # On which machines a run is spread does not make it another one.
    assert job.model_copy(update={"settings": Sft(nodes=2)}).open()
    job.close()
    assert not job.scratch.exists()


@pytest.mark.parametrize(
    ("what", "change"),
    [("settings", {"settings": Sft(epochs=3)}), ("seed", {"seed": 4}), ("data", {})],
)
def test_another_job_discards_it_and_says_so(
    job: Job, what: str, change: dict[str, Any], caplog: pytest.LogCaptureFixture
) -> None:
    job.open()
    job.tokens.mkdir()
    if what == "data":
        write_jsonl(job.data / "x.jsonl", [{"a": 2}])
        write_manifest(job.data, "rows")
    with caplog.at_level(logging.WARNING):
        assert not job.model_copy(update=change).open()
    assert not job.tokens.exists()
    assert f"another job ({what} differ)" in caplog.text


def test_the_seed_and_the_micro_batch_reach_the_trainer(job: Job) -> None:
    settings = Sft(zero_stage=None, precision="fp32", batch_size=24, gradient_accumulation=3)
    args = arguments(job.model_copy(update={"settings": settings}), cuda=False)
    assert args.seed == args.data_seed == job.seed
    assert args.per_device_train_batch_size == args.per_device_eval_batch_size == 8


def test_a_directory_of_others_and_unfinished_inputs_are_left_alone(job: Job) -> None:
    job.scratch.mkdir()
    (job.scratch / "thesis.tex").touch()
    with pytest.raises(UserError, match="not a scratch directory"):
        job.open()
    job.close()
    assert (job.scratch / "thesis.tex").exists()
    (job.base / "manifest.json").unlink()
    with pytest.raises(UserError, match="no manifest"):
        job.open()


def save(trainer: Path, step: int, losses: dict[int, float], keep_best: bool = True) -> None:
    """What the Trainer leaves: weights, optimiser states, its log."""
    checkpoint = trainer / "partial" / f"checkpoint-{step}"
    (checkpoint / f"global_step{step}").mkdir(parents=True)
    for name in ("model.safetensors", "config.json", "optimizer.pt", f"global_step{step}/a.pt"):
        (checkpoint / name).touch()
    log = [{"step": at, "eval_loss": loss} for at, loss in losses.items() if at <= step]
    (checkpoint / "trainer_state.json").write_text(json.dumps({"log_history": log}))
    keep_checkpoint(checkpoint, keep_best)


def test_the_last_checkpoint_stays_whole_and_of_the_best_its_weights(job: Job) -> None:
    assert job.step == 0
    losses, trainer = {2: 1.0, 4: 0.5, 6: 0.5, 10: 0.6}, job.trainer  # the earliest of equals
    for step in losses:
        save(trainer, step, losses)
        assert (job.step, job.last) == (step, trainer / f"checkpoint-{step}")
    assert {path.name for path in trainer.glob("*-*")} == {"checkpoint-4", "checkpoint-10"}
    kept = sorted(p.name for p in (trainer / "checkpoint-4").iterdir())
    assert kept == ["config.json", "model.safetensors"]
    assert (trainer / "checkpoint-10/global_step10/a.pt").exists()
    save(trainer, 10, losses, keep_best=False)
    assert [path.name for path in trainer.glob("*-*")] == ["checkpoint-10"]
    assert best_step([{"step": 1, "loss": 0.1}]) is None


@pytest.mark.parametrize("number", module.SIGNALS)
def test_before_there_is_work_a_request_ends_the_process(
    tmp_path: Path, number: signal.Signals
) -> None:
    before = signal.getsignal(number)
    with pytest.raises(Preempted) as stop, StopRequest(tmp_path).listening():
        os.kill(os.getpid(), number)
    assert stop.value.code == 75
    assert signal.getsignal(number) is before


def test_a_request_is_seen_by_all_and_a_second_one_ends_the_process(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    request, other = StopRequest(tmp_path), StopRequest(tmp_path)
    request.begun.touch()
    with request.listening():
        assert request.signal == ""
        os.kill(os.getpid(), signal.SIGUSR1)
        os.kill(os.getpid(), signal.SIGTERM)  # an echo
        assert request.signal == other.signal == "SIGUSR1"
        monkeypatch.setattr(module, "_ECHO", 0.0)
        with pytest.raises(SystemExit) as stop:
            os.kill(os.getpid(), signal.SIGTERM)
        assert stop.value.code == 128 + signal.SIGTERM
    text = capfd.readouterr().err
    assert text.count("stopping as soon as") == 1
    assert "SIGTERM: again: stopped without saving" in text
    with pytest.raises(Preempted):  # heard while the files of an earlier call were still there
        request.forget()
    other.forget()
    assert not other.signal


def test_a_rank_passes_a_request_on_or_ends_where_there_is_no_work(tmp_path: Path) -> None:
    """Slurm asks every process of a job."""
    request = StopRequest(tmp_path)
    child = os.fork()
    if not child:
        request.pass_on(signal.SIGTERM)
        os._exit(0)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 75
    request.begun.touch()
    request.pass_on(signal.SIGTERM)
    assert StopRequest(tmp_path).signal == "SIGTERM"


def test_elsewhere_than_in_slurm_no_job_spans_nodes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SLURM_JOB_ID", raising=False)
    assert not spans(2)
