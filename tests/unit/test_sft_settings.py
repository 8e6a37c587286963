"""Settings that are decided before anything heavy is imported."""

import pytest

from mixmerge.sft.settings import Sft
from mixmerge.sft.train import zero_config
from mixmerge.sft.trainer import evaluation_steps


@pytest.mark.parametrize(
    ("steps", "evaluations", "expected"),
    [(12, 4, [3, 6, 9, 12]), (10, 4, [2, 5, 8, 10]), (3, 4, [1, 2, 3]), (1, 1, [1])],
)
def test_evaluations_are_even_and_end_at_the_end(
    steps: int, evaluations: int, expected: list[int]
) -> None:
    assert evaluation_steps(steps, evaluations) == expected


def test_zero_3_gathers_its_weights_for_saving() -> None:
    zero = zero_config(Sft(zero_stage=3), 1000)["zero_optimization"]
    assert zero["stage3_gather_16bit_weights_on_model_save"] is True
    assert zero["reduce_bucket_size"] == 1000


def test_bf16_gradients_are_summed_in_fp32() -> None:
    assert zero_config(Sft(zero_stage=2), 9)["data_types"] == {"grad_accum_dtype": "fp32"}
    assert "data_types" not in zero_config(Sft(zero_stage=2, precision="fp32"), 9)


@pytest.mark.parametrize(("offload", "stage"), [("optimizer", None), ("optimizer", 1), ("all", 2)])
def test_impossible_offloads_are_refused(offload: str, stage: int | None) -> None:
    (problem,) = Sft.model_validate({"offload": offload, "zero_stage": stage}).problems()
    assert "offload" in problem and "zero_stage" in problem


def test_a_batch_must_divide() -> None:
    (problem,) = Sft(batch_size=12, gradient_accumulation=8).problems()
    assert problem.startswith("batch_size 12")
    assert Sft(batch_size=16, gradient_accumulation=4, processes=4).problems() == []


def test_possible_offloads_are_passed_on() -> None:
    settings = Sft(offload="all", zero_stage=3)
    assert settings.problems() == []
    zero = zero_config(settings, 9)["zero_optimization"]
    assert zero["offload_param"]["device"] == zero["offload_optimizer"]["device"] == "cpu"


def test_an_epoch_is_filled_up_with_rows_without_a_loss() -> None:
    from datasets import Dataset

    from mixmerge.sft.examples import fill_up

    rows = Dataset.from_dict({"input_ids": [[5, 6, 7]] * 9, "labels": [[-100, 6, 7]] * 9})
    filled = fill_up(rows, 4)
    assert len(filled) == 12 and filled.features == rows.features
    assert filled[:9] == rows[:]
    assert all(set(labels) == {-100} for labels in filled[9:]["labels"])
    assert fill_up(filled, 4) is filled
