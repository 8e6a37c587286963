"""Which files of installed distributions a box needs to import them."""

import functools
import importlib.metadata
from collections.abc import Iterable, Iterator
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from judgebox.backend import PackageError

#: What the harnesses import.
_NEEDED = ("numpy", "msgpack", "pytest")
#: Left out where they are not installed: the names that a box offers unless told otherwise.
_OPTIONAL = ("pandas", "scipy", "sympy", "networkx")
#: Folders that are one distribution's alone though they hold no ``__init__.py``.
_WHOLE = (".libs", ".dist-info", ".egg-info")


def site_entries(packages: Iterable[str]) -> dict[str, Path]:
    """Files and folders of distributions and of what they require.

    Args:
        packages: names of distributions.

    Returns:
        Path below site-packages (``numpy``, ``numpy.libs``, ``six.py``) -> where it is.

    Raises:
        PackageError: a named distribution is not installed, or not by copies of its files.
    """
    entries: dict[str, Path] = {}
    for distribution in _closure([*_NEEDED, *packages]):
        entries |= _entries(distribution)
    return entries


def _closure(names: Iterable[str]) -> Iterator[importlib.metadata.Distribution]:
    waiting = [(name, False) for name in names]
    done: set[str] = set()
    while waiting:
        name, needed = waiting.pop()
        if canonicalize_name(name) in done:
            continue
        done.add(canonicalize_name(name))
        try:
            distribution = importlib.metadata.distribution(name)
        except importlib.metadata.PackageNotFoundError as error:
            if needed or name in _OPTIONAL:
                continue
            raise PackageError(
                f"{name!r} is not installed here, so that no program could "
                f"import it; install it (pip install {name}) or take it off the list"
            ) from error
        yield distribution
        for text in distribution.requires or []:
            requirement = Requirement(text)
            if requirement.marker is None or requirement.marker.evaluate({"extra": ""}):
                waiting.append((requirement.name, True))


@functools.cache
def _entries(distribution: importlib.metadata.Distribution) -> dict[str, Path]:
    files = {
        file.parts
        for file in distribution.files or []
        if file.parts[0] not in ("..", "__pycache__", "/") and file.suffix != ".pth"
    }
    names = set(_cut(files, 1))
    if not any(name.endswith(".py") or "." not in name for name in names):
        raise PackageError(
            f"{distribution.name!r} is installed in a way that leaves its "
            "files elsewhere (editable, or without a RECORD), so a box can't be given them; "
            f"install a copy (pip install {distribution.name}) or take it off the list"
        )
    return {name: Path(str(distribution.locate_file(name))) for name in names}


def _cut(files: set[tuple[str, ...]], depth: int) -> Iterator[str]:
    """The shortest paths that belong to this distribution alone."""
    for head in {parts[:depth] for parts in files}:
        below = {parts for parts in files if parts[:depth] == head and len(parts) > depth}
        whole = not below or (*head, "__init__.py") in below or head[-1].endswith(_WHOLE)
        if whole:
            yield "/".join(head)
        else:  # a namespace package, which other distributions may share
            yield from _cut(below, depth + 1)
