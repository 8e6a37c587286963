"""The results of a study that have a digest, and the rule that makes each of them."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from mixmerge.artifacts.manifest import MANIFEST
from mixmerge.data.settings import EmbeddedSource
from mixmerge.study.plan import Study

#: Rule -> the list of SHA-256 that it leaves, below the study's root.
LISTS = {
    "statistics": "data/.statistics.sha256",
    "tables": ".tables.sha256",
    "figures": ".figures.sha256",
    "verdict": ".verdict.sha256",
    "timing": ".timing.sha256",
}

#: How a result is known: a directory by its manifest; the ``record`` of a merge, whose files lie
#: elsewhere; its ``weights``, which are deleted once they were read; a file by its job's record; a
#: recipe by the configuration; a file of the report by its job's list.
Form = Literal["directory", "record", "weights", "file", "recipe", "listed"]


@dataclass
class Result:
    """One result, and what is known of it so far."""

    path: Path
    rule: str
    form: Form
    target: str
    """What to ask Snakemake for."""
    faults: list[str] = field(default_factory=list)
    """What is wrong, one line each."""
    files: dict[Path, tuple[int, str, Path]] = field(default_factory=dict)
    """What is still to be hashed -> bytes, SHA-256 and the file that lists both."""
    manifest: bytes | None = None
    """The manifest as it was read, to see whether a job replaces it meanwhile."""

    @property
    def anchor(self) -> Path:
        """The file that stands for the result: its manifest, or the file itself."""
        has_manifest = self.form in ("directory", "record", "weights")
        return self.path / MANIFEST if has_manifest else self.path


def results_of(study: Study, remote: bool = False) -> Iterator[Result]:
    """All results of a study that have a digest, made or not, but for the report's files.

    Args:
        study: the plan.
        remote: whether completions, scores and uncertainty lie on a bucket: they are left out.
    """

    def directory(rule: str, *parts: str) -> Result:
        return Result(Path(study.path(*parts)), rule, "directory", study.manifest(*parts))

    def file(rule: str, *parts: str) -> Result:
        return Result(Path(study.path(*parts)), rule, "file", study.path(*parts))

    config = study.config
    embedded = any(isinstance(source, EmbeddedSource) for source in config.sources.values())
    if embedded or study.models_of_kind("embedded"):
        yield directory("corpus", "data", "corpus")
    for source in config.sources:
        yield directory("fetch", "data", "sources", source)
    for task in config.tasks:
        yield directory("prepare", "data", "tasks", task)
        yield directory("decontaminate", "data", "clean", task)
        yield directory("split", "data", "split", task)
    for name, (task_of, _) in study.training_sets.items():
        yield directory("mix" if task_of is None else "subset", "data", "sets", name)
    for suite in config.suites:
        yield directory("hold_out", "data", "heldout", suite)
        yield directory("suite", "suites", suite)
    for suite in study.code_suites():
        yield directory("ground_truth", "groundtruth", suite)
    nltk_data = config.results / "nltk_data"
    yield Result(nltk_data, "nltk_data", "directory", str(nltk_data / MANIFEST))
    makers = {"gguf": "dequantise", "embedded": "pretrain"}
    for model, entry in config.models.items():
        yield directory(makers.get(entry.kind, "snapshot"), "checkpoints", model, "base")
        yield file("updates", "weights", model, "updates.json")
        if not remote:
            yield file("uncertainty", "uncertainty", f"{model}.json")
    for model, variant in study.checkpoints("sft", "mix"):
        yield directory("sft", "checkpoints", model, variant)
        yield file("layers", "weights", model, f"{variant}.json")
    for model, variant in study.checkpoints("merge"):
        recipe, record = study.recipe(model, variant), directory("", "checkpoints", model, variant)
        yield Result(Path(recipe), "recipe", "recipe", recipe)
        yield Result(record.path, "merge", "record", record.target)
        yield Result(Path(study.weights(model, variant)), "merge", "weights", record.target)
        yield file("merged_layers", "weights", model, f"{variant}.json")
    for model, variant in study.winners():
        yield directory("winner", "winners", model, variant)
    for model, variant in () if remote else study.checkpoints():
        yield directory("generate", "completions", model, variant)
        yield directory("score", "scores", model, variant)
