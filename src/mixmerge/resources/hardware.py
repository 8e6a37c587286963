"""What one node has and how fast it is: what resources and the plan are estimated from."""

from typing import Annotated, Any, Literal

from pydantic import Field, field_validator

from mixmerge.core.section import Name, Section

Positive = Annotated[float, Field(gt=0)]


class Hardware(Section):
    """The machine. No job is told any of it: a change plans other resources and re-runs nothing.

    Speeds matter only until jobs have run: then their benchmark files say better.
    docs/resources.md has the source of each default.
    """

    device: Literal["gpu", "cpu"] = "gpu"
    """What training and generation run on. `cpu`: no job asks for a GPU, or sees one."""

    gpu_memory_gb: Positive = 80.0
    """Memory of one GPU in GB (an H100's)."""

    gpus_per_node: Annotated[int, Field(gt=0)] = 4
    """GPUs of one node; a training run on one node takes no more."""

    longest_hours: Positive | None = None
    """Most run time that a job may ask for, such as the time limit of a cluster's partition.
    Training that reaches it goes on from its last checkpoint in the next attempt."""

    training_tflops: Positive = 250.0
    """Sustained TFLOP/s of one GPU in bf16 training, by the usual 6 operations a parameter and
    token. An H100 does 280 in torchtitan's eager 8B runs (5.8k tokens/s)."""

    decoding_tokens_s: Positive = 10_000.0
    """Tokens a second that one GPU generates with a model of one billion parameters, many prompts
    at a time; other sizes in inverse proportion. Continuous batching without FlashAttention-3
    does 1.4k on big GPUs at 7B."""

    cpu_gflops: Positive = 40.0
    """Sustained GFLOP/s of one CPU thread in fp32. SmolLM2-135M trains at 110 tokens/s on two."""

    disk_mb_s: Positive = 500.0
    """MB a second that weights are read and written at."""

    network_mb_s: Positive = 30.0
    """MB a second that models and data sets are fetched at."""

    merging_speed: Positive = 1.0
    """Speed of merging and of weight statistics against the two cores they were timed on: 2 is
    twice as fast."""

    sft_hours: dict[Name, Positive] | None = None
    """Size class of a model (its `size`) -> hours that a specialist's run on all of its training
    set takes on the GPUs its `processes` ask for; smaller sets and mixtures in proportion. Where
    it is given it stands for `training_tflops`. The paper's: `{small: 4, large: 20}`."""

    @field_validator("longest_hours", "sft_hours", mode="before")
    @classmethod
    def _null_may_be_text(cls, value: Any) -> Any:
        # Snakemake takes what stands in `--config hardware={sft_hours: null}` for a string.
        return None if value == "null" else value
