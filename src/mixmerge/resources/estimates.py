"""What a job of each rule takes at the speeds that the configuration assumes.

docs/resources.md derives the formulas. Seconds are those of a slow core, or of the machine that
`hardware` describes; megabytes are those of main memory and disk.
"""

from dataclasses import replace
from inspect import signature

from mixmerge.data.settings import MIX, EmbeddedSource, HubSource
from mixmerge.resources.checkpoint_estimates import TORCH, Assumed, CheckpointEstimates

#: Bytes of a row of source, and of chat messages, as JSON.
_ROW = 3_000

#: Rows a second: written, mapped, compared by n-grams.
_COPIED, _MAPPED, _COMPARED = 40_000, 5_000, 2_000

#: MB of a job that streams rows, of one that holds n-grams of all suites, of one that runs tests.
_LEAN, _NGRAMS, _TESTS = 300, 1500, 1500

#: Share of a CPU's training rate that decoding reaches: it is bound by memory.
_DECODING = 0.2

#: Tokens a second at most, however small the model: each step is Python and kernel launches.
_MOST = 30_000

#: Completions judged in a second by a worker that runs tests; pairs by one that compares texts.
_CHECKS, _PAIRS = 3, 200


class Estimates(CheckpointEstimates):
    """One method for each rule of the study, whose arguments are the rule's wildcards."""

    # --- data

    def corpus(self) -> Assumed:
        """Documents that the grammar makes, about 1,500 a second."""
        settings = self.config.embedded
        assert settings is not None
        documents = settings.pretrain_items + 2 * settings.train_items
        return Assumed(3, documents / 1500, _LEAN, documents * 0.001)

    def fetch(self, source: str) -> Assumed:
        """A data set's download, or the installed packages' functions."""
        entry = self.config.sources[source]
        rows = self.sizes.source_rows(source)
        size = rows * _ROW / 1e6
        if isinstance(entry, EmbeddedSource):
            return Assumed(2, rows / _COPIED, _LEAN, size)
        network = size / self.hardware.network_mb_s if isinstance(entry, HubSource) else 0
        return Assumed(30, network + rows / 1000, 1000, 3 * size, size)

    def prepare(self, task: str) -> Assumed:
        """Templates filled and duplicates dropped."""
        return self._rows(task, _MAPPED, _LEAN)

    def decontaminate(self, task: str) -> Assumed:
        """Rows against the n-grams of every suite."""
        return self._rows(task, _COMPARED, _NGRAMS)

    def split(self, task: str) -> Assumed:
        """A pass over the rows."""
        return self._rows(task, _COPIED, _LEAN)

    def subset(self, task: str, percent: str) -> Assumed:
        """A pass over the rows."""
        rows = sum(self.sizes.rows(f"{task}-p{percent}"))
        return replace(self._rows(task, _COPIED, _LEAN), kept=rows * _ROW / 1e6)

    def mix(self, percent: str) -> Assumed:
        """All rows, sorted by hash on disk."""
        rows = self.sizes.rows(f"{MIX}-p{percent}")[0]
        return Assumed(3, 2 * rows / _COPIED, 400, 3 * rows * _ROW / 1e6, rows * _ROW / 1e6)

    def statistics(self) -> Assumed:
        """A pass over all rows."""
        rows = sum(sum(self.sizes.task_rows(task)) for task in self.config.tasks)
        return Assumed(3, 3 * rows / _COPIED, 400)

    def _rows(self, task: str, rate: float, memory: float) -> Assumed:
        rows = sum(self.sizes.task_rows(task))
        size = rows * _ROW / 1e6
        # Hashes and ids of all rows are in memory at once.
        return Assumed(3, rows / rate, memory + rows * 300 / 1e6, 2 * size, size)

    # --- suites

    def hold_out(self, suite: str) -> Assumed:
        """Texts of a suite's items, fetched from EvalPlus where they are its own."""
        return replace(self.suite(suite), start=10)

    def suite(self, suite: str) -> Assumed:
        """Prompts of a suite's items."""
        items = self.sizes.items(suite)
        return Assumed(5, items / _MAPPED, 500, items * _ROW / 1e6 + 50)

    def ground_truth(self, suite: str) -> Assumed:
        """Reference solutions run twice; EvalPlus's largest expected output takes 0.8 GB."""
        workers = self.config.code_scoring.workers
        large = self.sizes.has_large_tests(suite)
        seconds = self.sizes.items(suite) * (0.8 if large else 0.1) / workers
        memory = _TESTS + (2500 if large else 300) * workers
        return Assumed(10, seconds, memory, 1500 if large else 10)

    def nltk_data(self) -> Assumed:
        """WordNet and a tokenizer, downloaded."""
        return Assumed(10, 100 / self.hardware.network_mb_s, 500, 100)

    # --- evaluation

    def generate(self, model: str, variant: str) -> Assumed:
        """All suites of a checkpoint in one load of the model."""
        del variant
        parameters = self.sizes.parameters(model)
        if self.gpu:
            rate = min(_MOST, self.hardware.decoding_tokens_s * 1e9 / parameters)
        else:
            flops = self.hardware.cpu_gflops * 1e9 * self.config.decoding.threads
            rate = _DECODING * flops / (2 * parameters)
        weights = self.sizes.weights_mb(model, 2 if self.gpu else 4)
        load = (60 if self.gpu else 10) + weights / self.hardware.disk_mb_s
        memory = TORCH + weights * 1.2 + (4000 if self.gpu else 500)
        tokens = self.sizes.completion_tokens()
        return Assumed(load, tokens / rate, memory, 20 + tokens * 8 / 1e6, gpu=int(self.gpu))

    def score(self, model: str, variant: str) -> Assumed:
        """Programs run against tests, summaries against references; on the CPU."""
        del model, variant
        workers = self.config.code_scoring.workers
        programs, texts = self.sizes.code_items(), self.sizes.summary_items()
        seconds = programs / _CHECKS / workers + texts / _PAIRS / workers
        suites = self.sizes.study.code_suites()
        large = any(self.sizes.has_large_tests(suite) for suite in suites)
        memory = 500 + (1000 if large else 250) * workers
        return Assumed(10, seconds, memory, 5 + (programs + texts) / 500)

    # --- report

    def uncertainty(self, model: str) -> Assumed:
        """Resampled scores of all checkpoints of a model."""
        items = self.sizes.code_items() + self.sizes.summary_items()
        cells = len(self.sizes.study.variants[model]) * items
        return Assumed(3, cells / 5000, 400 + cells * 300 / 1e6, 5)

    def figures(self) -> Assumed:
        """Statistics of every layer, drawn."""
        return Assumed(10, len(self.sizes.study.checkpoints()) * 0.1, 500, 20)

    def tables(self) -> Assumed:
        """Every score, read and printed."""
        return Assumed(2, len(self.sizes.study.checkpoints()) * 0.05, 300, 5)

    # Scores, statistics of layers and benchmarks, read and weighed; benchmarks, read.
    verdict = timing = tables


#: Rule -> its wildcards in the order of its benchmark's path.
RULES = {
    name: tuple(signature(getattr(Estimates, name)).parameters)[1:]
    for name in dir(Estimates)
    if not name.startswith("_")
}
