"""Documented functions of the standard library and of installed packages, split by package."""

import os
import platform
import re
import sys
import sysconfig
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import partial
from importlib.metadata import Distribution, distributions
from multiprocessing import Pool
from pathlib import Path
from typing import Any

from packaging.utils import canonicalize_name

from mixmerge.core.errors import UserError, nearest, one_line
from mixmerge.core.io import digest
from mixmerge.data.rows import Row, progress
from mixmerge.data.settings import PackageSource, Quality
from offline_sources.functions import is_wanted, read_functions

#: The standard library, which is no distribution.
PYTHON = "python"

#: Parts of the packages, in the order in which a repeated function or docstring finds its place.
PARTS = ("test", "validation", "train")

_PIN = re.compile(r"^([A-Za-z0-9][A-Za-z0-9._-]*)\s*==\s*([^\s;#]+)", re.MULTILINE)

_FOLDERS_OF_OTHERS = {"site-packages", "dist-packages", "__pycache__"}


@dataclass(frozen=True)
class Package:
    """An installed distribution, or the standard library."""

    name: str
    version: str
    distribution: Distribution | None


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
    functions: set[bytes] = set()
    docstrings: set[bytes] = set()
    ids: set[bytes] = set()
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
                function, docstring = row.pop("key"), one_line(row["docstring"].lower())
                is_new = _added(function, functions)
                if not _added(docstring, docstrings) or not is_new:
                    counts["repeated"] += mine
                elif mine:
                    counts["kept"] += 1
                    yield {"id": _identity(file, row, ids)} | row | _origin(file)
    told = ", ".join(f"{count} {reason}" for reason, count in sorted(counts.items()))
    read = f"{len(packages[source.part])} packages, part {source.part!r}"
    print(f"sources.{name}: functions of {read}: {told}", file=sys.stderr)


def chosen_packages(source: PackageSource, name: str) -> dict[str, list[Package]]:
    """Part -> its packages, sorted by name; ``name`` is the source's key, for messages.

    Raises:
        UserError: a name that is not installed, or a version that the lock does not pin.
    """
    packages = {PYTHON: Package(PYTHON, platform.python_version(), None)}
    for entry in distributions():
        key = canonicalize_name(entry.name)
        # Of a name that is found twice, what an import would find.
        packages.setdefault(key, Package(key, entry.version, entry))
    if source.lock is not None:
        packages = _locked(packages, source.lock, f"sources.{name}.lock: {source.lock}")
    parts: dict[str, list[Package]] = {part: [] for part in PARTS}
    wanted: Iterable[str] = packages if source.only is None else map(canonicalize_name, source.only)
    part_of = dict.fromkeys(wanted, "train")
    for field in ("only", "validation", "test"):
        for package in getattr(source, field) or []:
            key = canonicalize_name(package)
            if key not in packages:
                hint = nearest(key, set(packages))
                if not hint.startswith("; did"):
                    hint = "; install it, or take it off the list"
                raise UserError(
                    f"sources.{name}.{field}: {package!r} is not among the packages{hint}"
                )
            if key in part_of and field != "only":
                part_of[key] = field
    for chosen, part in sorted(part_of.items()):
        parts[part].append(packages[chosen])
    return parts


def _locked(installed: dict[str, Package], lock: Path, where: str) -> dict[str, Package]:
    """The packages that a lock pins, and the standard library."""
    try:
        pins = _PIN.findall(lock.read_text(encoding="utf-8"))
    except OSError as error:
        raise UserError(f"{where}: {error.strerror or error}") from None
    if not pins:
        raise UserError(f"{where}: holds no line of the form name==version")
    kept = {PYTHON: installed[PYTHON]}
    # Of a package that is pinned twice, for two markers, the last line counts.
    for key, version in {canonicalize_name(name): version for name, version in pins}.items():
        package = installed.get(key)
        # A local label such as +cpu is another build of the same release.
        if package is None or package.version.split("+")[0] != version.split("+")[0]:
            state = "not installed" if package is None else f"installed as {package.version}"
            raise UserError(
                f"{where} pins {key}=={version}, which is {state}; make the environment from the "
                "lock, or leave `lock` out to read what is installed"
            )
        kept[key] = package
    return kept


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


def _added(text: str, digests: set[bytes]) -> bool:
    """Add a text's digest to others; returns whether it is new."""
    count = len(digests)
    digests.add(digest(text, 16))
    return len(digests) > count


def _identity(file: File, row: Row, ids: set[bytes]) -> str:
    base = f"{file.package}/{file.place.removesuffix('.py')}:{row['name']}"
    name, count = base, 1
    while not _added(name, ids):  # a name bound twice, such as a property's setter
        count += 1
        name = f"{base}#{count}"
    return name


def _origin(file: File) -> dict[str, Any]:
    return {"package": file.package, "version": file.version, "path": file.place}
