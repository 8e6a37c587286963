"""Documented functions of the standard library and of installed packages, split by package."""

import os
import sys
import sysconfig
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from multiprocessing import Pool
from pathlib import Path
from typing import Any

from mixmerge.core.errors import UserError
from mixmerge.data.rows import Row, Seen, progress
from mixmerge.data.settings import PackageSource, Quality
from mixmerge.data.sources import PARTS, Package, chosen_packages
from offline_sources.functions import is_wanted, read_functions

_FOLDERS_OF_OTHERS = {"site-packages", "dist-packages", "__pycache__"}


@dataclass(frozen=True)
class File:
    """One Python file of a package."""

    package: str
    version: str
    place: str
    """Path inside the distribution, with slashes."""
    path: Path


def read_packages(source: PackageSource, name: str) -> Iterator[Row]:
    """Stream the rows of one part, in the order of packages, files and lines.

    A row has the columns of `offline_sources.functions` and ``id``, ``package``, ``version``,
    ``path``. Of rows with the same function (names, code, but not layout or comments) or the same
    docstring (white space and case aside) the first is kept, over all parts: see `PARTS`. What is
    refused is counted on standard error.

    Args:
        source: the section.
        name: its key, for messages.

    Raises:
        UserError: an unknown package, a lock that the environment does not follow, or no files.
    """
    packages = chosen_packages(source, name)
    counts: Counter[str] = Counter()
    functions, docstrings, ids = Seen(), Seen(), Seen()
    # A part needs those before it, for what they took, but none of those after it.
    parts = PARTS[: PARTS.index(source.part) + 1]
    files = [file for part in parts for package in packages[part] for file in _files(package)]
    if not files:
        raise UserError(f"sources.{name}: no package is left to read; see `only` and `lock`")
    part_of = {entry.name: part for part in parts for entry in packages[part]}
    with Pool(source.threads) as pool:
        found = pool.imap(partial(_rows, quality=source.quality), files, chunksize=8)
        bar = progress(zip(files, found, strict=True), f"fetch {name}: files", len(files))
        for file, (rows, refused) in bar:
            mine = part_of[file.package] == source.part
            counts.update(refused if mine else {})
            for row in rows:
                is_new = functions.add(row.pop("key"))
                if not docstrings.add(" ".join(row["docstring"].lower().split())) or not is_new:
                    counts["repeated"] += mine
                elif mine:
                    counts["kept"] += 1
                    yield {"id": _identity(file, row, ids)} | row | _origin(file)
    told = ", ".join(f"{count} {reason}" for reason, count in sorted(counts.items()))
    read = f"{len(packages[source.part])} packages, part {source.part!r}"
    print(f"sources.{name}: functions of {read}: {told}", file=sys.stderr)


def _files(package: Package) -> Iterator[File]:
    """The wanted Python files of a package, sorted by their place."""
    if package.distribution is None:
        found = list(_standard_library())
    else:
        listed = [file for file in package.distribution.files or [] if file.suffix == ".py"]
        # What lies outside site-packages are scripts.
        found = [(f.as_posix(), Path(str(f.locate()))) for f in listed if f.parts[0] != ".."]
    for place, path in sorted(found):
        if is_wanted(place):
            yield File(package.name, package.version, place, path)


def _standard_library() -> Iterator[tuple[str, Path]]:
    root = Path(sysconfig.get_path("stdlib"))
    for folder, folders, names in os.walk(root):
        folders[:] = sorted(set(folders) - _FOLDERS_OF_OTHERS)
        for name in names:
            if name.endswith(".py"):
                path = Path(folder, name)
                yield path.relative_to(root).as_posix(), path


def _rows(file: File, quality: Quality) -> tuple[list[Row], Counter[str]]:
    return read_functions(file.path, quality)


def _identity(file: File, row: Row, ids: Seen) -> str:
    base = f"{file.package}/{file.place.removesuffix('.py')}:{row['name']}"
    name, count = base, 1
    while not ids.add(name):  # a name bound twice, such as a property's setter
        count += 1
        name = f"{base}#{count}"
    return name


def _origin(file: File) -> dict[str, Any]:
    return {"package": file.package, "version": file.version, "path": file.place}
