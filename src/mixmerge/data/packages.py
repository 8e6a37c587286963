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

_PIN = re.compile(r"^([A-Za-z0-9][A-Za-z0-9._-]*)\s*==\s*([^\s;#]+)")


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
