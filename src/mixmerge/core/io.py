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
        return isinstance(error, PermissionError)  # another user's, which /proc may hide
    return True


@contextmanager
def atomic_open(path: Path, mode: str = "w") -> Iterator[IO[Any]]:
    """Open a scratch file beside ``path`` and rename it into place when the block ends well."""
    path.parent.mkdir(parents=True, exist_ok=True)
    scratch = _scratch(path)
    try:
        with scratch.open(mode, encoding=None if "b" in mode else "utf-8") as file:
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


def read_json(path: Path) -> dict[str, Any]:
    """Read a JSON object; `UserError` with file and line where it is none or cannot be read."""
    try:
        return parse_object(path.read_bytes(), path)
    except OSError as error:
        raise _unreadable(path, error) from None


def parse_object(content: bytes, path: Path, number: int | None = None) -> dict[str, Any]:
    """The JSON object in a file, or in its line of this number; `UserError` where it is none."""
    line = number
    try:
        # Decoded here: `json` itself would take UTF-16 and UTF-32. Some editors begin a file with
        # a mark of its encoding.
        value = json.loads(content.decode("utf-8" if number else "utf-8-sig"))
    except UnicodeDecodeError as error:
        problem = f"not UTF-8: {error.reason} at byte {error.start}; convert the file"
    except json.JSONDecodeError as error:
        problem = f"not valid JSON: {error.msg} at column {error.colno}"
        line = number or error.lineno
    except RecursionError:
        problem = "nested too deep to be read"
    except ValueError:  # Python reads no whole number of more than 4300 digits
        problem = "holds a number with thousands of digits; write it as text"
    else:
        if isinstance(value, dict):
            return value
        problem = f"expected a JSON object, found {type(value).__name__}"
    advice = "mend or delete that line" if number else "mend it, or make or fetch the file again"
    raise UserError(f"{path}:{f'{line}:' if line else ''} {problem}; {advice}")


def _unreadable(path: Path, error: OSError) -> UserError:
    if isinstance(error, FileNotFoundError):
        return UserError(f"{path}: file not found; put it back, or run again what makes it")
    return UserError(f"{path}: cannot be read: {error.strerror or error}; mend or make it again")


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
                yield parse_object(line, path, number)


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
