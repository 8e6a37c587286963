"""How much there is to do: weights of models, rows of training sets, items of suites.

What is there already says so in its manifest; before, the configuration's own limits and sizes
count, and for the rest a documented guess.
"""

import json
from functools import cache
from pathlib import Path
from typing import Any

from mixmerge.config.study import parameters_of
from mixmerge.data.settings import EmbeddedSource, HubSource
from mixmerge.evaluate.settings import CodeSuite, SummarySuite
from mixmerge.study.plan import Study

#: Weights of a model that neither entry nor checkpoint tells of.
_PARAMETERS = 1_500_000_000

#: Rows of a source before it is fetched: of the hub (KodCode has 268,000, CodeXGLUE's Python and
#: Java 417,000), and of packages or a file; and where a suite judges on them (CodeXGLUE's test
#: split has 25,873).
_ROWS = {"training": (250_000, 20_000), "suite": (25_000, 2_000)}

#: Problems of the suites known by name, and of a file.
_PROBLEMS, _PROBLEMS_OF_FILE = {"humaneval": 164, "mbpp": 378, "human-eval": 164}, 2_000

#: Tokens of a training row, prompt and answer, before it is there.
_ROW_TOKENS, _EMBEDDED_TOKENS = 500, 90

#: Of a row's line, bytes that are not text, and characters a token.
_FRAME, _CHARACTERS = 200, 3.5

#: Tokens of a completion where its suite allows as many: programs, summaries.
_PROGRAM, _SUMMARY = 300, 80


class Sizes:
    """Sizes of a study's parts; each manifest is read once."""

    def __init__(self, study: Study) -> None:
        self.study, self.config = study, study.config
        self.manifest = cache(self._manifest)

    def _manifest(self, *parts: str) -> dict[str, Any]:
        """A manifest below the study's root; empty where there is none that can be read."""
        try:
            counted = json.loads(Path(self.study.manifest(*parts)).read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return {}
        return counted if isinstance(counted, dict) else {}

    def fact(self, name: str, *parts: str) -> int | None:
        """A whole number among a manifest's facts."""
        value = (self.manifest(*parts).get("facts") or {}).get(name)
        return value if isinstance(value, int) else None

    def parameters(self, model: str) -> int:
        """Weights of a model: as its base checkpoint says, else its entry."""
        counted = self.fact("parameters", "checkpoints", model, "base")
        return counted or parameters_of(self.config.models[model]) or _PARAMETERS

    def weights_mb(self, model: str, bytes_a_weight: float) -> float:
        """MB of a checkpoint of the model."""
        return self.parameters(model) * bytes_a_weight / 1e6

    def source_rows(self, source: str, use: str = "training") -> int:
        """Rows of a source."""
        counted = self.fact("rows", "data", "sources", source)
        if counted is not None:
            return counted
        entry, embedded = self.config.sources[source], self.config.embedded
        if isinstance(entry, EmbeddedSource) and embedded is not None:
            counted = getattr(embedded, f"{entry.part.split('-')[1]}_items")
        else:
            counted = _ROWS[use][not isinstance(entry, HubSource)]
        return min(counted, entry.limit or counted)

    def _parts(self, *parts: str) -> tuple[int, int] | None:
        """Training and validation rows that a manifest tells of."""
        train, held = self.fact("train", *parts), self.fact("validation", *parts)
        return None if train is None or held is None else (train, held)

    def task_rows(self, task: str) -> tuple[int, int]:
        """Training and validation rows of a task's split."""
        if made := self._parts("data", "split", task):
            return made
        rows = (
            self.fact("rows", "data", "clean", task)
            or self.fact("rows", "data", "tasks", task)
            or sum(self.source_rows(name) for name in self.config.tasks[task].sources)
        )
        held = round(rows * self.config.data.validation_fraction)
        return rows - held, held

    def rows(self, training_set: str) -> tuple[int, int]:
        """Training and validation rows of a training set, such as ``codegen-p25``."""
        if made := self._parts("data", "sets", training_set):
            return made
        task, percent = self.study.training_sets[training_set]
        weights = self.config.mixture.weights or {}
        shares = {task: 1.0} if task else {key: weights.get(key, 1) for key in self.config.tasks}
        rows = {key: self.task_rows(key) for key in shares}
        train = sum(round(rows[key][0] * share) for key, share in shares.items())
        return max(1, train * percent // 100), sum(held for _, held in rows.values())

    def share(self, training_set: str) -> float:
        """Size of a training set in units of its task's at 100 %; a mixture's of the mean task's.

        The measure of `hardware.sft_hours`.
        """
        task, percent = self.study.training_sets[training_set]
        if task is not None:
            return percent / 100
        whole = sum(self.task_rows(key)[0] for key in self.config.tasks) / len(self.config.tasks)
        return self.rows(training_set)[0] / whole

    def row_tokens(self, training_set: str) -> float:
        """Tokens of a row of a training set, on average."""
        files = self.manifest("data", "sets", training_set).get("files") or {}
        size = (files.get("train.jsonl") or {}).get("bytes")
        rows = self.fact("train", "data", "sets", training_set)
        if isinstance(size, int) and rows:
            return max(16.0, (size / rows - _FRAME) / _CHARACTERS)
        task, _ = self.study.training_sets[training_set]
        sources = self.config.tasks[task].sources if task else self.study.training_sources()
        embedded = all(isinstance(self.config.sources[key], EmbeddedSource) for key in sources)
        return _EMBEDDED_TOKENS if embedded else _ROW_TOKENS

    def items(self, suite: str) -> int:
        """Items of a suite."""
        counted = self.fact("items", "suites", suite)
        if counted is not None:
            return counted
        entry, embedded = self.config.suites[suite], self.config.embedded
        if isinstance(entry, SummarySuite):
            counted = self.source_rows(entry.source, "suite")
        elif str(entry.problems).startswith("embedded-") and embedded is not None:
            counted = int(
                getattr(embedded, f"{str(entry.problems).removeprefix('embedded-')}_items")
            )
        else:
            counted = _PROBLEMS.get(str(entry.problems), _PROBLEMS_OF_FILE)
        return min(counted, *(size or counted for size in (entry.sample, entry.limit)))

    def has_large_tests(self, suite: str) -> bool:
        """Whether a suite's expected outputs take hundreds of megabytes, as EvalPlus's do."""
        entry = self.config.suites[suite]
        return isinstance(entry, CodeSuite) and entry.problems in ("humaneval", "mbpp")

    def completion_tokens(self) -> int:
        """Tokens that a checkpoint writes for all suites together."""
        usual = {"code": _PROGRAM, "summary": _SUMMARY}
        return sum(
            self.items(key) * min(suite.max_new_tokens, usual[suite.kind])
            for key, suite in self.config.suites.items()
        )

    def judged_items(self) -> tuple[int, int]:
        """Completions of a checkpoint that are run against tests, and compared as texts."""
        code = self.study.code_suites()
        programs = sum(self.items(suite) for suite in code)
        return programs, sum(self.items(key) for key in self.config.suites if key not in code)
