"""One result held against what is known of it: its manifest, its job's record, its recipe."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

from mixmerge.artifacts.manifest import MANIFEST, PROVENANCE, parse_manifest
from mixmerge.artifacts.record import recorded
from mixmerge.core.errors import UserError
from mixmerge.core.io import sha256
from mixmerge.verify.places import Place


@dataclass(frozen=True)
class Fault:
    """Something that is not what was written, and the way out."""

    path: Path
    problem: str
    way_out: str

    def __str__(self) -> str:
        """One line."""
        return f"{self.path}: {self.problem}; {self.way_out}"


@dataclass(frozen=True)
class Wanted:
    """A file whose bytes are still to be hashed; `listing` says what they should be."""

    path: Path
    bytes: int
    sha256: str
    place: Place
    listing: Path


@dataclass
class Found:
    """What one look at a place, without reading big files, comes to.

    Attributes:
        place: the place.
        state: ``here``; ``absent``: not made yet, or temporary and gone; ``unknown``: here, but
            nothing is recorded of it.
        faults: what is wrong already.
        wanted: files to hash.
        manifest: the manifest's text, to see whether it changed meanwhile; None for a file.
    """

    place: Place
    state: str = "here"
    faults: list[Fault] = field(default_factory=list)
    wanted: list[Wanted] = field(default_factory=list)
    manifest: bytes | None = None


def inspect(place: Place, options: str) -> Found:
    """Look at a place.

    Args:
        place: a result.
        options: of the command line that makes the study, such as ``--configfile X``.
    """
    found = Found(place)
    anchor = _anchor(place)
    if not anchor.exists():
        found.state = "absent"
    elif not anchor.is_file():
        # A pipe would keep its reader waiting for ever.
        found.faults.append(
            Fault(anchor, "is no file (put there by hand)", way_out(place, options))
        )
    elif place.form == "file":
        _look_at_file(found, options)
    elif place.form != "recipe":
        _look_at_directory(found, options)
    return found


def way_out(place: Place, options: str) -> str:
    """How a place is made again, in words for a shell."""
    if place.form == "weights":
        return (
            f"delete {place.path}; the next `snakemake {options} all` merges it again where it is "
            "still needed"
        )
    return f"delete {_anchor(place)}, then `snakemake {options} -- {place.target}` ({place.rule})"


def changed(wanted: Wanted, digest: str, options: str) -> Fault:
    """The fault of a file that holds something else than its manifest lists."""
    listing = wanted.listing
    when = _edited(wanted.path, listing)
    after = "after its manifest" if listing.name == MANIFEST else "after its job"
    how = f"edited on {when}, {after}" if when else "rotted: no time says it was written"
    return Fault(
        wanted.path,
        f"{how}; its SHA-256 is {digest}, {listing} lists {wanted.sha256}",
        way_out(wanted.place, options),
    )


def _anchor(place: Place) -> Path:
    """The file that stands for a place."""
    if place.form in ("file", "recipe", "printed"):
        return place.path
    return place.path / MANIFEST


def _look_at_file(found: Found, options: str) -> None:
    record = recorded(found.place.path)
    if record is None:
        found.state = "unknown"
    elif record["text"].encode() != found.place.path.read_bytes():
        found.faults.append(
            Fault(
                found.place.path,
                "is not what its job wrote (rotted or edited)",
                way_out(found.place, options),
            )
        )


def _look_at_directory(found: Found, options: str) -> None:
    place = found.place
    path = place.path / MANIFEST
    found.manifest = path.read_bytes()
    again = way_out(place, options)
    try:
        manifest = parse_manifest(path)
    except UserError as error:
        text = str(error).removeprefix(f"{path}: ").partition(";")[0]
        found.faults.append(Fault(path, f"damaged: {text}", again))
        return
    record = recorded(place.path)
    if record is not None and record["text"].encode() != found.manifest:
        found.faults.append(Fault(path, "is not the manifest that its job wrote (edited)", again))
    if record is not None and PROVENANCE in record["files"]:
        found.faults += _provenance(place, record["files"][PROVENANCE], again)
    files = {} if place.form == "record" else manifest["files"]
    for name, entry in sorted(files.items()):
        file = place.path / name
        if not _is_file(file):
            found.faults.append(Fault(file, f"missing, but {path} lists it", again))
        elif file.is_symlink():
            # No job makes one: what it points to lies elsewhere, and may go or change there.
            found.faults.append(
                Fault(
                    file,
                    f"is a symbolic link to {file.readlink()} (put there by hand)",
                    "put the file itself there (`cp --remove-destination "
                    f"{file.resolve()} {file}`), or {again}",
                )
            )
        elif file.stat().st_size != entry["bytes"]:
            size = file.stat().st_size
            when = _edited(file, path)
            how = f"edited on {when}" if when else "cut off or damaged"
            problem = f"{how}: {size:,} bytes, {path} lists {entry['bytes']:,}"
            found.faults.append(Fault(file, problem, again))
        else:
            found.wanted.append(Wanted(file, entry["bytes"], entry["sha256"], place, path))
    for file in _unlisted(place.path, files):
        found.faults.append(
            Fault(file, f"put there by hand: {path} does not list it", f"delete {file}")
        )


def _provenance(place: Place, entry: dict[str, Any], again: str) -> Iterator[Fault]:
    file = place.path / PROVENANCE
    if not file.is_file():
        yield Fault(file, "missing, but its job wrote it", again)
    elif sha256(file) != entry["sha256"]:
        yield Fault(file, "is not what its job wrote (rotted or edited)", again)


def _unlisted(directory: Path, files: dict[str, Any]) -> list[Path]:
    known = {MANIFEST, PROVENANCE, *files}
    return sorted(
        path
        for path in directory.rglob("*")
        if (path.is_symlink() or not path.is_dir())
        and path.relative_to(directory).as_posix() not in known
        # NFS calls so what was deleted while somebody read it.
        and not path.name.startswith(".nfs")
    )


def _edited(file: Path, listing: Path) -> str | None:
    """When a file was written, where that was after its manifest or list, which comes last."""
    written = file.stat().st_mtime
    if written <= listing.stat().st_mtime + 1:
        return None
    return f"{datetime.fromtimestamp(written).astimezone():%Y-%m-%d %H:%M}"


def _is_file(path: Path) -> bool:
    """Whether a file is there; a name that no file can have is none."""
    try:
        return path.is_file()
    except (OSError, ValueError):
        return False
