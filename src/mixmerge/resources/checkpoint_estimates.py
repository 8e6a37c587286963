"""What jobs that make or compare checkpoints take, at the speeds the configuration assumes.

docs/resources.md derives the formulas.
"""

from dataclasses import dataclass, replace
from math import ceil

from mixmerge.config.hardware import activations_gb, states_gb, trained, width
from mixmerge.config.models import EmbeddedBase, GgufModel
from mixmerge.data.settings import MIX
from mixmerge.resources.sizes import Sizes
from mixmerge.sft.settings import Sft

#: MB of an imported torch, and of one with transformers' Trainer, TRL and DeepSpeed.
TORCH, _TRAINER = 600, 1200

#: MB of main memory that a training process on a GPU takes besides: CUDA and pinned buffers.
_CUDA = 4000

#: Seconds until the first training step on an idle machine: imports, tokenising, loading.
_START = 40

#: Operations a weight and token: forward, backward to the activations, to the weights; forward
#: again where activations are recomputed.
_FORWARD = 2

#: A padded micro-batch of several rows is this much longer than its tokens; a packed row is full.
_PADDING, _PACKED = 1.6, 1.05

#: Seconds that a micro-batch takes at least: kernel launches on a GPU, Python on a CPU.
_LEAST = {"gpu": 0.1, "cpu": 0.03}

#: MergeKit method -> seconds for a billion weights of two specialists, on two idle cores.
_MERGING = {"linear": 10, "dare_linear": 56, "slerp": 30, "task_arithmetic": 20}

#: The same for all others, which sort or draw every weight (ties 231, della 228).
_SORTING = 230

#: Tokens of the largest vocabularies: with the width they bound the largest tensor.
_VOCABULARY = 152_000

#: Bytes of each element of the largest tensor: specialists, deltas, masks and order, in fp32.
_ELEMENT = 24

#: Bytes of a weight by the name of its type.
_BYTES = {"bfloat16": 2, "float16": 2, "float32": 4}


@dataclass(frozen=True)
class Assumed:
    """A job at the speeds the configuration assumes, before anything was measured.

    Attributes:
        start: seconds before any work: imports, loading the model.
        work: seconds of work, in proportion to what there is to do.
        memory: MB of main memory at most, imports included.
        disk: MB that the job writes, scratch included.
        kept: MB of them that stay when it is over; None: all.
        gpu: GPUs it works on.
        by_user: whether the user named its time (`hardware.sft_hours`), so that it is not doubted
            as an assumption is.
    """

    start: float
    work: float
    memory: float
    disk: float = 1.0
    kept: float | None = None
    gpu: int = 0
    by_user: bool = False

    @property
    def seconds(self) -> float:
        """Start and work together."""
        return self.start + self.work


