"""The hardware's section: sizes of models, what fits on a GPU, and what no job is told."""

from typing import Any

import pytest

from fixtures.studies import shipped, study_of
from mixmerge.checkpoint.settings import EmbeddedModel
from mixmerge.config.hardware import Hardware, choices, fewest_processes, gpu_gb, misfit, states_gb
from mixmerge.config.study import StudyConfig, parameters_of
from mixmerge.core.errors import UserError
from mixmerge.sft.settings import Lora, Sft
from mixmerge.study.layout import layout_of

SMALL, LARGE = "qwen2.5-coder-1.5b", "qwen2.5-coder-7b"


@pytest.fixture
def paper() -> dict[str, Any]:
    return shipped("config")


def read(data: dict[str, Any]) -> StudyConfig:
    return study_of(data).config


@pytest.mark.parametrize(
    ("weights", "shape"),
    [
        # Qwen2.5-Coder-1.5B and DeepSeek-Coder-1.3B, by their config.json and their safetensors.
        (1_543_714_304, ("qwen2", 1536, 8960, 28, 12, 2, 151936, True)),
        (1_346_471_936, ("llama", 2048, 5504, 24, 16, 16, 32256, False)),
        # The demo's Qwen2, as its manifest counts it.
        (1_116_288, ("qwen2", 128, 512, 4, 4, 2, 1024, True)),
    ],
)
def test_weights_follow_from_the_architecture(weights: int, shape: tuple[Any, ...]) -> None:
    names = ("architecture", "hidden_size", "intermediate_size", "layers", "heads", "kv_heads")
    fields = dict(zip((*names, "vocab_size", "tie_embeddings"), shape, strict=True))
    assert EmbeddedModel(**fields).parameters() == weights


def test_every_shipped_model_says_its_size() -> None:
    for name in ("config", "smollm2", "demo"):
        for key, entry in read(shipped(name)).models.items():
            assert parameters_of(entry), f"{name}: {key}"


def test_states_are_those_of_public_figures_and_each_stage_shares_more_out() -> None:
    # Public figures: 1.5B about 25 GB without ZeRO; 7B on 4 and 8 GPUs with ZeRO-2 42 and 29 GB.
    # Ours add fp32 gradients, which DeepSpeed keeps where micro-batches are summed in fp32.
    for stage, parameters, processes, size in (
        (0, 1_540_000_000, 1, 25),
        (2, 7_600_000_000, 4, 42),
        (2, 7_600_000_000, 8, 29),
    ):
        found, host = states_gb(Sft(zero_stage=stage), parameters, processes)
        assert (found, host) == (pytest.approx(size, rel=0.15), 0)
    shared, alone = (
        [states_gb(Sft(zero_stage=stage), 10**9, processes)[0] for stage in (0, 1, 2, 3)]
        for processes in (4, 1)
    )
    assert shared == sorted(set(shared), reverse=True) and len(set(shared)) == 4
    assert len(set(alone)) == 1


def test_offload_moves_states_to_the_host() -> None:
    gpu, _ = states_gb(Sft(zero_stage=3), 10**9, 2)
    moved_gpu, moved_host = states_gb(Sft(zero_stage=3, offload="optimizer"), 10**9, 2)
    assert moved_gpu < gpu
    assert moved_gpu * 2 + moved_host == pytest.approx(gpu * 2)
    assert states_gb(Sft(zero_stage=3, offload="all"), 10**9, 2)[0] == 0


def test_what_saves_memory_lowers_the_estimate() -> None:
    for less in ({"gradient_checkpointing": True}, {"max_length": 1024}, {"lora": Lora()}):
        assert gpu_gb(Sft(**less), 10**9, 1) < gpu_gb(Sft(), 10**9, 1), less


def test_the_papers_four_processes_stay_and_fit(paper: dict[str, Any]) -> None:
    config = read(paper)
    assert {config.sft_settings(key, "codegen").processes for key in config.models} == {4}
    assert not any(map(config.misfit, config.models))


def test_auto_takes_the_fewest_gpus_that_hold_the_run(paper: dict[str, Any]) -> None:
    paper["sft"]["processes"] = "auto"
    config = read(paper)
    found = {key: config.sft_settings(key, "mix").processes for key in config.models}
    # The paper's four, but for the lightest of the large models, whose activations are recomputed.
    assert found == dict.fromkeys(config.models, 4) | {"deepseek-coder-7b": 2}
    # An H200 holds others on two.
    paper["hardware"] |= {"gpu_memory_gb": 141}
    assert {read(paper).sft_settings(key, "mix").processes for key in (SMALL, LARGE)} == {2}
    paper["hardware"]["device"] = "cpu"
    assert read(paper).sft_settings(LARGE, "mix").processes == 1
    del paper["models"][SMALL]["parameters"]
    with pytest.raises(UserError, match=rf"models.{SMALL}.parameters: missing.*'auto'"):
        read(paper)


def test_auto_divides_the_batch_and_the_nodes() -> None:
    hardware = Hardware(gpus_per_node=8)
    assert choices(Sft(batch_size=24, gradient_accumulation=2), hardware) == [1, 2, 3, 4, 6]
    spread = Sft(batch_size=64, gradient_accumulation=4, nodes=2, zero_stage=3)
    assert choices(spread, hardware) == [2, 4, 8, 16]
    processes = fewest_processes(spread, 7_600_000_000, hardware)
    half, whole = (gpu_gb(spread, 7_600_000_000, n) for n in (processes // 2, processes))
    assert processes % 2 == 0 and whole <= 76 < half


def test_a_number_that_does_not_fit_says_so_in_a_sentence_with_ways_out() -> None:
    sft = Sft(batch_size=64, gradient_accumulation=8)
    message = misfit(sft, 7_600_000_000, 1, Hardware()) or ""
    assert message.startswith("processes: 1 GPU of 80 GB may not hold a run that takes ")
    assert "\n" not in message and message.endswith(
        "try a larger gradient_accumulation, zero_stage 3 or offload"
    )
    # Ways out that it names are some.
    for changes, way in (
        ({"zero_stage": 3, "gradient_checkpointing": True}, {"processes": 4}),
        ({"zero_stage": 3, "processes": 4}, {"gradient_checkpointing": True}),
    ):
        sft = Sft(batch_size=64, gradient_accumulation=8, **changes)
        message = misfit(sft, 7_600_000_000, sft.processes, Hardware()) or ""
        [(name, value)] = way.items()
        assert f"{name}: {str(value).lower()}" in message
        better = sft.model_copy(update=way)
        assert misfit(better, 7_600_000_000, better.processes, Hardware()) is None


def test_hardware_and_workers_are_told_to_no_job(paper: dict[str, Any]) -> None:
    """Settings are params of the rules: what does not change them re-runs nothing."""
    paper["sft"]["processes"] = "auto"
    settings, processes = [], []
    for memory, workers in ((80, 1), (141, 8)):
        paper["hardware"] |= {"gpu_memory_gb": memory, "training_tflops": memory}
        paper["code_scoring"] = {"workers": workers}
        study = study_of(paper)
        told = [study.sft_settings(SMALL, "mix-p100"), study.generate_settings(SMALL, "base")]
        told += [study.score_settings(), study.ground_truth_settings("mbpp")]
        settings.append([*told, layout_of(study)])
        processes.append(study.sft(SMALL, "mix-p100").processes)
    assert settings[0] == settings[1]
    assert processes[0] != processes[1]


def test_null_on_the_command_line_is_null(paper: dict[str, Any]) -> None:
    paper["hardware"]["sft_hours"] = "null"  # as Snakemake reads `--config`
    assert read(paper).hardware.sft_hours is None
