"""What base checkpoints and fine-tuning take. docs/resources.md derives the formulas."""

from collections.abc import Mapping
from math import ceil

from mixmerge.config.models import EmbeddedBase, GgufModel
from mixmerge.data.settings import MIX
from mixmerge.resources.estimate import Assumed
from mixmerge.resources.memory import activations_gb, states_gb, trained
from mixmerge.resources.sizes import Sizes
from mixmerge.sft.settings import Sft

#: MB of an imported torch, and of one with transformers' Trainer, TRL and DeepSpeed.
TORCH, _TRAINER = 600, 1200

#: Seconds until the first step on an idle machine: imports, tokenising, loading.
_START = 40

#: Operations a weight and token: forward, backward to the activations, to the weights; forward
#: again where activations are recomputed.
_FORWARD = 2

#: A padded micro-batch of several rows is this much longer than its tokens; a packed row is full.
_PADDING, _PACKED = 1.6, 1.05

#: Seconds that a micro-batch takes at least: kernel launches on a GPU, Python on a CPU.
_LEAST = {"gpu": 0.1, "cpu": 0.03}

#: MB of main memory that a training process on a GPU takes besides: CUDA and pinned buffers.
_PROCESS = 4000


def pretrain(sizes: Sizes, wildcards: Mapping[str, str]) -> Assumed:
    """A small model from nothing."""
    entry = sizes.config.models[wildcards["model"]]
    assert isinstance(entry, EmbeddedBase)
    hardware, model = sizes.config.hardware, entry.model
    parameters = sizes.parameters(wildcards["model"])
    # So small a model keeps no GPU busy: the CPU's rate is the bound there too.
    seconds = model.steps * max(
        3 * _FORWARD * parameters * model.batch_tokens / (hardware.cpu_gflops * 1e9),
        _LEAST[hardware.device],
    )
    memory = TORCH + 20 * parameters / 1e6 + 300 + _accelerator(sizes)
    size = sizes.weights_mb(wildcards["model"], 4)
    return Assumed(15, seconds, memory, size + 1, gpu=int(hardware.device == "gpu"))


def snapshot(sizes: Sizes, wildcards: Mapping[str, str]) -> Assumed:
    """A checkpoint fetched, checked and copied."""
    size = sizes.weights_mb(wildcards["model"], 2) + 20
    hardware = sizes.config.hardware
    seconds = size / hardware.network_mb_s + 3 * size / hardware.disk_mb_s
    return Assumed(20, seconds, TORCH + 1000, 2 * size, size)


def dequantise(sizes: Sizes, wildcards: Mapping[str, str]) -> Assumed:
    """A GGUF file read and written as an ordinary checkpoint."""
    entry = sizes.config.models[wildcards["model"]]
    assert isinstance(entry, GgufModel)
    size = sizes.weights_mb(wildcards["model"], 4 if entry.dtype == "float32" else 2)
    hardware = sizes.config.hardware
    seconds = size / hardware.network_mb_s + size / 20
    memory = _TRAINER + sizes.weights_mb(wildcards["model"], 8)
    return Assumed(30, seconds, memory, 2.5 * size, size)


def sft(sizes: Sizes, wildcards: Mapping[str, str]) -> Assumed:
    """One fine-tuning run: a specialist, or the mixture."""
    model = wildcards["model"]
    node = sizes.study.variants[model][wildcards["variant"]]
    settings = sizes.config.sft_settings(model, node.task or MIX)
    training_set = sizes.study.training_set(node)
    hardware = sizes.config.hardware
    gpu = hardware.device == "gpu"
    parameters = sizes.parameters(model)
    states, host = states_gb(settings, parameters, settings.processes)
    if not gpu:
        activations = activations_gb(settings, parameters, settings.processes)
        host += (states + activations) * settings.processes
    loading = sizes.weights_mb(model, 4) if settings.zero_stage != 3 else 0
    a_process = _TRAINER + (_PROCESS + loading if gpu else 0)
    # Each node's, which is what clusters count.
    memory = (a_process * settings.processes + host * 1000) / settings.nodes
    hours = (hardware.sft_hours or {}).get(sizes.config.models[model].size)
    if hours is not None and gpu:
        start, work = 0.0, 3600 * hours * sizes.share(training_set)
    else:
        load = sizes.weights_mb(model, 2) / hardware.disk_mb_s
        start, work = _START + load, _seconds(sizes, settings, parameters, training_set)
    weight = 2 if settings.precision == "bf16" else 4
    final = sizes.weights_mb(model, weight)
    whole = trained(settings, parameters) * (weight + 12) / 1e6
    # The last checkpoint, the next one beside it, the best one's weights, and the published ones.
    disk = 2 * whole + 2 * final + 1
    return Assumed(
        start,
        work,
        memory,
        disk,
        final + 1,
        gpu=settings.processes if gpu else 0,
        given=hours is not None and gpu,
    )


def _seconds(sizes: Sizes, settings: Sft, parameters: int, training_set: str) -> float:
    """Seconds of a run's steps and of measuring its validation loss."""
    hardware = sizes.config.hardware
    train, held = sizes.rows(training_set)
    tokens = min(sizes.row_tokens(training_set), settings.max_length)
    if settings.packing:
        a_row = settings.max_length
        rows = ceil(train * tokens * _PACKED / a_row)
    else:
        a_row = round(tokens * (_PADDING if settings.micro_batch > 1 else 1))
        rows = train
    steps = ceil(rows * settings.epochs / settings.batch_size)
    steps = min(steps, settings.max_steps or steps)
    a_token = 3 * _FORWARD * parameters
    if settings.lora is not None:
        a_token -= _FORWARD * parameters
    if settings.gradient_checkpointing:
        a_token += _FORWARD * parameters
    if hardware.device == "gpu":
        rate = hardware.training_tflops * 1e12 * settings.processes
    else:
        rate = hardware.cpu_gflops * 1e9 * settings.processes * settings.threads
    step = a_token * settings.batch_size * a_row / rate
    least = settings.gradient_accumulation * _LEAST[hardware.device]
    measured = settings.evaluations * held * tokens * _FORWARD * parameters / rate
    return steps * max(step, least) + measured


def _accelerator(sizes: Sizes) -> float:
    return _PROCESS if sizes.config.hardware.device == "gpu" else 0
