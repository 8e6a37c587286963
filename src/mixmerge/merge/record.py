"""The record of a merge: what stays when its weights are deleted, and how they come back.

A record is a directory with a merge's ``manifest.json`` (the SHA-256 of every file the merge had)
and ``provenance.json`` (seed, settings, software, and what it was merged from).
"""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from mixmerge.artifacts.manifest import MANIFEST, PROVENANCE
from mixmerge.core.errors import UserError
from mixmerge.core.io import atomic_open, read_json, sha256, write_json


def write_record(weights: Path, record: Path) -> None:
    """Copy a published merge's provenance and, last, its manifest to the record's directory."""
    for name in (PROVENANCE, MANIFEST):
        with atomic_open(record / name, "wb") as file:
            file.write((weights / name).read_bytes())


def holds_recorded(weights: Path, record: Path) -> bool:
    """Whether a directory is a finished merge whose manifest lists the record's very files.

    Manifests are compared, not the files: a merge is published whole or not at all.
    """
    return (weights / MANIFEST).exists() and _files(weights) == _files(record)


def differing(weights: Path, record: Path) -> str | None:
    """The first file of a directory that is not, byte for byte, what a record lists; or None.

    The directory may hold manifest and provenance, and nothing else beside the recorded files.
    """
    recorded = _files(record)
    paths = {path.relative_to(weights).as_posix(): path for path in weights.rglob("*")}
    files = {name: path for name, path in paths.items() if path.is_file()}
    names = files.keys() | recorded.keys()
    for name in sorted(names - {MANIFEST, PROVENANCE}):
        entry, path = recorded.get(name), files.get(name)
        if entry is None or path is None or path.stat().st_size != entry["bytes"]:
            return name
        if sha256(path) != entry["sha256"]:
            return name
    return None


def merge_again(recipe: Path, record: Path, out: Path, *, seed: int, threads: int = 1) -> None:
    """Make the weights of a recorded merge once more, byte for byte.

    Args:
        recipe: the merge's recipe.
        record: its record; shard size and device are taken from it.
        out: target directory, replaced as a whole at the end.
        seed: seed of the random masks.
        threads: CPU threads.

    Raises:
        UserError: the files come out differently; ``out`` is then untouched.
    """
    from mixmerge.merge.execution import merge

    def check(made: Path) -> None:
        if (name := differing(made, record)) is not None:
            raise UserError(
                f"{recipe}: merged again, but {name} is not the file that {record / MANIFEST} "
                f"lists{_changes(made, record)}; the weights that were scored cannot be made "
                f"again. Delete {record / MANIFEST} and run again: the merge and all that stands "
                "below it are then redone"
            )

    settings = read_json(record / PROVENANCE)["settings"]
    machine = {"shard_bytes": settings["shard_bytes"], "device": settings["device"]}
    merge(recipe, out, seed=seed, threads=threads, check=check, **machine)


@contextmanager
def recorded_weights(
    weights: Path, record: Path, recipe: Path, scratch: Path, *, seed: int, threads: int = 1
) -> Iterator[Path]:
    """Yield a directory with the weights of a recorded merge, made again where they are gone.

    Args:
        weights: where they lay when they were made.
        record: the merge's record.
        recipe: its recipe.
        scratch: directory for weights made again; deleted at the end.
        seed: seed of the random masks.
        threads: CPU threads.

    Raises:
        UserError: the weights are gone and come out differently now.
    """
    if holds_recorded(weights, record):
        yield weights
        return
    try:
        merge_again(recipe, record, scratch, seed=seed, threads=threads)
        yield scratch
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


def add_facts(weights: Path, facts: dict[str, Any]) -> None:
    """Add facts, such as which merge it is, to the manifest of a published merge."""
    manifest = read_json(weights / MANIFEST)
    manifest["facts"] |= facts
    write_json(weights / MANIFEST, manifest)


def _files(directory: Path) -> dict[str, Any]:
    files: dict[str, Any] = read_json(directory / MANIFEST)["files"]
    return files


def _changes(made: Path, record: Path) -> str:
    """What differs between the provenance of the two, spelt out; empty where nothing does."""
    new, old = (read_json(path / PROVENANCE) for path in (made, record))
    changes = [
        f"{name} was {old['software'].get(name)}, is {version}"
        for name, version in new["software"].items()
        if version != old["software"].get(name)
    ]
    changes += [f"{name} has changed" for name, digest in new["inputs"].items()
                if digest != old["inputs"].get(name)]  # fmt: skip
    changes += [f"other {key}" for key in ("settings", "seed") if new[key] != old[key]]
    return f" ({'; '.join(changes)})" if changes else ""
