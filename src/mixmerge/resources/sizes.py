"""How much there is to do: weights of models, rows of training sets, items of suites.

What is there already says so itself, in its manifest; before, the configuration's own limits and
sizes count, and for the rest a documented guess.
"""

import json
from functools import cache
from pathlib import Path
from typing import Any

from mixmerge.config.models import parameters_of
from mixmerge.data.settings import EmbeddedSource, HubSource
from mixmerge.evaluate.settings import CodeSuite, SummarySuite
from mixmerge.study.graph import Graph

#: Weights of a model that neither entry nor checkpoint tells of.
_PARAMETERS = 1_500_000_000

#: Rows of a source before it is fetched: of the hub (KodCode has 268,000, CodeXGLUE's Python and
#: Java 417,000), and of packages or a file.
_HUB_ROWS, _ROWS = 250_000, 20_000

#: Rows of a source that a suite judges on (CodeXGLUE's test split has 25,873).
_HUB_ITEMS, _ITEMS = 25_000, 2_000

#: Problems of the suites known by name.
_PROBLEMS = {"humaneval": 164, "mbpp": 378, "human-eval": 164}

#: Tokens of a training row, prompt and answer, before it is there.
_ROW_TOKENS, _EMBEDDED_TOKENS = 500, 90

#: Of a row's line, bytes that are not text, and characters a token.
_FRAME, _CHARACTERS = 200, 3.5

#: Tokens of a completion where its suite allows as many: programs, summaries.
_PROGRAM, _SUMMARY = 300, 80


