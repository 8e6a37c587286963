"""Records of jobs: one that would only make again what stands already is skipped.

Snakemake runs all below a job, even where its output comes out the same. A hidden record beside an
output ties its content to what it was made from; a kill, an edit and a move need no care.
"""

import json
import os
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from pydantic import BaseModel, Json, ValidationError

from mixmerge.artifacts.fingerprint import fingerprint, software
from mixmerge.artifacts.integrity import Entry, difference, entry_of
from mixmerge.artifacts.manifest import MANIFEST, PROVENANCE
from mixmerge.core.errors import UserError
from mixmerge.core.io import atomic_open, read_json, sha256, write_json

#: In a job's environment: anything but "" and "0" makes every result anew.
FORCE = "MIXMERGE_FORCE"

_LEFT_OUT = {"out", "scratch", "threads", "processes", "nodes"}  # arguments: how a job works


class Record(BaseModel, strict=True):
    """The form of a job's record: what its output was made from, and what came out."""

    identity: Json[dict[str, Any]]  # without the machine: a GPU draws other masks than a CPU
    declared: str  # the file that the rule declares, which Snakemake deletes before it starts a job
    text: str  # of that file
    files: dict[str, Entry]
    seconds: float  # that the work took


def skip_if_unchanged(out: Path, decided_by: Mapping[str, Any], make: Callable[[], object]) -> None:
    """Call ``make``, unless a record says that it would make what stands at ``out`` already.

    Args:
        out: a file, or a directory that ``make`` ends with a manifest.
        decided_by: all that decides what comes out, by name, usually ``vars()`` of the arguments:
            JSON-able settings, and paths (`Path`, also within lists), whose content counts.
        make: makes ``out``; what it raises is passed on, and no record is written then.
    """
    identity, record = _identity(out, decided_by), recorded(out)
    reason = _reason_to_make(out, record, identity)
    if record is not None and reason is None:
        with atomic_open(out / record["declared"]) as file:
            file.write(record["text"])
        print(f"{out}: made from the same; nothing to do ({FORCE}=1 insists)", file=sys.stderr)
        return
    if record is not None:
        print(f"{out}: made anew, because {reason}", file=sys.stderr)
    start = time.monotonic()
    make()
    if identity is None:
        return
    declared = MANIFEST if out.is_dir() else "."
    text = (out / declared).read_text("utf-8")
    files = json.loads(text)["files"] if out.is_dir() else {}
    if (out / PROVENANCE).exists():
        files[PROVENANCE] = entry_of(out / PROVENANCE)
    made = {"identity": identity, "declared": declared, "text": text, "files": files}
    write_json(_path(out), made | {"seconds": round(time.monotonic() - start, 3)})


def recorded(out: Path) -> dict[str, Any] | None:
    """A job's `Record` of ``out``; None where there is none that can be used."""
    try:
        record: dict[str, Any] = read_json(_path(out))
        Record.model_validate(record)
    except (UserError, ValidationError):
        return None
    return record


def _path(out: Path) -> Path:
    return out.with_name(f".{out.name}.made")


def _identity(out: Path, decided_by: Mapping[str, Any]) -> str | None:
    """What decides ``out``, as text: in some settings the order of keys has a meaning.

    None where an input is missing, which ``make`` will say.
    """

    def content(value: Any) -> Any:
        if isinstance(value, Path):
            return sha256(value / MANIFEST if value.is_dir() else value)
        return [content(part) for part in value] if isinstance(value, list | tuple) else value

    script = Path(sys.argv[0])
    try:
        arguments = {key: content(v) for key, v in decided_by.items() if key not in _LEFT_OUT}
    except FileNotFoundError:
        return None
    code = {"code": fingerprint(script), "libraries": software(script)}
    return json.dumps({**arguments, "script": script.name, "output": out.name, **code})


def _reason_to_make(out: Path, record: dict[str, Any] | None, identity: str | None) -> str | None:
    """Why ``out`` must be made; None where all of it stands."""
    if os.environ.get(FORCE, "0") not in ("", "0"):
        return f"{FORCE} is set"
    if record is None or identity is None:
        return "nothing is known of it"
    if record["identity"] != identity:
        old, new = json.loads(record["identity"]), json.loads(identity)
        names = [key for key in sorted({*old, *new}) if old.get(key) != new.get(key)]
        return f"{', '.join(names) or 'the order of settings'} changed"
    # Hours of training against seconds of reading: every byte is looked at.
    changed = difference(out, record["files"], _path(out))
    return None if changed is None else f"{out / changed[0]}: {changed[1]}"
