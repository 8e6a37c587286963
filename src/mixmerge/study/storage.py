"""Where a study's results stand: below its root, or some of them on an S3 bucket.

What is on the bucket reaches jobs as local copies that Snakemake's storage plugin keeps. A
directory of results is a unit to its stage, but the bucket knows objects: there every file of the
directory is named, where on a file system its manifest stands for all.
"""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from mixmerge.artifacts.manifest import MANIFEST, PROVENANCE
from mixmerge.study.plan import Study

#: Summary of a checkpoint's scores; `mixmerge.report.scores.scores_path` reads it.
_SCORES = "scores.json"


def check_storage(study: Study, settings: Mapping[str, Any]) -> None:
    """Ask the bucket, where there is one, whether it is there; before a `Shelf` is made.

    Args:
        study: names the bucket in its config.
        settings: Snakemake's ``workflow.storage_provider_settings``.

    Raises:
        UserError: it is not, or its keys are wrong.
    """
    if study.config.storage is not None:
        from mixmerge.study.bucket import check_bucket

        found = settings.get("s3")
        check_bucket(study.config.storage, found and found.get_settings(None))


class Shelf:
    """Paths of the results that a bucket can hold: completions, scores, tables.

    Attributes:
        root: the directory in which jobs find these results: the study's root, or the root of
            their local copies.
    """

    def __init__(self, study: Study, on_bucket: Callable[..., str] | None = None) -> None:
        """Take the study's paths, or its bucket's.

        Args:
            study: names the suites and, in its config, the bucket.
            on_bucket: Snakemake's ``storage.s3``; needed where the config names a bucket.
        """
        self._study = study
        self._on_bucket = on_bucket if study.config.storage is not None else None
        self._prefix = f"{study.config.storage}/{study.config.study}"
        if self._on_bucket is not None:
            from mixmerge.study.bucket import listing

            listing(self._on_bucket, self._prefix)
        self.root = Path(self.file(MANIFEST)).parent

    @property
    def remote(self) -> bool:
        """Whether these results are on a bucket."""
        return self._on_bucket is not None

    def file(self, *parts: str, keep: bool = False) -> str:
        """A file, to be named in a rule.

        Args:
            parts: path below the study's root.
            keep: whether the local copy stays when the run is over.
        """
        if self._on_bucket is None:
            return self._study.path(*parts)
        query = "/".join([self._prefix, *parts])
        return self._on_bucket(query, keep_local=True) if keep else self._on_bucket(query)

    def directory(self, kind: str, model: str, variant: str) -> list[str]:
        """The files of a checkpoint's ``completions`` or ``scores``, as the rule's outputs.

        The manifest is the first of them; on a file system it stands for all.
        """
        if not self.remote:
            return [self._study.manifest(kind, model, variant)]
        return [*self.content(kind, model, variant), self.file(kind, model, variant, PROVENANCE)]

    def content(self, kind: str, model: str, variant: str) -> list[str]:
        """The same as a rule's inputs: without the provenance, which no rule depends on."""
        names = [MANIFEST]
        if self.remote:
            names += [_SCORES] if kind == "scores" else []
            names += [f"{suite}.jsonl" for suite in self._study.config.suites]
        return [self.file(kind, model, variant, name) for name in names]

    def summary(self, model: str, variant: str) -> str:
        """What tables read of a checkpoint's scores."""
        return self.file("scores", model, variant, _SCORES if self.remote else MANIFEST)

    def provenance(self) -> list[str]:
        """How completions and scores came about: the verdict's costs are read from it.

        Empty where it lies at hand anyway.
        """
        if not self.remote:
            return []
        return [
            self.file(kind, model, variant, PROVENANCE)
            for kind in ("completions", "scores")
            for model, variant in self._study.checkpoints()
        ]
