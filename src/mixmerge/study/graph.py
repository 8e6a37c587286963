"""The graph of a study: its checkpoints, where each node's files lie, what it is made from."""

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Literal

from mixmerge.artifacts.manifest import MANIFEST
from mixmerge.config.models import GgufModel, LocalModel
from mixmerge.config.study import MIX, StudyConfig
from mixmerge.core.errors import UserError, not_a_file
from mixmerge.core.seeds import derive
from mixmerge.data.settings import EmbeddedSource, LocalSource, PackageSource
from mixmerge.evaluate.settings import CodeSuite, SummarySuite
from mixmerge.merge.settings import Ratio


@dataclass(frozen=True)
class Variant:
    """One checkpoint of a model: how it is made, and the name all its files carry."""

    name: str
    """Such as ``base``, ``sft-codegen-p100``, ``mix-p100``, ``ties-w0.3``, ``karcher``."""

    kind: Literal["base", "sft", "mix", "merge"]
    """Which stage makes it."""

    task: str | None = None
    """The specialist's task."""

    percent: int | None = None
    """Share of the training set, for specialists and mixtures."""

    strategy: str | None = None
    """The merge strategy's key."""

    weights: dict[str, float] | None = None
    """Task -> weight of its specialist; None for methods without weights."""


def task_weights(ratio: Ratio, tasks: list[str]) -> dict[str, float]:
    """Spell out a ratio as one weight a task.

    Args:
        ratio: a weight for each task, or w of two tasks (the second gets 1 - w).
        tasks: the tasks merged, in the config's order.
    """
    if isinstance(ratio, dict):
        return {task: float(ratio[task]) for task in tasks}
    # Rounded because 1 - 0.9 is 0.09999999999999998, and recipes are read by people.
    return dict(zip(tasks, (float(ratio), round(1 - ratio, 12)), strict=True))


def weight_label(weights: dict[str, float]) -> str:
    """The part of a variant's name that stands for its weights: ``w0.3`` or ``w0.2-0.3-0.5``.

    Two weights that sum to 1 are named by the first; all others are written out.
    """
    values = list(weights.values())
    if len(values) == 2 and abs(sum(values) - 1) < 1e-9:
        values = values[:1]
    return "w" + "-".join(f"{value:g}" for value in values)


def sft_name(task: str, percent: int) -> str:
    """Name of a specialist's checkpoint."""
    return f"sft-{task}-p{percent}"


def variants(config: StudyConfig, model: str) -> list[Variant]:
    """All checkpoints of one model: base, specialists, mixtures, then merges in config order."""
    found = [Variant("base", "base")]
    for task in config.tasks:
        for percent in config.scales(model):
            found.append(Variant(sft_name(task, percent), "sft", task=task, percent=percent))
    for percent in sorted(set(config.mixture.scale)):
        found.append(Variant(f"{MIX}-p{percent}", "mix", percent=percent))
    for key, ratios in config.sweep(model).items():
        tasks = config.strategies[key].tasks or list(config.tasks)
        if ratios is None:
            found.append(Variant(key, "merge", strategy=key))
            continue
        for ratio in ratios:
            weights = task_weights(ratio, tasks)
            name = f"{key}-{weight_label(weights)}"
            if all(variant.name != name for variant in found):
                found.append(Variant(name, "merge", strategy=key, weights=weights))
    return found


