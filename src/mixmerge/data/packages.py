"""Documented functions of the standard library and of installed packages, split by package."""

import os
import platform
import re
import sys
import sysconfig
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from importlib.metadata import Distribution, distributions
from multiprocessing import Pool
from pathlib import Path
from typing import Any

from mixmerge.core.errors import UserError, nearest
from mixmerge.data.functions import is_wanted, read_functions
from mixmerge.data.identity import Seen
from mixmerge.data.lines import Row, progress
from mixmerge.data.quality import Quality, canonical
from mixmerge.data.source_settings import PackageSource

#: The standard library, which is no distribution.
PYTHON = "python"

#: Parts in the order in which a repeated function or docstring finds its place.
PARTS = ("test", "validation", "train")

_FOLDERS_OF_OTHERS = {"site-packages", "dist-packages", "__pycache__"}
_PIN = re.compile(r"^([A-Za-z0-9][A-Za-z0-9._-]*)\s*==\s*([^\s;#]+)")


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

    A row has the columns of `mixmerge.data.functions` and ``id``, ``package``, ``version``,
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


@dataclass(frozen=True)
class Package:
    """An installed distribution, or the standard library."""

    name: str
    version: str
    distribution: Distribution | None


def chosen_packages(source: PackageSource, name: str) -> dict[str, list[Package]]:
    """Part -> its packages, sorted by name.

    Raises:
        UserError: a name that is not installed, or a version that the lock does not pin.
    """
    installed = _installed()
    if source.lock is not None:
        installed = _locked(installed, source.lock, name)
    part_of: dict[str, str] = {}
    for part, entries in (("validation", source.validation), ("test", source.test)):
        for entry in entries:
            part_of[_known(entry, installed, f"sources.{name}.{part}")] = part
    wanted = set(installed)
    if source.only is not None:
        wanted = {_known(entry, installed, f"sources.{name}.only") for entry in source.only}
    parts: dict[str, list[Package]] = {part: [] for part in PARTS}
    for key in sorted(wanted):
        parts[part_of.get(key, "train")].append(installed[key])
    return parts


def _known(entry: str, installed: dict[str, Package], where: str) -> str:
    key = canonical(entry)
    if key not in installed:
        raise UserError(f"{where}: {entry!r} is not among the packages{_hint(key, installed)}")
    return key


def _hint(key: str, installed: dict[str, Package]) -> str:
    hint = nearest(key, set(installed))
    return hint if hint.startswith("; did") else "; install it, or take it off the list"


def _installed() -> dict[str, Package]:
    """Canonical name -> package; of a name that is found twice, what an import would find."""
    found = {PYTHON: Package(PYTHON, platform.python_version(), None)}
    for entry in distributions():
        key = canonical(entry.name)
        found.setdefault(key, Package(key, entry.version, entry))
    return found


def _locked(installed: dict[str, Package], lock: Path, name: str) -> dict[str, Package]:
    """The packages that a lock pins, and the standard library."""
    try:
        lines = lock.read_text(encoding="utf-8").splitlines()
    except OSError as error:
        raise UserError(f"sources.{name}.lock: {lock}: {error.strerror or error}") from None
    pins = {canonical(pin[1]): pin[2] for line in lines if (pin := _PIN.match(line))}
    if not pins:
        raise UserError(f"sources.{name}.lock: {lock}: holds no line of the form name==version")
    kept = {PYTHON: installed[PYTHON]}
    for key, version in pins.items():
        there = installed.get(key)
        # A local label such as +cpu is another build of the same release.
        if there is None or there.version.split("+")[0] != version.split("+")[0]:
            have = "is not installed" if there is None else f"is installed as {there.version}"
            raise UserError(
                f"sources.{name}.lock: {lock} pins {key}=={version}, which {have}; make the "
                "environment from the lock, or leave `lock` out to read what is installed"
            )
        kept[key] = there
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


def _identity(file: File, row: Row, ids: Seen) -> str:
    base = f"{file.package}/{file.place.removesuffix('.py')}:{row['name']}"
    name, count = base, 1
    while not ids.add(name):  # a name bound twice, such as a property's setter
        count += 1
        name = f"{base}#{count}"
    return name


def _origin(file: File) -> dict[str, Any]:
    return {"package": file.package, "version": file.version, "path": file.place}