class CheckpointEstimates:
    """One method for each rule of training, merging and weights; its arguments are wildcards."""

    def __init__(self, sizes: Sizes) -> None:
        self.sizes = sizes
        self.config = sizes.config
        self.hardware = sizes.config.hardware
        self.gpu = self.hardware.device == "gpu"

    def pretrain(self, model: str) -> Assumed:
        """An embedded base model, trained from nothing."""
        entry = self.config.models[model]
        assert isinstance(entry, EmbeddedBase)
        parameters = self.sizes.parameters(model)
        # So small a model keeps no GPU busy: the CPU's rate is the bound there too.
        step = (
            3 * _FORWARD * parameters * entry.model.batch_tokens / (self.hardware.cpu_gflops * 1e9)
        )
        seconds = entry.model.steps * max(step, _LEAST[self.hardware.device])
        memory = TORCH + 20 * parameters / 1e6 + 300 + (_CUDA if self.gpu else 0)
        size = self.sizes.weights_mb(model, 4)
        return Assumed(15, seconds, memory, size + 1, gpu=int(self.gpu))

    def snapshot(self, model: str) -> Assumed:
        """A checkpoint fetched, checked and copied."""
        size = self.sizes.weights_mb(model, 2) + 20
        seconds = size / self.hardware.network_mb_s + 3 * size / self.hardware.disk_mb_s
        return Assumed(20, seconds, TORCH + 1000, 2 * size, size)

    def dequantise(self, model: str) -> Assumed:
        """A GGUF file read and written as an ordinary checkpoint."""
        entry = self.config.models[model]
        assert isinstance(entry, GgufModel)
        size = self.sizes.weights_mb(model, 4 if entry.dtype == "float32" else 2)
        seconds = size / self.hardware.network_mb_s + size / 20
        memory = _TRAINER + self.sizes.weights_mb(model, 8)
        return Assumed(30, seconds, memory, 2.5 * size, size)

    def sft(self, model: str, variant: str) -> Assumed:
        """One fine-tuning run: a specialist, or the mixture."""
        sizes, node = self.sizes, self.sizes.study.variants[model][variant]
        settings = self.config.sft_settings(model, node.task or MIX)
        training_set = sizes.study.training_set(node)
        parameters, processes = sizes.parameters(model), settings.processes
        states, host = states_gb(settings, parameters, processes)
        if not self.gpu:
            host += (states + activations_gb(settings, parameters, processes)) * processes
        loading = sizes.weights_mb(model, 4) if settings.zero_stage != 3 else 0
        a_process = _TRAINER + (_CUDA + loading if self.gpu else 0)
        # Each node's, which is what clusters count.
        memory = (a_process * processes + host * 1000) / settings.nodes
        hours = (self.hardware.sft_hours or {}).get(self.config.models[model].size)
        by_user = hours is not None and self.gpu
        if hours is not None and self.gpu:
            start, work = 0.0, 3600 * hours * sizes.share(training_set)
        else:
            start = _START + sizes.weights_mb(model, 2) / self.hardware.disk_mb_s
            work = self._training_seconds(settings, parameters, training_set)
        weight = 2 if settings.precision == "bf16" else 4
        final = sizes.weights_mb(model, weight)
        whole = trained(settings, parameters) * (weight + 12) / 1e6
        # The last checkpoint, the next one beside it, the best one's weights, the published ones.
        disk = 2 * whole + 2 * final + 1
        gpu = processes if self.gpu else 0
        return Assumed(start, work, memory, disk, final + 1, gpu, by_user)

    def _training_seconds(self, settings: Sft, parameters: int, training_set: str) -> float:
        """Seconds of a run's steps and of measuring its validation loss."""
        train, held = self.sizes.rows(training_set)
        tokens = min(self.sizes.row_tokens(training_set), settings.max_length)
        if settings.packing:
            a_row = settings.max_length
            rows = ceil(train * tokens * _PACKED / a_row)
        else:
            a_row = round(tokens * (_PADDING if settings.micro_batch > 1 else 1))
            rows = train
        steps = ceil(rows * settings.epochs / settings.batch_size)
        steps = min(steps, settings.max_steps or steps)
        passes = 3 - (settings.lora is not None) + settings.gradient_checkpointing
        a_token = passes * _FORWARD * parameters
        if self.gpu:
            rate = self.hardware.training_tflops * 1e12 * settings.processes
        else:
            rate = self.hardware.cpu_gflops * 1e9 * settings.processes * settings.threads
        step = a_token * settings.batch_size * a_row / rate
        least = settings.gradient_accumulation * _LEAST[self.hardware.device]
        measured = settings.evaluations * held * tokens * _FORWARD * parameters / rate
        return steps * max(step, least) + measured

    def recipe(self, model: str, variant: str) -> Assumed:
        """A file of a few lines."""
        del model, variant
        return Assumed(1, 0, 100)

    def merge(self, model: str, variant: str) -> Assumed:
        """A merged checkpoint, written shard by shard."""
        strategy = self.sizes.study.variants[model][variant].strategy
        assert strategy is not None
        method = self.config.strategies[strategy].method
        count = len(self.sizes.study.merged(model, variant))
        parameters = self.sizes.parameters(model)
        size = self.sizes.weights_mb(model, _BYTES[self.config.merging.dtype])
        seconds = _MERGING.get(method, _SORTING) * parameters / 1e9 * max(2, count) / 2
        seconds = seconds / self.hardware.merging_speed
        seconds += (count + 2) * size / self.hardware.disk_mb_s
        memory = TORCH + _largest(parameters) * _ELEMENT * max(2, count) / 2 / 1e6
        return Assumed(15, seconds, memory + 2 * self.config.merging.shard_bytes / 1e6, size + 20)

    def layers(self, model: str, variant: str) -> Assumed:
        """Two checkpoints read and compared, tensor by tensor."""
        del variant
        return self._compared(model, 2)

    def merged_layers(self, model: str, variant: str) -> Assumed:
        """As `layers`, with the memory of a merge: weights that are gone are merged again."""
        once, again = self.layers(model, variant), self.merge(model, variant)
        return replace(once, memory=max(once.memory, again.memory), disk=again.disk + 1, kept=1)

    def winner(self, model: str, strategy: str) -> Assumed:
        """One merge of a strategy, made again; which ratio's makes no difference."""
        variants = self.sizes.study.variants[model].values()
        name = next(v.name for v in variants if v.kind == "merge" and v.strategy == strategy)
        return self.merge(model, name)

    def updates(self, model: str) -> Assumed:
        """All specialists and their base, read and compared."""
        return self._compared(model, 1 + len(self.config.tasks))

    def _compared(self, model: str, count: int) -> Assumed:
        parameters = self.sizes.parameters(model)
        seconds = 5 * count * (parameters / 1e9) / self.hardware.merging_speed
        seconds += count * self.sizes.weights_mb(model, 2) / self.hardware.disk_mb_s
        return Assumed(2, seconds, 300 + _largest(parameters) * 8 * count / 1e6)


def _largest(parameters: int) -> float:
    """Elements of a model's largest tensor at most: its embedding table."""
    return min(parameters, _VOCABULARY * width(parameters))
