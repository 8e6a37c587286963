"""The graph of a study: its checkpoints, where each node's files lie, what it is made from."""

from collections.abc import Callable
from functools import cached_property
from itertools import product
from pathlib import Path

from mixmerge.artifacts.manifest import MANIFEST
from mixmerge.config.study import MIX, GgufModel, LocalModel, StudyConfig
from mixmerge.core.io import derived_seed
from mixmerge.data.settings import EmbeddedSource
from mixmerge.evaluate.settings import CodeSuite, SummarySuite
from mixmerge.merge.settings import Ratio
from mixmerge.report.layout import Variant


def task_weights(ratio: Ratio, tasks: list[str]) -> dict[str, float]:
    """A ratio as one weight a task, in the tasks' order; of two tasks the second gets the rest."""
    if isinstance(ratio, dict):
        return {task: float(ratio[task]) for task in tasks}
    # Rounded because 1 - 0.9 is 0.09999999999999998, and recipes are read by people.
    return dict(zip(tasks, (float(ratio), round(1 - ratio, 12)), strict=True))


def weight_label(weights: dict[str, float]) -> str:
    """``w0.2-0.3-0.5``; of two weights that sum to 1 the first stands for both: ``w0.3``."""
    values = list(weights.values())
    if len(values) == 2 and abs(sum(values) - 1) < 1e-9:
        values = values[:1]
    return "w" + "-".join(f"{value:g}" for value in values)


