"""Records of jobs: one that would only make again what stands already is skipped.

Once a job is planned, Snakemake runs all below it, even if that job's output comes out the same. So
a job leaves a hidden record beside its output that says from what it was made and what came out.
Asked for the same again, it puts back the one file that the rule declares, which Snakemake deletes
before it starts a job.

A record ties contents to contents, so a job killed at any moment, a file cut off or edited, and a
repository that was moved or restored from a backup all need no care. What it does not hold is the
machine, as Snakemake's own records do not: a GPU draws other masks than a CPU.
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
from mixmerge.artifacts.integrity import difference, entry_of
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
        decided_by: all that decides what comes out, by name: JSON-able settings, and paths (`Path`,
            also within lists) of which the content counts: a directory's by its manifest. Usually
            ``vars()`` of the arguments; those named in `_LEFT_OUT` are left out.
        make: makes ``out``; what it raises is passed on, and no record is written then.
    """
    identity, record = _identity(out, decided_by), recorded(out)
    reason = _reason_to_make(out, record, identity)
    if record is not None and reason is None:
        with atomic_open(out / record["declared"]) as file:
            file.write(record["text"])
        message = "stands as it was made from the same; nothing to do"
        print(f"{out}: {message} ({FORCE}=1 insists)", file=sys.stderr)
        return
    if record is not None:
        print(f"{out}: made anew, because {reason}", file=sys.stderr)
    start = time.monotonic()
    make()
    if identity is None:
        return
    declared = MANIFEST if out.is_dir() else "."
    text = (out / declared).read_text(encoding="utf-8")
    files = json.loads(text)["files"] if out.is_dir() else {}
    if (out / PROVENANCE).exists():
        files[PROVENANCE] = entry_of(out / PROVENANCE)
    made = {"identity": identity, "declared": declared, "text": text, "files": files}
    write_json(_path(out), made | {"seconds": round(time.monotonic() - start, 3)})


def recorded(out: Path) -> dict[str, Any] | None:
    """What a job's record says of ``out``; None where there is none that can be used.

    It has the ``identity`` of what it was made from, ``declared``, the file that its rule declares,
    with its ``text``, ``files`` with their bytes and SHA-256, and ``seconds`` that the work took.
    """
    try:
        record: dict[str, Any] = read_json(_path(out))
        is_whole = {"identity", "declared"} <= record.keys()
        is_whole = is_whole and isinstance(record["text"], str)
        is_whole = is_whole and isinstance(record["seconds"], int | float)
        entries = record["files"].values()
        is_whole = is_whole and all({"bytes", "sha256"} <= entry.keys() for entry in entries)
    except (UserError, AttributeError, KeyError):
        return None
    return record if is_whole else None


def _path(out: Path) -> Path:
    return out.with_name(f".{out.name}.made")


def _identity(out: Path, decided_by: Mapping[str, Any]) -> dict[str, Any] | None:
    """What decides ``out``; None where an input is missing, which ``make`` will say."""
    script = Path(sys.argv[0])
    try:
        arguments = {key: _content(v) for key, v in decided_by.items() if key not in _LEFT_OUT}
    except FileNotFoundError:
        return None
    code = {"code": fingerprint(script), "libraries": software(script)}
    identity = {"script": script.name, "name": out.name, **code, "arguments": arguments}
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
        old, new = ({**known, **known["arguments"]} for known in (record["identity"], identity))
        names = {key for key in old.keys() | new.keys() if old.get(key) != new.get(key)}
        names -= {"arguments", "digest"}
        return f"{', '.join(sorted(names)) or 'the order of settings'} changed"
    # Hours of training against seconds of reading: every byte is looked at.
    changed = difference(out, record["files"], _path(out))
    return None if changed is None else f"{out / changed[0]}: {changed[1]}"
