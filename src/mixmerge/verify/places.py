"""Everything of a study that can be held against a digest, and which rule makes it."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from mixmerge.artifacts.manifest import MANIFEST
from mixmerge.config.models import EmbeddedBase, GgufModel
from mixmerge.data.settings import EmbeddedSource
from mixmerge.study import retention as keeping
from mixmerge.study.plan import Study


@dataclass(frozen=True)
class Place:
    """One result.

    Attributes:
        path: a directory with a manifest, or a single file.
        rule: the rule that makes it.
        form: ``directory``; ``record`` of a merge, whose files lie elsewhere; ``weights`` of a
            merge, which go when they have been read; ``file``, known by its job's own record;
            ``recipe``; ``printed``, a file of the report, known by its job's list.
        target: what to ask Snakemake for.
    """

    path: Path
    rule: str
    form: Literal["directory", "record", "weights", "file", "recipe", "printed"]
    target: str

    @property
    def stage(self) -> str:
        """For people: the folder below the study's root, such as ``checkpoints``."""
        return {"merge": "merges", "winner": "winners"}.get(self.rule, self.rule)


def places(study: Study, remote: bool = False) -> list[Place]:
    """All results of a study that have a digest somewhere, made or not.

    Tables, figures and statistics are not among them: see `mixmerge.verify.printed`.

    Args:
        study: the plan.
        remote: whether completions, scores and uncertainty stand on a bucket: they are left out.
    """
    return [
        *_data(study),
        *_checkpoints(study),
        *_scores(study, remote),
        *_weights(study),
    ]


def _directory(study: Study, rule: str, *parts: str) -> Place:
    return Place(Path(study.path(*parts)), rule, "directory", study.manifest(*parts))


def _data(study: Study) -> Iterator[Place]:
    config = study.config
    embedded = any(isinstance(entry, EmbeddedSource) for entry in config.sources.values())
    if embedded or study.models_of_kind("embedded"):
        yield _directory(study, "corpus", "data", "corpus")
    for source in config.sources:
        yield _directory(study, "fetch", "data", "sources", source)
    for task in config.tasks:
        yield _directory(study, "prepare", "data", "tasks", task)
        yield _directory(study, "decontaminate", "data", "clean", task)
        yield _directory(study, "split", "data", "split", task)
    for name, (task_of, _) in study.training_sets.items():
        yield _directory(study, "mix" if task_of is None else "subset", "data", "sets", name)
    for suite in config.suites:
        yield _directory(study, "hold_out", "data", "heldout", suite)
        yield _directory(study, "suite", "suites", suite)
    for suite in study.code_suites():
        yield _directory(study, "ground_truth", "groundtruth", suite)
    nltk_data = config.results / "nltk_data"
    yield Place(nltk_data, "nltk_data", "directory", str(nltk_data / MANIFEST))


def _checkpoints(study: Study) -> Iterator[Place]:
    for model, entry in study.config.models.items():
        rule = "snapshot"
        if isinstance(entry, EmbeddedBase | GgufModel):
            rule = "pretrain" if isinstance(entry, EmbeddedBase) else "dequantise"
        yield _directory(study, rule, "checkpoints", model, "base")
    for pair in study.checkpoints("sft", "mix"):
        yield _directory(study, "sft", "checkpoints", *pair)
    for pair in study.checkpoints("merge"):
        target = study.manifest("checkpoints", *pair)
        recipe = study.recipe(*pair)
        yield Place(Path(recipe), "recipe", "recipe", recipe)
        yield Place(Path(target).parent, "merge", "record", target)
        yield Place(Path(study.weights(*pair)), "merge", "weights", target)
    for pair in keeping.winners(study):
        yield _directory(study, "winner", "winners", *pair)


def _scores(study: Study, remote: bool) -> Iterator[Place]:
    if remote:
        return
    for pair in study.checkpoints():
        yield _directory(study, "generate", "completions", *pair)
        yield _directory(study, "score", "scores", *pair)
    for model in study.config.models:
        yield _file(study.path("uncertainty", f"{model}.json"), "uncertainty")


def _weights(study: Study) -> Iterator[Place]:
    for model, variant in study.checkpoints("sft", "mix"):
        yield _file(study.path("weights", model, f"{variant}.json"), "layers")
    for model, variant in study.checkpoints("merge"):
        yield _file(study.path("weights", model, f"{variant}.json"), "merged_layers")
    for model in study.config.models:
        yield _file(study.path("weights", model, "updates.json"), "updates")


def _file(path: str, rule: str) -> Place:
    return Place(Path(path), rule, "file", path)
