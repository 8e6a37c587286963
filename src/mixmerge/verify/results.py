"""The results of a study that have a digest, and the rule that makes each of them."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from mixmerge.artifacts.integrity import read_sums
from mixmerge.artifacts.manifest import MANIFEST
from mixmerge.config.study import EmbeddedBase, GgufModel
from mixmerge.core.errors import UserError
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


@dataclass(frozen=True)
class ListedFile:
    """A file whose bytes are to be hashed, and what a manifest or list says of it."""

    path: Path
    bytes: int
    sha256: str
    listing: Path


@dataclass
class Result:
    """One result, and what is known of it so far.

    Attributes:
        path: a directory with a manifest, or a single file.
        rule: the rule that makes it.
        form: ``directory``; ``record`` of a merge, whose files lie elsewhere; ``weights`` of a
            merge, which are deleted once they were read; ``file``, known by its job's record;
            ``recipe``; ``listed``, a file of the report in its job's list.
        target: what to ask Snakemake for.
        faults: what is wrong, one line each.
        files: what is still to be hashed.
        manifest: the manifest as it was read, to see whether a job replaces it meanwhile.
    """

    path: Path
    rule: str
    form: Literal["directory", "record", "weights", "file", "recipe", "listed"]
    target: str
    faults: list[str] = field(default_factory=list)
    files: list[ListedFile] = field(default_factory=list)
    manifest: bytes | None = None

    @property
    def anchor(self) -> Path:
        """The file that stands for the result: its manifest, or the file itself."""
        has_manifest = self.form in ("directory", "record", "weights")
        return self.path / MANIFEST if has_manifest else self.path


def results_of(study: Study, remote: bool = False) -> list[Result]:
    """All results of a study that have a digest, made or not, but for the report's files.

    Args:
        study: the plan.
        remote: whether completions, scores and uncertainty lie on a bucket: they are left out.
    """
    config = study.config
    found: list[Result] = []

    def directory(rule: str, *parts: str) -> None:
        path = Path(study.path(*parts))
        found.append(Result(path, rule, "directory", study.manifest(*parts)))

    def file(rule: str, *parts: str) -> None:
        path = study.path(*parts)
        found.append(Result(Path(path), rule, "file", path))

    embedded = any(isinstance(source, EmbeddedSource) for source in config.sources.values())
    if embedded or study.models_of_kind("embedded"):
        directory("corpus", "data", "corpus")
    for source in config.sources:
        directory("fetch", "data", "sources", source)
    for task in config.tasks:
        for rule, folder in (("prepare", "tasks"), ("decontaminate", "clean"), ("split", "split")):
            directory(rule, "data", folder, task)
    for name, (task_of, _) in study.training_sets.items():
        directory("mix" if task_of is None else "subset", "data", "sets", name)
    for suite in config.suites:
        directory("hold_out", "data", "heldout", suite)
        directory("suite", "suites", suite)
    for suite in study.code_suites():
        directory("ground_truth", "groundtruth", suite)
    nltk_data = config.results / "nltk_data"
    found.append(Result(nltk_data, "nltk_data", "directory", str(nltk_data / MANIFEST)))
    for model, entry in config.models.items():
        rule = "dequantise" if isinstance(entry, GgufModel) else "snapshot"
        rule = "pretrain" if isinstance(entry, EmbeddedBase) else rule
        directory(rule, "checkpoints", model, "base")
        file("updates", "weights", model, "updates.json")
        if not remote:
            file("uncertainty", "uncertainty", f"{model}.json")
    for model, variant in study.checkpoints("sft", "mix"):
        directory("sft", "checkpoints", model, variant)
        file("layers", "weights", model, f"{variant}.json")
    for model, variant in study.checkpoints("merge"):
        recipe, target = study.recipe(model, variant), study.manifest("checkpoints", model, variant)
        found += [
            Result(Path(recipe), "recipe", "recipe", recipe),
            Result(Path(target).parent, "merge", "record", target),
            Result(Path(study.weights(model, variant)), "merge", "weights", target),
        ]
        file("merged_layers", "weights", model, f"{variant}.json")
    for model, variant in study.winners():
        directory("winner", "winners", model, variant)
    for model, variant in () if remote else study.checkpoints():
        directory("generate", "completions", model, variant)
        directory("score", "scores", model, variant)
    return found


def listed_results(study: Study, options: str) -> list[Result]:
    """The files of the report, by the lists that their jobs left.

    Args:
        study: the plan.
        options: of the command line that makes the study, such as ``--configfile X``.
    """
    found: list[Result] = []
    for rule, name in LISTS.items():
        listing = study.root / name
        if not listing.is_file():
            continue
        try:
            sums = read_sums(listing)
        except UserError as error:
            way_out = f"delete it, then `snakemake {options} -R {rule}`"
            found.append(Result(listing, rule, "listed", str(listing), [f"{error}; {way_out}"]))
            continue
        for path, digest in sums.items():
            result = Result(path, rule, "listed", str(path))
            if path.is_symlink() or (path.exists() and not path.is_file()):
                result.faults.append(
                    f"{path}: is no file (put there by hand); delete {path}, then "
                    f"`snakemake {options} -- {path}` ({rule})"
                )
            elif not path.exists():
                result.faults.append(
                    f"{path}: missing, but {listing} lists it; `snakemake {options} -- {path}` "
                    f"makes it again ({rule})"
                )
            else:
                result.files.append(ListedFile(path, path.stat().st_size, digest, listing))
            found.append(result)
    return found
