"""Which installed packages a source of documented functions reads, by part."""

import platform
import re
from dataclasses import dataclass
from importlib.metadata import Distribution, distributions
from pathlib import Path

from mixmerge.core.errors import UserError, nearest
from mixmerge.data.settings import PackageSource, canonical

#: The standard library, which is no distribution.
PYTHON = "python"

#: Parts in the order in which a repeated function or docstring finds its place.
PARTS = ("test", "validation", "train")

_PIN = re.compile(r"^([A-Za-z0-9][A-Za-z0-9._-]*)\s*==\s*([^\s;#]+)", re.MULTILINE)


@dataclass(frozen=True)
class Package:
    """An installed distribution, or the standard library."""

    name: str
    version: str
    distribution: Distribution | None


def chosen_packages(source: PackageSource, name: str) -> dict[str, list[Package]]:
    """Part -> its packages, sorted by name; ``name`` is the source's key, for messages.

    Raises:
        UserError: a name that is not installed, or a version that the lock does not pin.
    """
    packages = {PYTHON: Package(PYTHON, platform.python_version(), None)}
    for entry in distributions():
        key = canonical(entry.name)
        # Of a name that is found twice, what an import would find.
        packages.setdefault(key, Package(key, entry.version, entry))
    if source.lock is not None:
        packages = _locked(packages, source.lock, f"sources.{name}.lock: {source.lock}")
    parts: dict[str, list[Package]] = {part: [] for part in PARTS}
    part_of, wanted = {}, set(packages)
    lists = {"validation": source.validation, "test": source.test, "only": source.only or []}
    for part, entries in lists.items():
        for entry in entries:
            if canonical(entry) not in packages:
                hint = nearest(canonical(entry), set(packages))
                raise UserError(
                    f"sources.{name}.{part}: {entry!r} is not among the packages"
                    f"{hint if 'mean' in hint else '; install it, or take it off the list'}"
                )
            part_of.setdefault(canonical(entry), part)
    if source.only is not None:
        wanted = set(map(canonical, source.only))
    for key in sorted(wanted):
        part = part_of.get(key, "train")
        parts["train" if part == "only" else part].append(packages[key])
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
    for pinned, version in pins:
        key = canonical(pinned)
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
