"""Settings of a run, and the job that takes its scratch directory or discards another's."""

import logging
from pathlib import Path
from typing import Any

import pytest

from mixmerge.artifacts.manifest import write_manifest
from mixmerge.core.errors import UserError
from mixmerge.core.io import write_jsonl
from mixmerge.sft.examples import fill_up
from mixmerge.sft.job import Job, close_job, load_job, open_job
from mixmerge.sft.settings import Sft
from mixmerge.sft.train import _arguments, zero_config
from mixmerge.sft.trainer import evaluation_steps


@pytest.mark.parametrize(
    ("steps", "evaluations", "expected"),
    [(12, 4, [3, 6, 9, 12]), (10, 4, [2, 5, 8, 10]), (3, 4, [1, 2, 3]), (1, 1, [1])],
)
def test_evaluations_are_even_and_end_at_the_end(
    steps: int, evaluations: int, expected: list[int]
) -> None:
    assert evaluation_steps(steps, evaluations) == expected


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
    problems = Sft.model_validate(settings).problems()
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
    for name, kind in (("base", "checkpoint"), ("set", "rows")):
        write_jsonl(tmp_path / name / "x.jsonl", [{"a": 1}])
        write_manifest(tmp_path / name, kind)
    paths = {"base": "base", "data": "set", "out": "out", "scratch": "scratch"}
    places = {field: tmp_path / name for field, name in paths.items()}
    return Job(**places, settings=Sft(), seed=3)


def test_the_same_job_keeps_its_scratch_and_ranks_read_it(job: Job) -> None:
    assert not open_job(job)
    assert load_job(job.scratch) == job
    job.tokens.mkdir()
    assert open_job(job), "work was taken over"
    assert job.tokens.exists()
    # On which machines a run is spread does not make it another one.
    assert open_job(job.model_copy(update={"settings": Sft(nodes=2)}))
    close_job(job)
    assert not job.scratch.exists()


@pytest.mark.parametrize(
    ("what", "change"),
    [("settings", {"settings": Sft(epochs=3)}), ("seed", {"seed": 4}), ("data", {})],
)
def test_another_job_discards_it_and_says_so(
    job: Job, what: str, change: dict[str, Any], caplog: pytest.LogCaptureFixture
) -> None:
    open_job(job)
    job.tokens.mkdir()
    if what == "data":
        write_jsonl(job.data / "x.jsonl", [{"a": 2}])
        write_manifest(job.data, "rows")
    with caplog.at_level(logging.WARNING):
        assert not open_job(job.model_copy(update=change))
    assert not job.tokens.exists()
    assert f"another job ({what} differ)" in caplog.text


def test_the_seed_and_the_micro_batch_reach_the_trainer(job: Job) -> None:
    settings = Sft(zero_stage=None, precision="fp32", batch_size=24, gradient_accumulation=3)
    args = _arguments(job.model_copy(update={"settings": settings}), cuda=False)
    assert args.seed == args.data_seed == job.seed
    assert args.per_device_train_batch_size == args.per_device_eval_batch_size == 8


def test_a_directory_of_others_is_never_emptied(job: Job) -> None:
    job.scratch.mkdir()
    (job.scratch / "thesis.tex").touch()
    with pytest.raises(UserError, match="not a scratch directory"):
        open_job(job)
    close_job(job)
    assert (job.scratch / "thesis.tex").exists()


def test_unfinished_inputs_are_refused(job: Job) -> None:
    (job.base / "manifest.json").unlink()
    with pytest.raises(UserError, match="no manifest"):
        open_job(job)
