"""The machine that resources are estimated for, and how many of its GPUs hold a training run.

That number follows from the configuration alone, never from what earlier jobs happened to measure.
docs/resources.md derives the formulas.
"""

from math import ceil
from typing import Annotated, Any, Literal

from pydantic import Field, field_validator

from mixmerge.core.section import Name, Section
from mixmerge.sft.settings import SftPlan

#: Share of a GPU's memory that a job may fill; the rest goes to fragmentation.
_USABLE = 0.95
#: GB a process takes before any weights: CUDA context, workspaces, one chunk of logits.
_OVERHEAD_GB = 2.0
#: Bytes that AdamW keeps for a trained weight: fp32 master weight and two moments.
_OPTIMISER = 12
#: Bytes of a gradient: DeepSpeed sums micro-batches in fp32 (`grad_accum_dtype`), torch likewise.
_GRADIENT = 4
#: Width of a model over its number of layers: 55 to 136 in the paper's models.
_ASPECT = 100
#: Bytes in bf16 kept for the backward pass per token, layer and unit of width: 21 for norms and
#: attention, 8 for each of the 2.7 to 5.8 units a width of the feed-forward layer; in eager mode.
_ACTIVATION = 42
#: What is kept instead where activations are recomputed: each layer's input.
_CHECKPOINT = 2

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
    at a time (continuous batching without FlashAttention-3: 1.4k at 7B); in inverse proportion."""
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


def width(parameters: int) -> float:
    """Width of the residual stream of a usual transformer: P = 12 L h^2 with h = 100 L."""
    return float((_ASPECT * parameters / 12) ** (1 / 3))


def trained(settings: SftPlan, parameters: int) -> float:
    """Number of weights that are trained: all, or about r P^(2/3) of an adapter on all linears."""
    if settings.lora is None:
        return float(parameters)
    return float(min(parameters, settings.lora.rank * parameters ** (2 / 3)))


def states_gb(settings: SftPlan, parameters: int, processes: int) -> tuple[float, float]:
    """GB of weights, gradients and optimiser states: on each GPU, and on the host over all.

    Without DeepSpeed weights stay in fp32, cast under autocast, and several processes keep a second
    copy of the gradients in buckets. ZeRO divides optimiser states, gradients, then weights too.
    """
    stage, learned = settings.zero_stage, trained(settings, parameters)
    half = settings.precision == "bf16"
    if stage is None:
        weights: float = parameters * (6 if half else 4)
        gradients = learned * _GRADIENT * (2 if processes > 1 else 1)
        return (weights + gradients + learned * (_OPTIMISER - 4)) / 1e9, 0.0
    weights = parameters * (2 if half else 4) / (processes if stage == 3 else 1)
    gradients = learned * _GRADIENT / (processes if stage >= 2 else 1)
    optimiser = learned * _OPTIMISER / (processes if stage >= 1 else 1)
    on_gpu = {"none": weights + gradients + optimiser, "optimizer": weights, "all": 0.0}
    gpu = on_gpu[settings.offload]
    return gpu / 1e9, (on_gpu["none"] - gpu) * processes / 1e9


def activations_gb(settings: SftPlan, parameters: int, processes: int) -> float:
    """GB of activations on each GPU, for a micro-batch in which every row is as long as may be."""
    rows = ceil(settings.batch_size / (settings.gradient_accumulation * processes))
    across = width(parameters)
    layers = max(1.0, across / _ASPECT)
    a_token = _ACTIVATION * across * layers
    if settings.gradient_checkpointing:
        a_token = _CHECKPOINT * across * layers + _ACTIVATION * across
    return rows * settings.max_length * a_token * (1 if settings.precision == "bf16" else 2) / 1e9


def gpu_gb(settings: SftPlan, parameters: int, processes: int) -> float:
    """GB that a training run takes of each of its GPUs at most."""
    states, _ = states_gb(settings, parameters, processes)
    return states + activations_gb(settings, parameters, processes) + _OVERHEAD_GB


def fits(settings: SftPlan, parameters: int, processes: int, hardware: Hardware) -> bool:
    """Whether a run's GPUs hold it."""
    return gpu_gb(settings, parameters, processes) <= _USABLE * hardware.gpu_memory_gb


def choices(settings: SftPlan, hardware: Hardware) -> list[int]:
    """Numbers of processes that divide the batch, as many on each node, ascending."""
    rows, nodes = settings.batch_size // settings.gradient_accumulation, settings.nodes
    each = range(1, hardware.gpus_per_node + 1)
    return [nodes * n for n in each if rows % (nodes * n) == 0]


def fewest_processes(settings: SftPlan, parameters: int, hardware: Hardware) -> int:
    """What `processes: auto` stands for: the fewest GPUs of the nodes that hold the run.

    As many as the nodes have where none do (`misfit` then tells the user); on CPU one a node.
    """
    possible = choices(settings, hardware) or [settings.nodes]
    if hardware.device == "cpu":
        return possible[0]
    return next((n for n in possible if fits(settings, parameters, n, hardware)), possible[-1])


def misfit(settings: SftPlan, parameters: int, processes: int, hardware: Hardware) -> str | None:
    """One sentence on a run that its GPUs may not hold, with ways out; None where they do."""
    if hardware.device == "cpu" or fits(settings, parameters, processes, hardware):
        return None
    more = [number for number in choices(settings, hardware) if number > processes]
    enough = [number for number in more if fits(settings, parameters, number, hardware)]
    ways = [f"processes: {number}" for number in enough[:1]]
    for name, value in (("zero_stage", 3), ("gradient_checkpointing", True)):
        other = settings.model_copy(update={name: value})
        if fits(other, parameters, processes, hardware):
            ways.append(f"{name}: {str(value).lower()}")
    way = " or ".join(ways) or "a larger gradient_accumulation, zero_stage 3 or offload"
    whole = gpu_gb(settings, parameters, processes)
    states, _ = states_gb(settings, parameters, processes)
    return (
        f"processes: {processes} GPU{'s' if processes > 1 else ''} of {hardware.gpu_memory_gb:g} "
        f"GB may not hold a run that takes {whole:.0f} GB of each ({states:.0f} GB of states, the "
        f"rest activations of rows of {settings.max_length} tokens); try {way}"
    )
