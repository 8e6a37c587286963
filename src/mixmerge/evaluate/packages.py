"""Files out of packages, by the registries' own clients; nothing is installed, no root needed."""

import gzip
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

_SECONDS = 600


class Unavailable(Exception):
    """A route did not give what was asked for; the message says why, in a line."""


def call(command: Sequence[str], directory: Path, seconds: float) -> None:
    """Run a command in ``directory``, which is also its home where the caller has none.

    Raises:
        Unavailable: it is not installed, failed or took longer than ``seconds``.
    """
    environment = {"HOME": str(directory.resolve()), **os.environ, "LC_ALL": "C.UTF-8"}
    try:
        done = subprocess.run(
            command,
            cwd=directory,
            env=environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=seconds,
            check=False,
        )
    except FileNotFoundError:
        raise Unavailable(f"{command[0]} is not installed") from None
    except subprocess.TimeoutExpired:
        raise Unavailable(f"{Path(command[0]).name} gave no answer in {seconds:.0f} s") from None
    if done.returncode:
        lines = (done.stderr.strip() or done.stdout.strip() or "no message").splitlines()
        raise Unavailable(f"{Path(command[0]).name} failed: {lines[-1].strip()}")


def debian(names: Sequence[str], work: Path) -> Path:
    """Download Debian packages and unpack them; returns the root of the unpacked tree.

    The machine's package lists serve if it has any; else lists of our own are fetched into
    ``work``, so that neither root nor a changed machine is needed.

    Raises:
        Unavailable: no apt, or apt could not get them.
    """
    download, tree = work / "debs", work / "tree"
    download.mkdir()
    tree.mkdir()
    own = _own_apt(work)
    try:
        call(["apt-get", *own[1:], "download", *names], download, _SECONDS)
    except Unavailable:
        call(["apt-get", *own, "update"], work, _SECONDS)
        call(["apt-get", *own, "download", *names], download, _SECONDS)
    for package in sorted(download.glob("*.deb")):
        call(["dpkg-deb", "-x", str(package.resolve()), str(tree.resolve())], work, _SECONDS)
    return tree


def _own_apt(work: Path) -> list[str]:
    """Options that keep apt's lists (the first) and its caches and locks (the rest) in ``work``."""
    lists, cache = work / "lists", work / "cache"
    for folder in (lists / "partial", cache / "archives/partial"):
        folder.mkdir(parents=True)
    return [
        f"-oDir::State::Lists={lists.resolve()}",
        f"-oDir::Cache={cache.resolve()}",
        "-oDebug::NoLocking=1",
        # As root apt would hand downloads to a user who may not write here.
        "-oAPT::Sandbox::User=root",
    ]


def wheel(requirement: str, work: Path) -> Path:
    """Download one wheel with pip, without its dependencies.

    Raises:
        Unavailable: no pip, or pip could not get it.
    """
    target = work / "wheels"
    target.mkdir()
    options = ["--no-deps", "--only-binary=:all:", "--no-cache-dir", "--disable-pip-version-check"]
    pip = [sys.executable, "-m", "pip", "download", *options, "-d", str(target.resolve())]
    call([*pip, requirement], work, _SECONDS)
    found = sorted(target.glob("*.whl"))
    if not found:
        raise Unavailable(f"pip downloaded no wheel for {requirement}")
    return found[0]


def unzipped(path: Path) -> str:
    """Text of a .gz file."""
    return gzip.decompress(path.read_bytes()).decode("utf-8", errors="replace")
