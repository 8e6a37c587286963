"""The plan of a study: its graph, and what each stage is told, which is exactly what it reads.

So a change of any other value leaves it alone. Rules ask the plan, and stay free of logic.
"""

import shutil
import string
from pathlib import Path
from typing import Any

from mixmerge.artifacts.manifest import read_manifest
from mixmerge.config.checks import unusable_files
from mixmerge.config.study import MIX, EmbeddedBase, ModelBase
from mixmerge.core.errors import UserError
from mixmerge.data.settings import Columns, PrepareSettings, SuiteSettings
from mixmerge.evaluate.settings import GenerateSettings, ScoreSettings
from mixmerge.sft.settings import Sft
from mixmerge.study.graph import Graph


class Study(Graph):
    """The graph with the settings of each of its jobs."""

    def check_files(self) -> None:
        """Raise a UserError, one line each, for local files that the config names and can't be."""
        blocking = next((p for p in (self.root, *self.root.parents) if p.exists()), Path())
        if not blocking.is_dir():
            place = f"results: {self.root} cannot be a folder, because {blocking} is a file"
            raise UserError(f"{place}; name another place, or move the file away")
        if lines := unusable_files(self.config):
            raise UserError("\n".join(lines))

    def drop_remains(self) -> list[Path]:
        """Delete merged weights of which a run that was killed left a part; their directories.

        Snakemake would take them for whole. What a merge is still writing stays.
        """
        dropped = []
        for folder in (Path(self.weights(*pair)) for pair in self.checkpoints("merge")):
            try:
                if folder.is_dir():
                    read_manifest(folder, "checkpoint", content=False)
            except UserError:
                shutil.rmtree(folder, ignore_errors=True)
                dropped.append(folder)
        return dropped

    def prepare_settings(self, task: str) -> dict[str, Any]:
        """Templates of a task, and the column mapping of each of its sources."""
        entry = self.config.tasks[task]
        columns = {source: self.config.sources[source] for source in entry.sources}
        deduplicate = self.config.data.deduplicate
        settings = PrepareSettings(templates=entry, columns=columns, deduplicate=deduplicate)
        return settings.model_dump(mode="json")

    def hold_out_settings(self, suite: str) -> dict[str, Any]:
        """What a suite's held-out texts depend on; its prompt and its `limit` do not matter."""
        settings = self.suite_settings(suite)
        for unread in ("prompt", "sample", "limit"):
            del settings["suite"][unread]
        if not self.is_held_out(suite):
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

    def sample_seed(self, suite: str) -> list[str]:
        """The seed of a suite's sample as an option of its script; empty where there is none."""
        sampled = self.config.suites[suite].sample is not None
        return ["--seed", str(self.seed("sample", suite))] if sampled else []

    def fetch_settings(self, source: str) -> dict[str, Any]:
        """Where a source comes from; the column mapping is a later stage's business."""
        entry = self.config.sources[source]
        return entry.model_dump(mode="json", exclude=set(Columns.model_fields))

    def base_settings(self, model: str) -> dict[str, Any]:
        """Where a base checkpoint comes from: pre-training, a snapshot, or a GGUF file."""
        entry = self.config.models[model]
        if isinstance(entry, EmbeddedBase):
            return entry.model.model_dump(mode="json")
        return entry.model_dump(mode="json", exclude=set(ModelBase.model_fields))

    def sft(self, model: str, variant: str) -> Sft:
        """Hyperparameters and launch settings of one run."""
        return self.config.sft_settings(model, self.variants[model][variant].task or MIX)

    def sft_settings(self, model: str, variant: str) -> dict[str, Any]:
        """The same as its job gets them, without nodes, which are a resource.

        So are the processes that `auto` comes to; a number that the config names is a setting.
        """
        plan = self.config.sft_plan(model, self.variants[model][variant].task or MIX)
        unread = {"nodes", "processes"} if plan.processes == "auto" else {"nodes"}
        return self.sft(model, variant).model_dump(mode="json", exclude=unread)

    def recipe_settings(self, model: str, variant: str) -> dict[str, Any]:
        """What a merge's recipe is built from."""
        strategy, merged = self.strategy(model, variant), self.merged(model, variant).items()
        read = {"method", "parameters", "model_parameters", "pivot"}
        return {
            **self.config.strategies[strategy].model_dump(include=read),
            "weights": self.variants[model][variant].weights,
            "dtype": self.config.merging.dtype,
            "base": self.path("checkpoints", model, "base"),
            "specialists": {task: self.path("checkpoints", model, name) for task, name in merged},
        }

    def generate_settings(self, model: str, variant: str) -> dict[str, Any]:
        """Decoding, and per suite what shapes and bounds a completion."""
        kind = self.variants[model][variant].kind
        suites = {key: suite.decoding_for(kind) for key, suite in self.config.suites.items()}
        settings = GenerateSettings(decoding=self.config.decoding, suites=suites)
        return settings.model_dump(mode="json")

    def ground_truth_settings(self, suite: str) -> dict[str, Any]:
        """How a code suite's reference solutions are run."""
        settings = self.score_settings()
        del settings["code"]["extraction"]  # no completion is read
        return {**settings["suites"][suite], "code": settings["code"]}

    def score_settings(self) -> dict[str, Any]:
        """How tests are run, and per suite its kind and metrics."""
        suites = {key: suite.judging for key, suite in self.config.suites.items()}
        settings = ScoreSettings(code=self.config.code_scoring, suites=suites)
        # How many run side by side changes no verdict: the job gets it as an argument of its own.
        return settings.model_dump(mode="json", exclude={"code": {"workers"}})


def without_wording(template: str) -> str:
    """The fields of a well-formed template with their filters, one a line, without other words.

    So the held-out texts, and with them all training, stand when a prompt is worded otherwise.
    """
    pieces = string.Formatter().parse(template)
    fields = [f"{{{field}{f':{spec}' if spec else ''}}}" for _, field, spec, _ in pieces if field]
    return "\n".join(fields) or template
