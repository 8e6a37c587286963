"""Files: atomic writes, JSON with messages for people, hashes; and seeds, which are hashes too.

A reader sees the old file or the new one, never half of either.
"""

import glob
import hashlib
import json
import os
import platform
import shutil
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from json import JSONDecodeError
from pathlib import Path
from typing import IO, Any

from mixmerge.core.errors import UserError


def _scratch(path: Path) -> Path:
    """The name to write under before ``path`` is replaced: this host's and process's alone.

    What a killed process of this host left there is deleted; another host's may still be written.
    """
    mine = f".{path.name}.{platform.node()}."
    for left in path.parent.glob(f"{glob.escape(mine)}*.tmp"):
        pid = left.name.removeprefix(mine).removesuffix(".tmp")
        if pid.isdigit() and (int(pid) == os.getpid() or not _is_running(int(pid))):
            shutil.rmtree(left) if left.is_dir() else left.unlink()
    return path.with_name(f"{mine}{os.getpid()}.tmp")


def _is_running(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except OSError as error:
        return isinstance(error, PermissionError)  # another user's
    return True


@contextmanager
def atomic_open(path: Path, mode: str = "w") -> Iterator[IO[Any]]:
    """Open a scratch file beside ``path`` and rename it into place when the block ends well."""
    path.parent.mkdir(parents=True, exist_ok=True)
    scratch = _scratch(path)
    try:
        encoding = None if "b" in mode else "utf-8"
        with scratch.open(mode, encoding=encoding, newline=None if "b" in mode else "\n") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        scratch.replace(path)
    finally:
        scratch.unlink(missing_ok=True)


@contextmanager
def atomic_dir(path: Path) -> Iterator[Path]:
    """Yield an empty scratch directory that becomes ``path`` when the block ends well."""
    path.parent.mkdir(parents=True, exist_ok=True)
    scratch = _scratch(path)
    scratch.mkdir()
    try:
        yield scratch
        replace_dir(scratch, path)
    finally:
        if scratch.exists():
            shutil.rmtree(scratch)


def replace_dir(source: Path, target: Path) -> None:
    """Rename directory ``source`` to ``target`` on its file system, replacing what stands there.

    That is moved aside first and deleted last: a crash leaves one of the two whole.
    """
    old = target.with_name(f".{target.name}.{os.getpid()}.old")
    if target.exists():
        target.rename(old)
    source.rename(target)
    if old.exists():
        shutil.rmtree(old)


def write_json(path: Path, value: Any) -> None:
    """Write ``value`` as stable, readable JSON (sorted keys, final newline), atomically."""
    with atomic_open(path) as file:
        json.dump(value, file, indent=2, sort_keys=True, ensure_ascii=False, allow_nan=False)
        file.write("\n")


def read_json(path: Path) -> Any:
    """Read JSON; `UserError` with file, line and column where it is none or cannot be read."""
    try:
        # Some editors begin a file with a mark of its encoding.
        return json.loads(path.read_text(encoding="utf-8-sig"))
    except (ValueError, RecursionError, OSError) as error:
        raise _unreadable(path, error) from None


def _unreadable(path: Path, error: Exception) -> UserError:
    advice = "; mend it, or make or fetch the file again"
    if isinstance(error, FileNotFoundError):
        advice = "; put it back, or run again what makes it"
    place = f"{path}:{error.lineno}:{error.colno}" if isinstance(error, JSONDecodeError) else path
    return UserError(f"{place}: {_reason(error)}{advice}")


def _reason(error: Exception) -> str:
    """Why a file, or a line of one, could not be read as JSON."""
    match error:
        case UnicodeDecodeError():
            return f"not UTF-8: {error.reason} at byte {error.start}; convert the file"
        case JSONDecodeError():
            return f"not valid JSON: {error.msg} at column {error.colno}"
        case FileNotFoundError():
            return "file not found"
        case IsADirectoryError():
            return "is a directory, not a file"
        case OSError():
            return f"cannot be read: {error.strerror or error}"
        case RecursionError():
            return "nested too deep to be read"
    # Python reads no whole number of more than 4300 digits.
    return "holds a number with thousands of digits; write it as text"


def read_object(path: Path) -> dict[str, Any]:
    """Read a JSON object; raises `UserError` as `read_json` does, or where it is something else."""
    value = read_json(path)
    if not isinstance(value, dict):
        raise UserError(
            f"{path}: expected a JSON object, found {type(value).__name__}; write the file again"
        )
    return value


def write_jsonl(path: Path, rows: Iterable[dict[str, Any]]) -> int:
    """Write one JSON object a line, atomically and streaming; returns the number of rows."""
    count = 0
    with atomic_open(path, "wb") as file:
        for count, row in enumerate(rows, start=1):  # noqa: B007
            file.write(encode_line(row))
    return count


def encode_line(row: dict[str, Any]) -> bytes:
    """One row as one line with its line break; the same bytes for the same content."""
    text = json.dumps(row, ensure_ascii=False, sort_keys=True, allow_nan=False)
    try:
        return text.encode() + b"\n"
    except UnicodeEncodeError:  # half of an emoji, escaped in the source: all is kept escaped
        return json.dumps(row, sort_keys=True, allow_nan=False).encode() + b"\n"


def read_jsonl(path: Path) -> Iterator[dict[str, Any]]:
    """Stream one JSON object a line (blank lines skipped); `UserError` where a line is none."""
    try:
        file = path.open("rb")
    except OSError as error:
        raise _unreadable(path, error) from None
    with file:
        for number, line in enumerate(file, start=1):
            if line.strip():
                yield parse_line(line, path, number)


def parse_line(line: bytes, path: Path, number: int) -> dict[str, Any]:
    """Decode one line of JSON lines; raises `UserError` where it is no object."""
    try:
        # Decoded here: `json` itself would take UTF-16 and UTF-32, line by line.
        row = json.loads(line.decode())
    except (ValueError, RecursionError) as error:
        problem = _reason(error)
    else:
        if isinstance(row, dict):
            return row
        problem = f"expected a JSON object, found {type(row).__name__}"
    raise UserError(f"{path}:{number}: {problem}; mend or delete that line")


def sha256(path: Path) -> str:
    """SHA-256 of a file's bytes, hexadecimal."""
    with path.open("rb", buffering=0) as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def digest(text: str, size: int) -> bytes:
    """BLAKE2b of a text, lone surrogates included: ``size`` bytes, the same in every process."""
    return hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=size).digest()


def derived_seed(study_seed: int, *names: str) -> int:
    """A 31-bit seed from the study's and the names of a node and a purpose, from nothing else."""
    text = "\x1f".join([str(study_seed), *names])
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:4], "big") & 0x7FFFFFFF
