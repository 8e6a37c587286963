"""Files that tests and a solution see of each other: each side's folder is kept like the other's.

Both work in a file system of their own under the same path. What one wrote there goes with its next
message. Programs don't go: a solution's would be found by an import of the tests. Nothing is ever
deleted here.
"""

import hashlib
from pathlib import Path, PurePosixPath
from typing import Any

#: Bounds of what goes with a message, and of what is looked at.
_MOST_BYTES, _MOST_FILES = 16 * 2**20, 500
_PROGRAMS = {".py", ".pyc", ".pyo", ".pyi", ".pyw", ".so", ".pth", ".zip", ".egg", ".whl"}
# A solution's process may have lost its own.
_open = open


class Files:
    """One side's folder.

    Args:
        root: the folder.
    """

    def __init__(self, root: Path) -> None:
        self.root = root
        self._known: dict[str, bytes] = {}

    def changes(self) -> list[list[Any]]:
        """What is new here: ``[path below the root, content]``, None for a folder's content."""
        found: list[list[Any]] = []
        left = _MOST_BYTES
        for full in sorted(self.root.rglob("*")):
            path = full.relative_to(self.root).as_posix()
            if len(self._known) >= _MOST_FILES or full.is_symlink() or not _goes(path):
                continue
            content = None if full.is_dir() else _read(full, left)
            left -= len(content or b"")
            if self._is_new(path, content):
                found.append([path, content])
        return found

    def apply(self, changes: list[list[Any]]) -> None:
        """Write what is new on the other side.

        Raises:
            ValueError: a path that leads out of the folder, or to a program.
            OSError: it can't be written.
        """
        for path, content in changes:
            if not _goes(path) or len(self._known) >= _MOST_FILES:
                raise ValueError(path)
            full = self.root / path
            parent = full if content is None else full.parent
            parent.mkdir(parents=True, exist_ok=True)
            if parent.resolve() != parent or full.is_symlink():
                raise ValueError(path)
            if content is not None:
                with _open(full, "wb") as file:
                    file.write(content)
            self._is_new(path, content)

    def _is_new(self, path: str, content: bytes | None) -> bool:
        digest = b"" if content is None else hashlib.sha256(content).digest()
        new = self._known.get(path) != digest
        self._known[path] = digest
        return new


def _goes(path: str) -> bool:
    parts = PurePosixPath(path).parts
    return (
        bool(parts)
        and not path.startswith("/")
        and ".." not in parts
        and not {"__pycache__", "conftest.py", "pytest.ini"} & set(parts)
        and not any(PurePosixPath(part).suffix.lower() in _PROGRAMS for part in parts)
    )


def _read(path: Path, most: int) -> bytes:
    """A regular file's content, no more than ``most`` bytes of it."""
    if not path.is_file():
        return b""
    try:
        with _open(path, "rb") as file:
            content: bytes = file.read(max(0, most))
            return content
    except OSError:
        return b""