class Graph:
    """A validated configuration with its checkpoints, paths, edges and seeds.

    A checkpoint is named as all its files: ``base``, ``sft-codegen-p100``, ``mix-p100``,
    ``ties-w0.3``, ``karcher``. What a script reads is a mapping from its option to a manifest, or
    from the setting that names it to a file. All that the study makes lies below ``root``.
    """

    def __init__(self, config: StudyConfig) -> None:
        self.config = config
        self.root = config.results / config.study

    @cached_property
    def variants(self) -> dict[str, dict[str, Variant]]:
        """Model -> name -> checkpoint: base, specialists, mixtures, then merges, in order."""
        config = self.config
        models = {}
        for model in config.models:
            listed = [Variant(name="base", kind="base")]
            for task in config.tasks:
                for percent in config.scales(model):
                    name = f"sft-{task}-p{percent}"
                    listed.append(Variant(name=name, kind="sft", task=task, percent=percent))
            for percent in sorted(set(config.mixture.scale)):
                listed.append(Variant(name=f"{MIX}-p{percent}", kind="mix", percent=percent))
            for key, ratios in config.sweep(model).items():
                tasks = config.strategies[key].tasks or list(config.tasks)
                each = [None] if ratios is None else [task_weights(r, tasks) for r in ratios]
                for weights in each:
                    name = key if weights is None else f"{key}-{weight_label(weights)}"
                    listed.append(Variant(name=name, kind="merge", strategy=key, weights=weights))
            models[model] = dict[str, Variant]()
            for variant in listed:
                models[model].setdefault(variant.name, variant)  # two ratios may be named alike
        return models

    def checkpoints(self, *kinds: str) -> list[tuple[str, str]]:
        """All (model, variant) pairs, or those of the given kinds."""
        return [
            (model, name)
            for model, per_model in self.variants.items()
            for name, variant in per_model.items()
            if not kinds or variant.kind in kinds
        ]

    def models_of_kind(self, *kinds: str) -> list[str]:
        """Models whose base checkpoint comes from such a place."""
        return [key for key, model in self.config.models.items() if model.kind in kinds]

    @cached_property
    def training_sets(self) -> dict[str, tuple[str | None, int]]:
        """Name of a training set -> its task (None for the mixture) and percentage."""
        return {
            self.training_set(model, name): (variant.task, variant.percent)
            for model, per_model in self.variants.items()
            for name, variant in per_model.items()
            if variant.percent is not None
        }

    def training_set(self, model: str, variant: str) -> str:
        """Name of the training set of a specialist or mixture, such as ``codegen-p25``."""
        node = self.variants[model][variant]
        return f"{node.task or MIX}-p{node.percent}"

    def training_sources(self) -> list[str]:
        """Sources whose rows some task trains on, each once."""
        named = [source for task in self.config.tasks.values() for source in task.sources]
        return list(dict.fromkeys(named))

    @cached_property
    def specialists(self) -> dict[str, str]:
        """Task -> variant of the specialist that is merged: of each model, at the same scale."""
        percent = self.config.merging.base_percent
        return {task: f"sft-{task}-p{percent}" for task in self.config.tasks}

    def merged(self, model: str, variant: str) -> dict[str, str]:
        """Task -> specialist's variant for the tasks that a merge takes."""
        strategy = self.config.strategies[self.strategy(model, variant)]
        return {task: self.specialists[task] for task in strategy.tasks or self.config.tasks}

    def strategy(self, model: str, variant: str) -> str:
        """A merge's strategy."""
        strategy = self.variants[model][variant].strategy
        assert strategy is not None
        return strategy

    def merges(self, model: str, strategy: str) -> list[str]:
        """A model's merges by one strategy, in the order of the configuration."""
        return [key for key, node in self.variants[model].items() if node.strategy == strategy]

    def winners(self) -> list[tuple[str, str]]:
        """Model and strategy of each sweep whose winner is kept; none unless `keep: winners`."""
        keep = self.config.merging.keep == "winners"
        pairs = product(self.config.models, self.config.strategies)
        return [pair for pair in pairs if keep and self.merges(*pair)]

    def kept(self) -> list[str]:
        """Files or directories of checkpoints that stay: trained ones, with `keep: all` merges."""
        trained = [self.manifest("checkpoints", *p) for p in self.checkpoints("base", "sft", "mix")]
        keeps_all = self.config.merging.keep == "all"
        return trained + [self.weights(*p) for p in self.checkpoints("merge") if keeps_all]

    def code_suites(self) -> list[str]:
        """Suites that are judged by running tests."""
        return [k for k, s in self.config.suites.items() if isinstance(s, CodeSuite)]

    def meteor_suites(self) -> list[str]:
        """Suites that are scored with METEOR, which needs WordNet."""
        suites = self.config.suites.items()
        return [k for k, s in suites if isinstance(s, SummarySuite) and "meteor" in s.metrics]

    def decontaminating_suites(self) -> list[str]:
        """Suites whose items must not occur in training data; held-out rows are disjoint from it.

        They are made from what decontamination and the split leave.
        """
        if not self.config.data.decontamination.enabled:
            return []
        return [suite for suite in self.config.suites if not self.is_held_out(suite)]

    def is_held_out(self, suite: str) -> bool:
        """Whether a suite judges on validation rows of a training source."""
        entry = self.config.suites[suite]
        return isinstance(entry, CodeSuite) and entry.source is not None

    def seed(self, *names: str) -> int:
        """Seed of a node, derived from the study's."""
        return derived_seed(self.config.seed, *names)

    def merge_seed(self, model: str, variant: str) -> int:
        """Seed of a merge's random masks: a model's sweep varies the ratio and nothing else."""
        return self.seed("merge", model, self.strategy(model, variant))

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

    def of_merge(self, place: Callable[[str, str], str], model: str, variant: str) -> list[str]:
        """The place of what belongs to a merge; empty for trained checkpoints."""
        return [place(model, variant)] if self.variants[model][variant].kind == "merge" else []

    def statistics(self, model: str, variant: str) -> str:
        """The layer statistics of a checkpoint."""
        return self.path("weights", model, f"{variant}.json")

    def source_inputs(self, source: str) -> dict[str, str]:
        """What a source is read from that the workflow knows: a local file, or the corpus."""
        entry = self.config.sources[source]
        if isinstance(entry, EmbeddedSource):
            return {"corpus": self.manifest("data", "corpus")}
        return {name: str(value) for name, value in entry if isinstance(value, Path)}

    def hold_out_inputs(self, suite: str) -> dict[str, str]:
        """What a suite's problems or rows are read from."""
        entry = self.config.suites[suite]
        problems = getattr(entry, "problems", None)
        if isinstance(problems, Path):
            return {"problems": str(problems)}
        if str(problems).startswith("embedded"):
            return {"corpus": self.manifest("data", "corpus")}
        source = entry.source
        inputs = {} if source is None else {"source": self.manifest("data", "sources", source)}
        held_out = {"split": self.manifest("data", "split", entry.task)}
        return inputs | (held_out if self.is_held_out(suite) else {})

    def item_inputs(self, suite: str) -> dict[str, str]:
        """What a suite's items are written from."""
        if isinstance(self.config.suites[suite], SummarySuite):
            return self.hold_out_inputs(suite)
        return {"heldout": self.manifest("data", "heldout", suite)}

    def snapshot_inputs(self, model: str) -> list[str]:
        """Files on this machine that a base checkpoint is made from."""
        entry = self.config.models[model]
        files = [entry.chat_template, entry.path if isinstance(entry, GgufModel) else None]
        if isinstance(entry, LocalModel):
            files += sorted(filter(Path.is_file, entry.path.iterdir()))
        return [str(file) for file in files if file is not None]
