"""Manifests: the small files that are the edges of the DAG.

A rule that makes a directory writes ``manifest.json`` into it last. It lists bytes and SHA-256 of
each file and a few facts that readers need, and no time, host or version: the same content gives
the same bytes, and Snakemake, which compares small files by checksum, stops there when an upstream
re-run changed nothing. How the content came about stands beside it in ``provenance.json``, which no
rule depends on.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from mixmerge.artifacts.integrity import difference, entry_of
from mixmerge.core.errors import UserError
from mixmerge.core.io import atomic_dir, read_json, sha256, write_json
from mixmerge.core.redaction import redacted_value
from mixmerge.core.section import Section

MANIFEST = "manifest.json"
PROVENANCE = "provenance.json"


@dataclass
class Artifact:
    """A directory that is being made, under its scratch name, and the facts of its manifest."""

    path: Path
    facts: dict[str, Any] = field(default_factory=dict)


@contextmanager
def publish(
    out: Path,
    kind: str,
    *,
    inputs: Sequence[Path],
    settings: Any,
    seed: int | None = None,
    packages: Sequence[str] = (),
    check: Callable[[Path], None] | None = None,
) -> Iterator[Artifact]:
    """Replace directory ``out`` by what the block makes, with provenance and manifest, or not.

    Args:
        out: target directory.
        kind: what it is ("checkpoint", "rows", "completions", ...).
        inputs: files (mostly manifests) it is made from; their SHA-256 is recorded, so that any
            number can be followed down to the weights and rows it came from.
        settings: what the rule passed, a section (without its defaults) or JSON-able.
        seed: the seed of the job, None where nothing is random.
        packages: distributions whose versions matter for the result.
        check: called with the finished directory before it takes its place.
    """
    with atomic_dir(out) as scratch:
        artifact = Artifact(scratch)
        yield artifact
        if isinstance(settings, Section):
            settings = settings.model_dump(mode="json", exclude_unset=True)
        provenance = {
            "inputs": {path.as_posix(): sha256(path) for path in sorted(inputs)},
            "settings": redacted_value(settings),
            "seed": seed,
            "software": {package: _version(package) for package in packages},
        }
        write_json(scratch / PROVENANCE, provenance)
        write_manifest(scratch, kind, artifact.facts)
        if check is not None:
            check(scratch)


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "absent"


def write_manifest(directory: Path, kind: str, facts: dict[str, Any] | None = None) -> None:
    """Write ``manifest.json``, which lists all files below ``directory``; call it last.

    Facts are small values for downstream readers, such as row counts; a function of the content.
    """
    paths = [path for path in directory.rglob("*") if path.is_file()]
    own = (directory / MANIFEST, directory / PROVENANCE)
    files = {p.relative_to(directory).as_posix(): entry_of(p) for p in paths if p not in own}
    write_json(directory / MANIFEST, {"kind": kind, "facts": facts or {}, "files": files})


def read_manifest(
    directory: Path, kind: str | None = None, *, content: bool = True
) -> dict[str, Any]:
    """Read a directory's manifest, checking its kind and that each listed file is what it lists.

    Args:
        directory: the one with the manifest.
        kind: the kind that it must be of; any where None.
        content: whether the files' SHA-256 are compared, not their sizes alone. So it is wherever
            something is made of them; a checkpoint of 3 GB takes 2 seconds.
    """
    path = directory / MANIFEST
    if not path.exists():
        raise UserError(f"{path}: no manifest; {directory} is unfinished. Run its rule again.")
    manifest = parse_manifest(path)
    if kind is not None and manifest["kind"] != kind:
        raise UserError(f"{path}: is a {manifest['kind']!r}, expected a {kind!r}")
    if changed := difference(directory, manifest["files"], path, content):
        name, problem = changed
        raise UserError(
            f"{directory / name}: {problem}. Delete {path} and run again, which makes it anew; "
            "`snakemake verify` looks through all of the study's files"
        )
    return manifest


def parse_manifest(path: Path) -> dict[str, Any]:
    """A manifest file's content, of the right form; `UserError` where it is none."""
    manifest = read_json(path)
    try:
        is_valid = "kind" in manifest and isinstance(manifest["facts"], dict)
        for entry in manifest["files"].values():
            is_valid &= isinstance(entry["bytes"], int) and isinstance(entry["sha256"], str)
    except (AttributeError, KeyError, TypeError):
        is_valid = False
    if not is_valid:
        raise UserError(f"{path}: is no manifest; delete it and run again")
    for name in manifest["files"]:
        # What cannot be printed can be no name of ours either.
        if not name.isprintable() or name.startswith("/") or {"", "..", "."} & set(name.split("/")):
            raise UserError(f"{path}: names a file elsewhere: {name!r}; delete it and run again")
    facts = _Facts(manifest["facts"])
    facts._path = path
    return {**manifest, "facts": facts}


class _Facts(dict[str, Any]):
    """The facts of a manifest; one that is asked for and not there is the user's to mend."""

    _path: Path

    def __missing__(self, name: str) -> Any:
        raise UserError(
            f"{self._path}: has no fact {name!r}; it was edited or written by another version of "
            "mixmerge. Delete it and run again"
        )
