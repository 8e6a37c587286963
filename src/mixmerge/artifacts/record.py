"""Records of jobs: one that would only make again what stands already is skipped.

Once a job is planned, Snakemake runs all below it, even if that job's output comes out the same. So
a job looks for itself. When it has made something it leaves a record
beside it, a hidden file that says from what it was made (the contents of its inputs, its settings,
its code, the versions of its libraries) and what came out (each file's size and SHA-256, and the
text of the one file that the rule declares, which Snakemake deletes before it starts a job). Asked
for the same again, the job checks every byte of what came out and puts the declared file back.

A record never lies: it ties contents to contents, so a job killed at any moment, a file cut off or
edited, and a repository that was moved or restored from a backup all need no care. What it does not
hold is the machine, as Snakemake's own records do not: a GPU draws other masks than a CPU.
"""

import hashlib
import json
import os
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from mixmerge.artifacts.fingerprint import fingerprint, software
from mixmerge.artifacts.manifest import MANIFEST, PROVENANCE
from mixmerge.core.errors import UserError
from mixmerge.core.io import atomic_open, read_json, sha256, write_json

#: In a job's environment: anything but "" and "0" makes every result anew.
FORCE = "MIXMERGE_FORCE"

#: Arguments that say where and how a job works, not what comes out.
_LEFT_OUT = {"out", "scratch", "threads", "processes", "nodes"}


def skip_if_unchanged(out: Path, decided_by: Mapping[str, Any], make: Callable[[], object]) -> None:
    """Call ``make``, unless a record says that it would make what stands at ``out`` already.

    Call it before anything heavy is imported.

    Args:
        out: a file, or a directory that ``make`` ends with a manifest.
        decided_by: all that decides what comes out, by name: settings (JSON-able), and paths, also
            within lists and tuples, of which the content counts: a directory's by its manifest.
            Usually ``vars()`` of the arguments; those named in `_LEFT_OUT` are left out. A path
            that is given as text would count by its name, so give paths as `Path`.
        make: makes ``out``; what it raises is passed on, and no record is written then.
    """
    identity = _identity(out, decided_by)
    record = _read(out)
    reason = _reason_to_make(out, record, identity)
    if reason is None:
        assert record is not None
        with atomic_open(out / record["declared"]) as file:
            file.write(record["text"])
        _log(f"{out}: stands as it was made from the same; nothing to do ({FORCE}=1 insists)")
        return
    if record is not None:
        _log(f"{out}: made anew, because {reason}")
    start = time.monotonic()
    make()
    if identity is not None:
        _keep(out, identity, time.monotonic() - start)


def seconds(out: Path) -> float | None:
    """Seconds that ``out`` took when it was made; None where that is not known.

    The benchmark file of a job that ended at once says nothing of the work behind its output.
    """
    record = _read(out)
    return None if record is None else float(record["seconds"])


def recorded(out: Path) -> dict[str, Any] | None:
    """What a job's record says of ``out``; None where there is no record.

    Returns:
        ``text`` of the declared file as it was written, and ``files``: name -> bytes and SHA-256.
    """
    record = _read(out)
    return None if record is None else {name: record[name] for name in ("text", "files")}


def _identity(out: Path, decided_by: Mapping[str, Any]) -> dict[str, Any] | None:
    """What decides ``out``; None where an input is missing, which ``make`` will say."""
    script = Path(sys.argv[0])
    try:
        arguments = {key: _content(v) for key, v in decided_by.items() if key not in _LEFT_OUT}
    except FileNotFoundError:
        return None
    identity = {
        "script": script.name,
        "name": out.name,
        "code": fingerprint(script),
        "libraries": software(script),
        "arguments": arguments,
    }
    # Compared as text: in some settings the order of keys has a meaning.
    text = json.dumps(identity, ensure_ascii=False)
    return identity | {"digest": hashlib.sha256(text.encode()).hexdigest()}


def _content(value: Any) -> Any:
    """The value with each path replaced by the digest of what is there."""
    if isinstance(value, Path):
        return sha256(value / MANIFEST if value.is_dir() else value)
    if isinstance(value, list | tuple):
        return [_content(part) for part in value]
    return value


def _reason_to_make(
    out: Path, record: dict[str, Any] | None, identity: dict[str, Any] | None
) -> str | None:
    """Why ``out`` must be made; None where all of it stands."""
    if os.environ.get(FORCE, "0") not in ("", "0"):
        return f"{FORCE} is set"
    if record is None or identity is None:
        return "nothing is known of it"
    if record["identity"]["digest"] != identity["digest"]:
        return _differences(record["identity"], identity)
    for name, entry in record["files"].items():
        file = out / name
        if not file.is_file() or file.stat().st_size != entry["bytes"]:
            return f"{file} is missing or was cut off"
        # Hours of training against seconds of reading: every byte is looked at.
        if sha256(file) != entry["sha256"]:
            return f"{file} was changed"
    return None


def _differences(old: dict[str, Any], new: dict[str, Any]) -> str:
    """The names of what differs between two identities."""
    before, now = ({**identity, **identity["arguments"]} for identity in (old, new))
    names = {key for key in before.keys() | now.keys() if before.get(key) != now.get(key)}
    names -= {"arguments", "digest"}
    return f"{', '.join(sorted(names)) or 'the order of settings'} changed"


def _keep(out: Path, identity: dict[str, Any], spent: float) -> None:
    """Write the record of what was just made."""
    declared = MANIFEST if out.is_dir() else "."
    text = (out / declared).read_text(encoding="utf-8")
    files = {}
    if out.is_dir():
        files = json.loads(text)["files"]
        provenance = out / PROVENANCE
        if provenance.exists():
            entry = {"bytes": provenance.stat().st_size, "sha256": sha256(provenance)}
            files[PROVENANCE] = entry
    record = {
        "identity": identity,
        "declared": declared,
        "text": text,
        "files": files,
        "seconds": round(spent, 3),
    }
    write_json(_record(out), record)


def _read(out: Path) -> dict[str, Any] | None:
    """The record of ``out``; None where there is none, or one that is no longer readable."""
    try:
        record: dict[str, Any] = read_json(_record(out))
        whole = {"identity", "declared", "text", "files", "seconds"} <= record.keys()
        # One that was edited is as good as none.
        whole = whole and isinstance(record["text"], str) and isinstance(record["files"], dict)
        whole = whole and all(
            {"bytes", "sha256"} <= entry.keys() for entry in record["files"].values()
        )
    except (UserError, AttributeError, UnicodeDecodeError):
        return None
    return record if whole else None


def _record(out: Path) -> Path:
    return out.with_name(f".{out.name}.made")


def _log(message: str) -> None:
    print(message, file=sys.stderr)