class Sizes:
    """Sizes of a study's parts; each manifest is read once."""

    def __init__(self, study: Graph) -> None:
        self.study = study
        self.config = study.config
        self.manifest = cache(self._manifest)
        self.parameters = cache(self._parameters)
        self.rows = cache(self._rows)
        self.items = cache(self._items)
        self.row_tokens = cache(self._row_tokens)
        self.completion_tokens = cache(self._completion_tokens)

    def _manifest(self, *parts: str) -> dict[str, Any]:
        """A manifest below the study's root; empty where there is none that can be read."""
        try:
            found = json.loads(Path(self.study.manifest(*parts)).read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return {}
        return found if isinstance(found, dict) else {}

    def fact(self, name: str, *parts: str) -> int | None:
        """A whole number among a manifest's facts."""
        value = (self.manifest(*parts).get("facts") or {}).get(name)
        return value if isinstance(value, int) else None

    def _parameters(self, model: str) -> int:
        """Weights of a model: as its base checkpoint says, else its entry."""
        found = self.fact("parameters", "checkpoints", model, "base")
        return found or parameters_of(self.config.models[model]) or _PARAMETERS

    def weights_mb(self, model: str, bytes_a_weight: float) -> float:
        """MB of a checkpoint of the model."""
        return self.parameters(model) * bytes_a_weight / 1e6

    def source_rows(self, source: str, hub: int = _HUB_ROWS, other: int = _ROWS) -> int:
        """Rows of a source."""
        entry = self.config.sources[source]
        found = self.fact("rows", "data", "sources", source)
        if found is not None:
            return found
        if isinstance(entry, EmbeddedSource) and self.config.embedded is not None:
            name = {"train": "train_items", "validation": "validation_items"}
            part = entry.part.split("-")[1]
            found = getattr(self.config.embedded, name.get(part, "test_items"))
        elif isinstance(entry, HubSource):
            found = hub
        else:
            found = other
        return min(found, entry.limit or found)

    def task_rows(self, task: str) -> tuple[int, int]:
        """Training and validation rows of a task's split."""
        train = self.fact("train", "data", "split", task)
        held = self.fact("validation", "data", "split", task)
        if train is not None and held is not None:
            return train, held
        rows = self.fact("rows", "data", "clean", task)
        rows = rows or self.fact("rows", "data", "tasks", task)
        rows = rows or sum(self.source_rows(name) for name in self.config.tasks[task].sources)
        held = round(rows * self.config.data.validation_fraction)
        return rows - held, held

    def _rows(self, training_set: str) -> tuple[int, int]:
        """Training and validation rows of a training set, such as ``codegen-p25``."""
        train = self.fact("train", "data", "sets", training_set)
        held = self.fact("validation", "data", "sets", training_set)
        if train is not None and held is not None:
            return train, held
        task, percent = self.study.training_sets[training_set]
        if task is not None:
            train, held = self.task_rows(task)
            return max(1, train * percent // 100), held
        weights = self.config.mixture.weights or {}
        parts = {name: self.task_rows(name) for name in self.config.tasks}
        train = sum(round(part[0] * weights.get(name, 1)) for name, part in parts.items())
        return max(1, train * percent // 100), sum(part[1] for part in parts.values())

    def whole(self) -> float:
        """Training rows of a task at 100 %, on average over the tasks."""
        return sum(self.task_rows(task)[0] for task in self.config.tasks) / len(self.config.tasks)

    def share(self, training_set: str) -> float:
        """Size of a training set in units of its task's at 100 %; a mixture's of the mean task's.

        The measure of `hardware.sft_hours`.
        """
        task, percent = self.study.training_sets[training_set]
        return percent / 100 if task is not None else self.rows(training_set)[0] / self.whole()

    def _row_tokens(self, training_set: str) -> float:
        """Tokens of a row of a training set, on average."""
        files = self.manifest("data", "sets", training_set).get("files") or {}
        entry = files.get("train.jsonl") or {}
        rows = self.fact("train", "data", "sets", training_set)
        if isinstance(entry.get("bytes"), int) and rows:
            return float(max(16.0, (entry["bytes"] / rows - _FRAME) / _CHARACTERS))
        task, _ = self.study.training_sets[training_set]
        tasks = [task] if task is not None else list(self.config.tasks)
        sources = [name for key in tasks for name in self.config.tasks[key].sources]
        embedded = all(isinstance(self.config.sources[s], EmbeddedSource) for s in sources)
        return _EMBEDDED_TOKENS if embedded else _ROW_TOKENS

    def _items(self, suite: str) -> int:
        """Items of a suite."""
        found = self.fact("items", "suites", suite)
        if found is not None:
            return found
        entry = self.config.suites[suite]
        found = self._unsampled(entry)
        return min(found, *(size or found for size in (entry.sample, entry.limit)))

    def _unsampled(self, entry: CodeSuite | SummarySuite) -> int:
        if isinstance(entry, SummarySuite):
            return self.source_rows(entry.source, _HUB_ITEMS, _ITEMS)
        problems = str(entry.problems)
        if problems.startswith("embedded-") and self.config.embedded is not None:
            part = problems.removeprefix("embedded-")
            return int(getattr(self.config.embedded, f"{part}_items"))
        return _PROBLEMS.get(problems, _ITEMS)

    def has_large_tests(self, suite: str) -> bool:
        """Whether a suite's expected outputs take hundreds of megabytes, as EvalPlus's do."""
        entry = self.config.suites[suite]
        return isinstance(entry, CodeSuite) and entry.problems in ("humaneval", "mbpp")

    def _completion_tokens(self) -> int:
        """Tokens that a checkpoint writes for all suites together."""
        return sum(
            self.items(key)
            * min(suite.max_new_tokens, _PROGRAM if isinstance(suite, CodeSuite) else _SUMMARY)
            for key, suite in self.config.suites.items()
        )

    def code_items(self) -> int:
        """Completions of a checkpoint that are judged by running them."""
        return sum(self.items(suite) for suite in self.study.code_suites())

    def summary_items(self) -> int:
        """Completions of a checkpoint that are compared with a text."""
        return sum(self.items(suite) for suite in self.config.suites) - self.code_items()
