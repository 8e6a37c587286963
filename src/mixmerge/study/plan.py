"""The plan of a study: its graph, and what each stage is told.

Rules stay free of logic: they ask the plan for paths, inputs and settings. A stage gets exactly the
settings it reads, so a change of any other value leaves it alone.
"""

import string
from typing import Any

from mixmerge.config.models import EmbeddedBase, checkpoint_settings
from mixmerge.config.study import MIX
from mixmerge.data.settings import Columns, EmbeddedSource, PackageSource, PrepareSettings
from mixmerge.data.suite_settings import SuiteSettings
from mixmerge.evaluate.settings import GenerateSettings, ScoreSettings, SummarySuite
from mixmerge.study.graph import Graph


class Study(Graph):
    """The graph with the settings, seeds and threads of each of its jobs."""

    def prepare_settings(self, task: str) -> dict[str, Any]:
        """Templates of a task, and the column mapping of each of its sources."""
        entry = self.config.tasks[task]
        settings = PrepareSettings(
            templates=entry,
            columns={source: self.config.sources[source] for source in entry.sources},
            deduplicate=self.config.data.deduplicate,
        )
        return settings.model_dump(mode="json")

    def hold_out_settings(self, suite: str) -> dict[str, Any]:
        """What a suite's held-out texts depend on; its prompt and its `limit` do not matter."""
        settings = self.suite_settings(suite)
        for unread in ("prompt", "sample", "limit"):
            del settings["suite"][unread]
        if self.held_out_rows(suite) is None:
            # Of the task's templates only the fields are read, whatever stands around them.
            task = settings["templates"]
            fields = {key: without_wording(task[key]) for key in ("prompt", "answer")}
            settings["templates"] = task | fields | {"system": None}
        return settings

    def suite_settings(self, suite: str) -> dict[str, Any]:
        """What makes a suite's items: its entry, and its task's templates and columns."""
        entry = self.config.suites[suite]
        columns = {} if entry.source is None else {"columns": self.config.sources[entry.source]}
        settings = SuiteSettings(suite=entry, templates=self.config.tasks[entry.task], **columns)
        return settings.model_dump(mode="json", exclude=set() if columns else {"columns"})

    def fetch_settings(self, source: str) -> dict[str, Any]:
        """Where a source comes from; the column mapping is a later stage's business."""
        entry = self.config.sources[source]
        return entry.model_dump(mode="json", exclude=set(Columns.model_fields))

    def fetch_threads(self, source: str) -> int:
        """Processes that a source is read with."""
        entry = self.config.sources[source]
        return entry.threads if isinstance(entry, PackageSource) else 1

    def fetch_arguments(self, source: str) -> list[str]:
        """Where a source's script finds the embedded corpus, if it needs it."""
        if isinstance(self.config.sources[source], EmbeddedSource):
            return ["--corpus", self.path("data", "corpus")]
        return []

    def hold_out_arguments(self, suite: str) -> list[str]:
        """Where a suite's problems or rows are read from."""
        entry = self.config.suites[suite]
        if isinstance(entry, SummarySuite):
            return ["--source", self.path("data", "sources", entry.source)]
        if entry.source is not None:
            return [
                *("--source", self.path("data", "sources", entry.source)),
                *("--split", self.path("data", "split", entry.task)),
            ]
        if str(entry.problems).startswith("embedded-"):
            return ["--corpus", self.path("data", "corpus")]
        return []

    def item_arguments(self, suite: str) -> list[str]:
        """Where a suite's items are written from, and the seed of a sample."""
        entry = self.config.suites[suite]
        if isinstance(entry, SummarySuite):
            given = ["--source", self.path("data", "sources", entry.source)]
        else:
            given = ["--heldout", self.path("data", "heldout", suite)]
        if entry.sample is not None:
            given += ["--seed", str(self.seed("sample", suite))]
        return given

    def pretrain_settings(self, model: str) -> dict[str, Any]:
        """Architecture and pre-training of an embedded base model."""
        entry = self.config.models[model]
        assert isinstance(entry, EmbeddedBase)
        return entry.model.model_dump(mode="json")

    def checkpoint_settings(self, model: str) -> dict[str, Any]:
        """Where a base checkpoint comes from: a snapshot, or a GGUF file."""
        entry = self.config.models[model]
        assert not isinstance(entry, EmbeddedBase)
        return checkpoint_settings(entry)

    def sft_threads(self, model: str, variant: str) -> int:
        """CPU threads of one run, over all its processes."""
        node = self.variants[model][variant]
        sft = self.config.sft_settings(model, node.task or MIX)
        return sft.processes * sft.threads

    def sft_nodes(self, model: str, variant: str) -> int:
        """Slurm nodes one run is spread over."""
        node = self.variants[model][variant]
        return self.config.sft_settings(model, node.task or MIX).nodes

    def sft_settings(self, model: str, variant: str) -> dict[str, Any]:
        """Hyperparameters and launch settings of one run.

        What `processes: auto` comes to is left out: it follows from the hardware, of which no
        job is told. The job gets it as an argument of its own.
        """
        training_set = self.variants[model][variant].task or MIX
        settings = self.config.sft_settings(model, training_set).model_dump(mode="json")
        # Where the processes run decides nothing; it is among the job's resources.
        del settings["nodes"]
        if self.config.sft_plan(model, training_set).processes == "auto":
            del settings["processes"]
        return settings

    def recipe_settings(self, model: str, variant: str) -> dict[str, Any]:
        """What a merge's recipe is built from."""
        node = self.variants[model][variant]
        assert node.strategy is not None
        strategy = self.config.strategies[node.strategy]
        return {
            **strategy.model_dump(include={"method", "parameters", "model_parameters", "pivot"}),
            "weights": node.weights,
            "dtype": self.config.merging.dtype,
            "base": self.path("checkpoints", model, "base"),
            "specialists": {
                task: self.path("checkpoints", model, name)
                for task, name in self.merged(model, variant).items()
            },
        }

    def merge_seed(self, model: str, variant: str) -> int:
        """Seed of a merge's random masks: one a model and strategy, the same at every ratio.

        MergeKit draws the same masks from the same seed whatever the weights, so a sweep with one
        seed varies the ratio and nothing else.
        """
        strategy = self.variants[model][variant].strategy
        assert strategy is not None
        return self.seed("merge", model, strategy)

    def generate_settings(self, model: str, variant: str) -> dict[str, Any]:
        """Decoding, and per suite what shapes and bounds a completion."""
        kind = self.variants[model][variant].kind
        suites = {key: suite.decoding_for(kind) for key, suite in self.config.suites.items()}
        settings = GenerateSettings(decoding=self.config.decoding, suites=suites)
        return settings.model_dump(mode="json")

    def ground_truth_settings(self, suite: str) -> dict[str, Any]:
        """How a code suite's reference solutions are run."""
        settings = self.score_settings()
        return {**settings["suites"][suite], "code": settings["code"]}

    def score_settings(self) -> dict[str, Any]:
        """How tests are run, and per suite its kind and metrics."""
        suites = {key: suite.judging for key, suite in self.config.suites.items()}
        settings = ScoreSettings(code=self.config.code_scoring, suites=suites)
        # How many run side by side changes no verdict: the job gets it as an argument of its own.
        return settings.model_dump(mode="json", exclude={"code": {"workers"}})


def without_wording(template: str) -> str:
    """A template's fields with their filters, one a line, without the words between them.

    What a suite holds out are the fields' values. Told no more than the fields, its job, and with
    it decontamination and all training, stands when a prompt is worded otherwise.

    Args:
        template: as `tasks.<task>.prompt`; one that is not well-formed comes back as it is, for
            its job to refuse.
    """
    try:
        pieces = list(string.Formatter().parse(template))
    except ValueError:
        return template
    fields = [f"{{{field}{f':{spec}' if spec else ''}}}" for _, field, spec, _ in pieces if field]
    return "\n".join(fields) or template
