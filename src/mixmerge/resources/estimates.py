"""What a job of each rule takes at the speeds that the configuration assumes.

docs/resources.md derives the formulas. Seconds are those of a slow core, or of the machine that
`hardware` describes.
"""

from collections.abc import Callable
from math import ceil
from typing import NamedTuple

from mixmerge.config.hardware import activations_gb, states_gb, trained, width
from mixmerge.config.study import EmbeddedBase, GgufModel
from mixmerge.data.settings import MIX, CorpusSettings, EmbeddedSource, HubSource
from mixmerge.resources.sizes import Sizes
from mixmerge.sft.settings import Sft
from mixmerge.study.plan import Study

#: MB of a row of source, and of chat messages, as JSON.
_ROW = 0.003
#: Rows a second that are copied.
_COPIED = 40_000
#: Tokens of a completion where its suite allows as many.
_COMPLETION = {"code": 300, "summary": 80}
#: MB of a job that streams rows.
_LEAN = 300
#: MB of an imported torch.
_TORCH = 600
#: The same with transformers' Trainer, TRL and DeepSpeed.
_TRAINER = 1200
#: MB of main memory that a process on a GPU takes besides: CUDA, pinned buffers.
_CUDA = 4000
#: Operations a weight and token of a pass: forward, backward to activations and to weights.
_FORWARD = 2
#: Seconds that a micro-batch takes at least: kernel launches on a GPU, Python on a CPU.
_LEAST = {"gpu": 0.1, "cpu": 0.03}
#: MergeKit method -> seconds for a billion weights of two specialists, on two idle cores; all
#: others sort or draw every weight (ties 231, della 228).
_MERGING = {"linear": 10, "dare_linear": 56, "slerp": 30, "task_arithmetic": 20}
_SORTING = 230
#: Bytes of a weight by the name of its type.
_BYTES = {"bfloat16": 2, "float16": 2, "float32": 4}


class Assumed(NamedTuple):
    """A job at the speeds the configuration assumes, before anything was measured."""

    start: float  # seconds before any work: imports, loading the model
    work: float  # seconds of work, in proportion to what there is to do
    memory: float  # MB of main memory at most, imports included
    disk: float = 1.0  # MB that the job writes, scratch included
    kept: float | None = None  # MB of them that stay when it is over; None: all
    by_user: bool = False  # the user named its time (`hardware.sft_hours`): it is not doubted


