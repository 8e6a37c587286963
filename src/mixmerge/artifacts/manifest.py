"""Manifests, the edges of the DAG: a directory's ``manifest.json``, written last.

It lists bytes and SHA-256 of each file and facts, and is a function of content alone: how it came
about stands in ``provenance.json``, no rule's input.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ValidationError

from mixmerge.artifacts.integrity import Entry, difference, entry_of
from mixmerge.core.errors import UserError
from mixmerge.core.io import atomic_dir, read_json, sha256, write_json
from mixmerge.core.redaction import redacted_value
from mixmerge.core.section import Section

MANIFEST = "manifest.json"
PROVENANCE = "provenance.json"


class Manifest(BaseModel, strict=True):
    """The form of ``manifest.json``."""

    kind: str
    facts: dict[str, Any]
    files: dict[str, Entry]


@dataclass
class Artifact:
    """A directory that is being made, under its scratch name, and the facts of its manifest."""

    path: Path
    facts: dict[str, Any]


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
        kind: what it is, such as "checkpoint".
        inputs: files (mostly manifests) it is made from, recorded by their SHA-256.
        settings: what the rule passed, a section (without its defaults) or JSON-able.
        seed: the seed of the job, None where nothing is random.
        packages: distributions whose versions matter for the result.
        check: called with the finished directory before it takes its place.
    """
    with atomic_dir(out) as scratch:
        artifact = Artifact(scratch, {})
        yield artifact
        if isinstance(settings, Section):
            settings = settings.model_dump(mode="json", exclude_unset=True)
        software = dict.fromkeys(packages, "absent")
        for package in packages:
            with suppress(PackageNotFoundError):
                software[package] = version(package)
        provenance = {
            "inputs": {path.as_posix(): sha256(path) for path in sorted(inputs)},
            "settings": redacted_value(settings),
            "seed": seed,
            "software": software,
        }
        write_json(scratch / PROVENANCE, provenance)
        write_manifest(scratch, kind, artifact.facts)
        if check is not None:
            check(scratch)


def write_manifest(directory: Path, kind: str, facts: dict[str, Any] | None = None) -> None:
    """List all files below ``directory``, with facts that follow from them; call it last."""
    own = (directory / MANIFEST, directory / PROVENANCE)
    # A dangling link fails here: what it stands for would be left out of the list in silence.
    paths = [path for path in directory.rglob("*") if path not in own and not path.is_dir()]
    files = {path.relative_to(directory).as_posix(): entry_of(path) for path in paths}
    write_json(directory / MANIFEST, {"kind": kind, "facts": facts or {}, "files": files})


def read_manifest(
    directory: Path, kind: str | None = None, *, content: bool = True
) -> dict[str, Any]:
    """Read a directory's manifest, checking its kind, if any, and each file that it lists.

    Where nothing is made of them their sizes do; SHA-256 (``content``) takes 2 seconds for 3 GB.
    """
    if not (path := directory / MANIFEST).exists():
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
    """A file's content as a `Manifest`; `UserError` where it is none, or lacks a fact asked for."""

    class Facts(dict[str, Any]):
        def __missing__(self, name: str) -> Any:
            problem = "it was edited, or another version of mixmerge wrote it"
            raise UserError(f"{path}: has no fact {name!r}; {problem}. Delete it and run again")

    manifest = read_json(path)
    try:
        Manifest.model_validate(manifest)
    except ValidationError:
        raise UserError(f"{path}: is no manifest; delete it and run again") from None
    for name in manifest["files"]:
        # What cannot be printed can be no name of ours either.
        if not name.isprintable() or name.startswith("/") or {"", "..", "."} & set(name.split("/")):
            raise UserError(f"{path}: names a file elsewhere: {name!r}; delete it and run again")
    return {**manifest, "facts": Facts(manifest["facts"])}
