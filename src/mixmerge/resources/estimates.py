"""What a job of each rule takes at the speeds that the configuration assumes.

docs/resources.md derives the formulas. Seconds are those of a slow core, or of the machine that
`hardware` describes; megabytes are those of main memory and disk.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from math import ceil

from mixmerge.config.hardware import activations_gb, states_gb, trained, width
from mixmerge.config.study import EmbeddedBase, GgufModel
from mixmerge.data.settings import MIX, CorpusSettings, EmbeddedSource, HubSource
from mixmerge.resources.sizes import Sizes
from mixmerge.sft.settings import Sft
from mixmerge.study.plan import Study

#: Bytes of a row of source, and of chat messages, as JSON.
_ROW = 3_000

#: Rows a second: written, mapped, compared by n-grams.
_COPIED, _MAPPED, _COMPARED = 40_000, 5_000, 2_000

#: MB of a job that streams rows; of an imported torch, and with transformers' Trainer, TRL and
#: DeepSpeed; of main memory that a process on a GPU takes besides (CUDA, pinned buffers).
_LEAN, _TORCH, _TRAINER, _CUDA = 300, 600, 1200, 4000

#: Seconds until the first training step on an idle machine: imports, tokenising, loading.
_START = 40

#: Operations a weight and token of a pass: forward, backward to activations and to weights.
_FORWARD = 2

#: A padded micro-batch of several rows is this much longer than its tokens; a packed row is full.
#: Seconds that a micro-batch takes at least: kernel launches on a GPU, Python on a CPU.
_PADDING, _PACKED = 1.6, 1.05
_LEAST = {"gpu": 0.1, "cpu": 0.03}

#: MergeKit method -> seconds for a billion weights of two specialists, on two idle cores; all
#: others sort or draw every weight (ties 231, della 228).
_MERGING = {"linear": 10, "dare_linear": 56, "slerp": 30, "task_arithmetic": 20}
_SORTING = 230

#: Tokens of the largest vocabularies: with the width they bound the largest tensor.
_VOCABULARY = 152_000

#: Bytes of each element of the largest tensor (specialists, deltas, masks and order, in fp32), and
#: of a weight by the name of its type.
_ELEMENT = 24
_BYTES = {"bfloat16": 2, "float16": 2, "float32": 4}

#: Share of a CPU's training rate that decoding reaches (it is bound by memory), and tokens a second
#: at most on a GPU, however small the model: each step is Python and kernel launches.
_DECODING, _MOST = 0.2, 30_000

#: Completions judged in a second by a worker that runs tests; pairs by one that compares texts.
_CHECKS, _PAIRS = 3, 200


@dataclass(frozen=True)
class Assumed:
    """A job at the speeds the configuration assumes, before anything was measured.

    Attributes:
        start: seconds before any work: imports, loading the model.
        work: seconds of work, in proportion to what there is to do.
        memory: MB of main memory at most, imports included.
        disk: MB that the job writes, scratch included.
        kept: MB of them that stay when it is over; None: all.
        by_user: whether the user named its time (`hardware.sft_hours`): it is not doubted.
    """

    start: float
    work: float
    memory: float
    disk: float = 1.0
    kept: float | None = None
    by_user: bool = False


class Estimates:
    """A formula for each rule.

    Attributes:
        rules: rule -> function of its wildcards, in the order of its benchmark's path.
    """

    def __init__(self, study: Study) -> None:
        self.study, self.config = study, study.config
        self.sizes = sizes = Sizes(study)
        self.hardware = self.config.hardware
        self.gpu = self.hardware.device == "gpu"
        checkpoints = len(self.study.checkpoints())
        reading = Assumed(2, checkpoints * 0.05, 300, 5)
        self.rules: dict[str, Callable[..., Assumed]] = {
            "corpus": self._corpus,
            "fetch": self._fetch,
            "prepare": lambda task: self._rows(task, _MAPPED, _LEAN),
            "decontaminate": lambda task: self._rows(task, _COMPARED, 1500),
            "split": lambda task: self._rows(task, _COPIED, _LEAN),
            "subset": self._subset,
            "mix": self._mix,
            "statistics": lambda: Assumed(
                3, 3 * sum(sum(sizes.task_rows(t)) for t in self.config.tasks) / _COPIED, 400
            ),
            "hold_out": lambda suite: replace(self._suite(suite), start=10),
            "suite": self._suite,
            "ground_truth": self._ground_truth,
            "nltk_data": lambda: Assumed(10, 100 / self.hardware.network_mb_s, 500, 100),
            "pretrain": self._pretrain,
            "snapshot": self._snapshot,
            "dequantise": self._dequantise,
            "sft": self._sft,
            "recipe": lambda model, variant: Assumed(1, 0, 100),
            "merge": self._merge,
            "winner": lambda model, strategy: self._merge(
                model, self.study.merges(model, strategy)[0]
            ),
            "layers": lambda model, variant: self._compared(model, 2),
            "merged_layers": self._merged_layers,
            "updates": lambda model: self._compared(model, 1 + len(self.config.tasks)),
            "generate": lambda model, variant: self._generate(model),
            "score": lambda model, variant: self._score(),
            "uncertainty": self._uncertainty,
            "figures": lambda: Assumed(10, checkpoints * 0.1, 500, 20),
            **dict.fromkeys(("tables", "verdict", "timing"), lambda: reading),
        }

    def _corpus(self) -> Assumed:
        settings = self.config.embedded or CorpusSettings()
        documents = settings.pretrain_items + 2 * settings.train_items
        return Assumed(3, documents / 1500, _LEAN, documents * 0.001)

    def _fetch(self, source: str) -> Assumed:
        """A data set's download, or the installed packages' functions."""
        entry, rows = self.config.sources[source], self.sizes.source_rows(source)
        size = rows * _ROW / 1e6
        if isinstance(entry, EmbeddedSource):
            return Assumed(2, rows / _COPIED, _LEAN, size)
        network = size / self.hardware.network_mb_s if isinstance(entry, HubSource) else 0
        return Assumed(30, network + rows / 1000, 1000, 3 * size, size)

    def _rows(self, task: str, rate: float, memory: float) -> Assumed:
        """A pass over a task's rows; hashes and ids of all of them are in memory at once."""
        rows = sum(self.sizes.task_rows(task))
        size = rows * _ROW / 1e6
        return Assumed(3, rows / rate, memory + rows * 300 / 1e6, 2 * size, size)

    def _subset(self, task: str, percent: str) -> Assumed:
        rows = sum(self.sizes.rows(f"{task}-p{percent}"))
        return replace(self._rows(task, _COPIED, _LEAN), kept=rows * _ROW / 1e6)

    def _mix(self, percent: str) -> Assumed:
        """All rows, sorted by hash on disk."""
        rows = self.sizes.rows(f"{MIX}-p{percent}")[0]
        return Assumed(3, 2 * rows / _COPIED, 400, 3 * rows * _ROW / 1e6, rows * _ROW / 1e6)

    def _suite(self, suite: str) -> Assumed:
        items = self.sizes.items(suite)
        return Assumed(5, items / _MAPPED, 500, items * _ROW / 1e6 + 50)

    def _ground_truth(self, suite: str) -> Assumed:
        """Reference solutions run twice; EvalPlus's largest expected output takes 0.8 GB."""
        workers = self.config.code_scoring.workers
        large = self.sizes.has_large_tests(suite)
        seconds = self.sizes.items(suite) * (0.8 if large else 0.1) / workers
        memory = 1500 + (2500 if large else 300) * workers
        return Assumed(10, seconds, memory, 1500 if large else 10)

    def _pretrain(self, model: str) -> Assumed:
        entry, parameters = self.config.models[model], self.sizes.parameters(model)
        assert isinstance(entry, EmbeddedBase)
        # So small a model keeps no GPU busy: the CPU's rate is the bound there too.
        flops = 3 * _FORWARD * parameters * entry.model.batch_tokens
        step = max(flops / (self.hardware.cpu_gflops * 1e9), _LEAST[self.hardware.device])
        memory = _TORCH + 20 * parameters / 1e6 + 300 + (_CUDA if self.gpu else 0)
        size = self.sizes.weights_mb(model, 4)
        return Assumed(15, entry.model.steps * step, memory, size + 1)

    def _snapshot(self, model: str) -> Assumed:
        """A checkpoint fetched, checked and copied."""
        size = self.sizes.weights_mb(model, 2) + 20
        seconds = size / self.hardware.network_mb_s + 3 * size / self.hardware.disk_mb_s
        return Assumed(20, seconds, _TORCH + 1000, 2 * size, size)

    def _dequantise(self, model: str) -> Assumed:
        """A GGUF file read and written as an ordinary checkpoint."""
        entry = self.config.models[model]
        assert isinstance(entry, GgufModel)
        size = self.sizes.weights_mb(model, 4 if entry.dtype == "float32" else 2)
        seconds = size / self.hardware.network_mb_s + size / 20
        memory = _TRAINER + self.sizes.weights_mb(model, 8)
        return Assumed(30, seconds, memory, 2.5 * size, size)

    def _sft(self, model: str, variant: str) -> Assumed:
        """One fine-tuning run: a specialist, or the mixture."""
        sizes = self.sizes
        settings = self.study.sft(model, variant)
        training_set = self.study.training_set(model, variant)
        parameters, processes = sizes.parameters(model), settings.processes
        states, host = states_gb(settings, parameters, processes)
        if not self.gpu:
            host += (states + activations_gb(settings, parameters, processes)) * processes
        loading = sizes.weights_mb(model, 4) if settings.zero_stage != 3 else 0
        a_process = _TRAINER + (_CUDA + loading if self.gpu else 0)
        # Each node's, which is what clusters count.
        memory = (a_process * processes + host * 1000) / settings.nodes
        stated_hours = self.hardware.sft_hours if self.gpu else None
        hours = (stated_hours or {}).get(self.config.models[model].size)
        if hours is not None:
            start, work = 0.0, 3600 * hours * sizes.share(training_set)
        else:
            start = _START + sizes.weights_mb(model, 2) / self.hardware.disk_mb_s
            work = self._training_seconds(settings, parameters, training_set)
        weight = 2 if settings.precision == "bf16" else 4
        final = sizes.weights_mb(model, weight)
        whole = trained(settings, parameters) * (weight + 12) / 1e6
        # The last checkpoint, the next one beside it, the best one's weights, the published ones.
        disk = 2 * whole + 2 * final + 1
        return Assumed(start, work, memory, disk, final + 1, hours is not None)

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
        if self.gpu:
            rate = self.hardware.training_tflops * 1e12 * settings.processes
        else:
            rate = self.hardware.cpu_gflops * 1e9 * settings.processes * settings.threads
        step = passes * _FORWARD * parameters * settings.batch_size * a_row / rate
        least = settings.gradient_accumulation * _LEAST[self.hardware.device]
        measured = settings.evaluations * held * tokens * _FORWARD * parameters / rate
        return steps * max(step, least) + measured

    def _merge(self, model: str, variant: str) -> Assumed:
        """A merged checkpoint, written shard by shard."""
        strategy = self.config.strategies[self.study.strategy(model, variant)]
        per_billion = _MERGING.get(strategy.method, _SORTING)
        count = len(self.study.merged(model, variant))
        pairs = max(2, count) / 2
        parameters = self.sizes.parameters(model)
        size = self.sizes.weights_mb(model, _BYTES[self.config.merging.dtype])
        seconds = per_billion * parameters / 1e9 * pairs / self.hardware.merging_speed
        seconds += (count + 2) * size / self.hardware.disk_mb_s
        memory = _TORCH + _largest(parameters) * _ELEMENT * pairs / 1e6
        return Assumed(15, seconds, memory + 2 * self.config.merging.shard_bytes / 1e6, size + 20)

    def _compared(self, model: str, count: int) -> Assumed:
        """Checkpoints read and compared, tensor by tensor."""
        parameters = self.sizes.parameters(model)
        seconds = 5 * count * (parameters / 1e9) / self.hardware.merging_speed
        seconds += count * self.sizes.weights_mb(model, 2) / self.hardware.disk_mb_s
        return Assumed(2, seconds, 300 + _largest(parameters) * 8 * count / 1e6)

    def _merged_layers(self, model: str, variant: str) -> Assumed:
        """With the memory of a merge: weights that are gone are merged again."""
        once, again = self._compared(model, 2), self._merge(model, variant)
        return replace(once, memory=max(once.memory, again.memory), disk=again.disk + 1, kept=1)

    def _generate(self, model: str) -> Assumed:
        """All suites of a checkpoint in one load of the model."""
        parameters = self.sizes.parameters(model)
        if self.gpu:
            rate = min(_MOST, self.hardware.decoding_tokens_s * 1e9 / parameters)
        else:
            flops = self.hardware.cpu_gflops * 1e9 * self.config.decoding.threads
            rate = _DECODING * flops / (2 * parameters)
        weights = self.sizes.weights_mb(model, 2 if self.gpu else 4)
        load = (60 if self.gpu else 10) + weights / self.hardware.disk_mb_s
        memory = _TORCH + weights * 1.2 + (_CUDA if self.gpu else 500)
        tokens = self.sizes.completion_tokens()
        return Assumed(load, tokens / rate, memory, 20 + tokens * 8 / 1e6)

    def _score(self) -> Assumed:
        """Programs run against tests, summaries against references; on the CPU."""
        workers = self.config.code_scoring.workers
        programs, texts = self.sizes.judged_items()
        seconds = programs / _CHECKS / workers + texts / _PAIRS / workers
        large = any(map(self.sizes.has_large_tests, self.study.code_suites()))
        memory = 500 + (1000 if large else 250) * workers
        return Assumed(10, seconds, memory, 5 + (programs + texts) / 500)

    def _uncertainty(self, model: str) -> Assumed:
        """Resampled scores of all checkpoints of a model."""
        cells = len(self.study.variants[model]) * sum(self.sizes.judged_items())
        return Assumed(3, cells / 5000, 400 + cells * 300 / 1e6, 5)


def _largest(parameters: int) -> float:
    """Elements of a model's largest tensor at most: its embedding table."""
    return min(parameters, _VOCABULARY * width(parameters))