class Estimates(Sizes):
    """A formula for each rule: a function of its wildcards, as its benchmark's path has them."""

    def __init__(self, study: Study) -> None:
        super().__init__(study)
        config, self.hardware = study.config, study.config.hardware
        self._gpu = self.hardware.device == "gpu"
        corpus = config.embedded or CorpusSettings()
        documents = corpus.pretrain_items + 2 * corpus.train_items
        checkpoints = len(study.checkpoints())
        reading = Assumed(2, checkpoints * 0.05, 300, 5)
        self.rules: dict[str, Callable[..., Assumed]] = {
            "corpus": lambda: Assumed(3, documents / 1500, _LEAN, documents * 0.001),
            "fetch": self._fetch,
            "prepare": lambda task: self._pass(task, 5_000),
            "decontaminate": lambda task: self._pass(task, 2_000, 1500),
            "split": lambda task: self._pass(task, _COPIED),
            "subset": lambda task, percent: self._pass(task, _COPIED)._replace(
                kept=sum(self.set_rows(f"{task}-p{percent}")) * _ROW
            ),
            "mix": self._mix,
            "statistics": lambda: Assumed(
                3, 3 * sum(sum(self.task_rows(task)) for task in config.tasks) / _COPIED, 400
            ),
            "hold_out": lambda suite: self.rules["suite"](suite)._replace(start=10),
            "suite": lambda suite: Assumed(
                5, self.items(suite) / 5_000, 500, self.items(suite) * _ROW + 50
            ),
            "ground_truth": self._ground_truth,
            "nltk_data": lambda: Assumed(10, 100 / self.hardware.network_mb_s, 500, 100),
            "pretrain": self._pretrain,
            "snapshot": self._snapshot,
            "dequantise": self._dequantise,
            "sft": self._sft,
            "recipe": lambda model, variant: Assumed(1, 0, 100),
            "merge": self._merge,
            "winner": lambda model, strategy: self._merge(model, study.merges(model, strategy)[0]),
            "layers": lambda model, variant: self._compared(model, 2),
            "merged_layers": self._merged_layers,
            "updates": lambda model: self._compared(model, 1 + len(config.tasks)),
            "generate": lambda model, variant: self._generate(model),
            "score": lambda model, variant: self._score(),
            "uncertainty": self._uncertainty,
            "figures": lambda: Assumed(10, checkpoints * 0.1, 500, 20),
            **dict.fromkeys(("tables", "verdict", "timing"), lambda: reading),
        }

    def _fetch(self, source: str) -> Assumed:
        entry, rows = self.config.sources[source], self.source_rows(source)
        size = rows * _ROW
        if isinstance(entry, EmbeddedSource):
            return Assumed(2, rows / _COPIED, _LEAN, size)
        network = size / self.hardware.network_mb_s if isinstance(entry, HubSource) else 0
        return Assumed(30, network + rows / 1000, 1000, 3 * size, size)

    def _pass(self, task: str, rate: float, memory: float = _LEAN) -> Assumed:
        """A pass over a task's rows; hashes and ids of all of them are in memory at once."""
        rows = sum(self.task_rows(task))
        return Assumed(3, rows / rate, memory + rows * 0.0003, 2 * rows * _ROW, rows * _ROW)

    def _mix(self, percent: str) -> Assumed:
        """All rows, sorted by hash on disk."""
        rows = self.set_rows(f"{MIX}-p{percent}")[0]
        return Assumed(3, 2 * rows / _COPIED, 400, 3 * rows * _ROW, rows * _ROW)

    def _ground_truth(self, suite: str) -> Assumed:
        """Reference solutions run twice; EvalPlus's largest expected output takes 0.8 GB."""
        items, workers = self.items(suite), self.config.code_scoring.workers
        seconds, memory, disk = (0.8, 2500, 1500) if self.has_large_tests(suite) else (0.1, 300, 10)
        return Assumed(10, items * seconds / workers, 1500 + memory * workers, disk)

    def _pretrain(self, model: str) -> Assumed:
        entry, parameters = self.config.models[model], self.parameters(model)
        assert isinstance(entry, EmbeddedBase)
        # So small a model keeps no GPU busy: the CPU's rate is the bound there too.
        flops = 3 * _FORWARD * parameters * entry.model.batch_tokens
        step = max(flops / (self.hardware.cpu_gflops * 1e9), _LEAST[self.hardware.device])
        memory = _TORCH + 20 * parameters / 1e6 + 300 + (_CUDA if self._gpu else 0)
        return Assumed(15, entry.model.steps * step, memory, self.weights_mb(model, 4) + 1)

    def _snapshot(self, model: str) -> Assumed:
        size = self.weights_mb(model, 2) + 20
        seconds = size / self.hardware.network_mb_s + 3 * size / self.hardware.disk_mb_s
        return Assumed(20, seconds, _TORCH + 1000, 2 * size, size)

    def _dequantise(self, model: str) -> Assumed:
        entry = self.config.models[model]
        assert isinstance(entry, GgufModel)
        size = self.weights_mb(model, _BYTES.get(entry.dtype, 2))
        seconds = size / self.hardware.network_mb_s + size / 20
        return Assumed(30, seconds, _TRAINER + self.weights_mb(model, 8), 2.5 * size, size)

    def _sft(self, model: str, variant: str) -> Assumed:
        """By the user's hours of a specialist's run on all rows, else by the operations."""
        sft, training_set = self.study.sft(model, variant), self.study.training_set(model, variant)
        parameters, processes = self.parameters(model), sft.processes
        states, host = states_gb(sft, parameters, processes)
        if not self._gpu:
            host += (states + activations_gb(sft, parameters, processes)) * processes
        loading = self.weights_mb(model, 4) if sft.zero_stage != 3 else 0
        a_process = _TRAINER + (_CUDA + loading if self._gpu else 0)
        # Each node's, which is what clusters count.
        memory = (a_process * processes + host * 1000) / sft.nodes
        weight = 2 if sft.precision == "bf16" else 4
        final = self.weights_mb(model, weight)
        # The last checkpoint, the next one beside it, the best one's weights, the published ones.
        disk = 2 * trained(sft, parameters) * (weight + 12) / 1e6 + 2 * final + 1
        hours = (self.hardware.sft_hours or {}).get(self.config.models[model].size)
        if hours is None or not self._gpu:
            # On an idle machine imports, tokenising and loading take 40 s.
            start = 40 + self.weights_mb(model, 2) / self.hardware.disk_mb_s
            work = self._training_seconds(sft, parameters, training_set)
            return Assumed(start, work, memory, disk, final + 1)
        task, percent = self.study.training_sets[training_set]
        share = percent / 100
        if task is None:  # of the mean task's rows
            rows = sum(self.task_rows(key)[0] for key in self.config.tasks)
            share = self.set_rows(training_set)[0] / (rows / len(self.config.tasks))
        return Assumed(0.0, 3600 * hours * share, memory, disk, final + 1, by_user=True)

    def _training_seconds(self, sft: Sft, parameters: int, training_set: str) -> float:
        """Seconds of a run's steps and of measuring its validation loss."""
        rows, held = self.set_rows(training_set)
        tokens = min(self.row_tokens(training_set), sft.max_length)
        # A padded micro-batch of several rows is longer than its tokens; a packed row is full.
        a_row = round(tokens * (1.6 if sft.micro_batch > 1 else 1))
        if sft.packing:
            a_row, rows = sft.max_length, ceil(rows * tokens * 1.05 / sft.max_length)
        steps = ceil(rows * sft.epochs / sft.batch_size)
        steps = min(steps, sft.max_steps or steps)
        passes = 3 - (sft.lora is not None) + sft.gradient_checkpointing
        if self._gpu:
            rate = self.hardware.training_tflops * 1e12 * sft.processes
        else:
            rate = self.hardware.cpu_gflops * 1e9 * sft.processes * sft.threads
        step = passes * _FORWARD * parameters * sft.batch_size * a_row / rate
        least = sft.gradient_accumulation * _LEAST[self.hardware.device]
        measured = sft.evaluations * held * tokens * _FORWARD * parameters / rate
        return steps * max(step, least) + measured

    def _merge(self, model: str, variant: str) -> Assumed:
        """A merged checkpoint, written shard by shard."""
        method = self.config.strategies[self.study.strategy(model, variant)].method
        count, parameters = len(self.study.merged(model, variant)), self.parameters(model)
        pairs = max(2, count) / 2
        size = self.weights_mb(model, _BYTES[self.config.merging.dtype])
        per_billion = _MERGING.get(method, _SORTING)
        seconds = per_billion * parameters / 1e9 * pairs / self.hardware.merging_speed
        seconds += (count + 2) * size / self.hardware.disk_mb_s
        # Of each element of the largest tensor: specialists, deltas, masks and order, in fp32.
        memory = _TORCH + _largest(parameters) * 24 * pairs / 1e6
        return Assumed(15, seconds, memory + 2 * self.config.merging.shard_bytes / 1e6, size + 20)

    def _compared(self, model: str, count: int) -> Assumed:
        """Checkpoints read and compared, tensor by tensor."""
        parameters = self.parameters(model)
        seconds = 5 * count * (parameters / 1e9) / self.hardware.merging_speed
        seconds += count * self.weights_mb(model, 2) / self.hardware.disk_mb_s
        return Assumed(2, seconds, 300 + _largest(parameters) * 8 * count / 1e6)

    def _merged_layers(self, model: str, variant: str) -> Assumed:
        """With the memory of a merge: weights that are gone are merged again."""
        once, again = self._compared(model, 2), self._merge(model, variant)
        return once._replace(memory=max(once.memory, again.memory), disk=again.disk + 1, kept=1)

    def _generate(self, model: str) -> Assumed:
        """All suites of a checkpoint in one load of the model."""
        parameters = self.parameters(model)
        if self._gpu:
            # However small the model, each step is Python and kernel launches.
            rate = min(30_000, self.hardware.decoding_tokens_s * 1e9 / parameters)
            start, weights, more = 60, self.weights_mb(model, 2), _CUDA
        else:
            # Decoding is bound by memory: it reaches a fifth of the training rate.
            flops = self.hardware.cpu_gflops * 1e9 * self.config.decoding.threads
            rate = 0.2 * flops / (2 * parameters)
            start, weights, more = 10, self.weights_mb(model, 4), 500
        suites = self.config.suites.items()
        lengths = {key: min(s.max_new_tokens, _COMPLETION[s.kind]) for key, s in suites}
        tokens = sum(self.items(key) * length for key, length in lengths.items())
        load, memory = weights / self.hardware.disk_mb_s, _TORCH + weights * 1.2 + more
        return Assumed(start + load, tokens / rate, memory, 20 + tokens * 8 / 1e6)

    def _score(self) -> Assumed:
        """Programs run against tests, three a second and worker; 200 summaries compared."""
        workers = self.config.code_scoring.workers
        programs, texts = self.judged_items()
        large = any(map(self.has_large_tests, self.study.code_suites()))
        seconds = programs / 3 / workers + texts / 200 / workers
        memory = 500 + (1000 if large else 250) * workers
        return Assumed(10, seconds, memory, 5 + (programs + texts) / 500)

    def _uncertainty(self, model: str) -> Assumed:
        """Resampled scores of all checkpoints of a model."""
        cells = len(self.study.variants[model]) * sum(self.judged_items())
        return Assumed(3, cells / 5000, 400 + cells * 300 / 1e6, 5)


def _largest(parameters: int) -> float:
    """Elements of a model's largest tensor at most: its embedding, of 152,000 tokens."""
    return min(parameters, 152_000 * width(parameters))