class Graph:
    """A validated configuration with its checkpoints, paths and edges.

    Attributes:
        config: the validated configuration.
        root: directory of everything the study makes.
    """

    def __init__(self, config: StudyConfig) -> None:
        self.config = config
        self.root = config.results / config.study

    @cached_property
    def variants(self) -> dict[str, dict[str, Variant]]:
        """Model -> name -> checkpoint."""
        return {
            model: {variant.name: variant for variant in variants(self.config, model)}
            for model in self.config.models
        }

    @cached_property
    def training_sets(self) -> dict[str, tuple[str | None, int]]:
        """Name of a training set -> its task (None for the mixture) and percentage."""
        found: dict[str, tuple[str | None, int]] = {}
        for per_model in self.variants.values():
            for variant in per_model.values():
                if variant.kind in ("sft", "mix") and variant.percent is not None:
                    found[self.training_set(variant)] = (variant.task, variant.percent)
        return found

    @staticmethod
    def training_set(variant: Variant) -> str:
        """Name of the training set of a specialist or mixture, such as ``codegen-p25``."""
        return f"{variant.task or MIX}-p{variant.percent}"

    def checkpoints(self, *kinds: str) -> list[tuple[str, str]]:
        """All (model, variant) pairs, or those of the given kinds."""
        return [
            (model, name)
            for model, per_model in self.variants.items()
            for name, variant in per_model.items()
            if not kinds or variant.kind in kinds
        ]

    def specialists(self, model: str) -> dict[str, str]:
        """Task -> variant name of the specialist that is merged."""
        del model  # every model merges at the same data scale
        percent = self.config.merging.base_percent
        return {task: sft_name(task, percent) for task in self.config.tasks}

    def models_of_kind(self, *kinds: str) -> list[str]:
        """Models whose base checkpoint comes from such a place."""
        return [key for key, model in self.config.models.items() if model.kind in kinds]

    def training_set_of(self, model: str, variant: str) -> str:
        """Name of the training set of a checkpoint."""
        return self.training_set(self.variants[model][variant])

    def merged(self, model: str, variant: str) -> dict[str, str]:
        """Task -> specialist's variant for the tasks that a merge takes."""
        node = self.variants[model][variant]
        assert node.strategy is not None
        tasks = self.config.strategies[node.strategy].tasks or list(self.config.tasks)
        return {task: self.specialists(model)[task] for task in tasks}

    def code_suites(self) -> list[str]:
        """Suites that are judged by running tests."""
        return [k for k, s in self.config.suites.items() if isinstance(s, CodeSuite)]

    def seed(self, *names: str) -> int:
        """Seed of a node, derived from the study's."""
        return derive(self.config.seed, *names)

    def path(self, *parts: str) -> str:
        """A path below the study's root, as Snakemake wants it."""
        return str(self.root.joinpath(*parts))

    def manifest(self, *parts: str) -> str:
        """The manifest of a directory below the study's root."""
        return self.path(*parts, MANIFEST)

    def weights(self, model: str, variant: str) -> str:
        """The directory in which a checkpoint's weights lie, or lay while they were needed."""
        merged = self.variants[model][variant].kind == "merge"
        return self.path("merged" if merged else "checkpoints", model, variant)

    def temporary(self, model: str, variant: str) -> list[str]:
        """A merge's weights as an input apart from its manifest; empty for trained checkpoints."""
        merged = self.variants[model][variant].kind == "merge"
        return [self.weights(model, variant)] if merged else []

    def missing(self, model: str, variant: str) -> int:
        """1 where a checkpoint's weights are not on disk at this moment, else 0."""
        return int(not Path(self.weights(model, variant)).is_dir())

    def recipe(self, model: str, variant: str) -> str:
        """The recipe of a merge."""
        return self.path("recipes", model, f"{variant}.yaml")

    def statistics_of_merge(self, model: str, variant: str) -> list[str]:
        """A merge's layer statistics; empty for trained checkpoints."""
        merged = self.variants[model][variant].kind == "merge"
        return [self.path("weights", model, f"{variant}.json")] if merged else []

    def source_inputs(self, source: str) -> list[str]:
        """Files a source is read from that the workflow knows: a local file, or the corpus."""
        entry = self.config.sources[source]
        if isinstance(entry, LocalSource):
            return [str(entry.path)]
        if isinstance(entry, EmbeddedSource):
            return [self.manifest("data", "corpus")]
        if isinstance(entry, PackageSource) and entry.lock is not None:
            return [str(entry.lock)]
        return []

    def training_sources(self) -> list[str]:
        """Sources whose rows some task trains on, each once."""
        named = [source for task in self.config.tasks.values() for source in task.sources]
        return list(dict.fromkeys(named))

    def held_out_rows(self, suite: str) -> str | None:
        """The source whose validation rows a suite judges on; None for any other suite."""
        entry = self.config.suites[suite]
        return entry.source if isinstance(entry, CodeSuite) else None

    def decontaminating_suites(self) -> list[str]:
        """Suites whose items must not occur in training data.

        Held-out rows are made from what decontamination and the split leave, hence are disjoint
        from the training rows, and can't be an input of either.
        """
        return [suite for suite in self.config.suites if self.held_out_rows(suite) is None]

    def item_inputs(self, suite: str) -> list[str]:
        """What a suite's items are written from."""
        entry = self.config.suites[suite]
        if isinstance(entry, SummarySuite):
            return [self.manifest("data", "sources", entry.source)]
        return [self.manifest("data", "heldout", suite)]

    def suite_inputs(self, suite: str) -> list[str]:
        """Files a suite's problems or rows are read from."""
        entry = self.config.suites[suite]
        if isinstance(entry, SummarySuite):
            return [self.manifest("data", "sources", entry.source)]
        if isinstance(entry.problems, Path):
            return [str(entry.problems)]
        if entry.source is not None:
            return [
                self.manifest("data", "sources", entry.source),
                self.manifest("data", "split", entry.task),
            ]
        if entry.problems.startswith("embedded"):
            return [self.manifest("data", "corpus")]
        return []

    def snapshot_inputs(self, model: str) -> list[str]:
        """Files on this machine that a base checkpoint is made from."""
        entry = self.config.models[model]
        if isinstance(entry, GgufModel) and entry.path is not None:
            return [*self.chat_template(model), str(entry.path)]
        if not isinstance(entry, LocalModel):
            return self.chat_template(model)
        return self.chat_template(model) + sorted(
            str(file) for file in entry.path.iterdir() if file.is_file()
        )

    def chat_template(self, model: str) -> list[str]:
        """The chat template's file where the config names one."""
        path = self.config.models[model].chat_template
        return [] if path is None else [str(path)]

    def check_files(self) -> None:
        """Check that the local files and directories the config names are there.

        Raises:
            UserError: naming the field and the path, one line for each.
        """
        blocking = next((p for p in (self.root, *self.root.parents) if p.exists()), self.root)
        if blocking.exists() and not blocking.is_dir():
            raise UserError(
                f"results: {self.root} cannot be a folder, because {blocking} is a file; name "
                "another place, or move the file away"
            )
        named: list[tuple[str, Path]] = []
        for key, source in self.config.sources.items():
            if isinstance(source, LocalSource):
                named.append((f"sources.{key}.path", source.path))
            if isinstance(source, PackageSource) and source.lock is not None:
                named.append((f"sources.{key}.lock", source.lock))
        for key, suite in self.config.suites.items():
            if isinstance(suite, CodeSuite) and isinstance(suite.problems, Path):
                named.append((f"suites.{key}.problems", suite.problems))
        for key, model in self.config.models.items():
            if isinstance(model, LocalModel | GgufModel) and model.path is not None:
                named.append((f"models.{key}.path", model.path))
            if model.chat_template is not None:
                named.append((f"models.{key}.chat_template", model.chat_template))
        missing = [
            f"{field}: {path} does not exist (seen from {Path.cwd()}); mend the path"
            for field, path in named
            if not path.exists()
        ]
        missing += [
            f"{field}: {path} {not_a_file(path)}"
            for field, path in named
            if path.is_dir() and not field.startswith("models.")
        ]
        if missing:
            raise UserError("\n".join(missing))
