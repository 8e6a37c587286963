"""WordNet 3.0 and the punkt_tab tokenizer for METEOR, from whatever this machine can reach."""

import re
import shutil
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from tqdm import tqdm

from mixmerge.artifacts.manifest import write_manifest, write_provenance
from mixmerge.core.archives import BadArchive, Bounds, folder, unzip
from mixmerge.core.errors import UserError
from mixmerge.core.io import atomic_dir
from mixmerge.evaluate import packages
from mixmerge.evaluate.packages import Unavailable

_DOWNLOAD_SECONDS = 180
#: Debian's package of the database, of its sense index, and (for `lexnames`) of its manual pages.
_DEBIAN = ("wordnet-base", "wordnet-sense-index", "wordnet")
#: A wheel that carries the tokenizer's data.
_WHEEL = "llama-index-core==0.14.25"
#: What wheels and zips of nltk's data may unpack to; wordnet's is 35 MB.
_BOUNDS = Bounds(bytes=256 << 20)
_CATEGORIES = {"noun": 1, "verb": 2, "adj": 3, "adv": 4}
_LEXNAME = re.compile(r"^(\d\d)\t((noun|verb|adj|adv)\.\w+)\s*\t", re.MULTILINE)


@dataclass(frozen=True)
class Resource:
    """One piece of nltk's data.

    Attributes:
        folder: where it stands below an nltk data directory.
        keep: the parts of it that are needed, as names or folders; all where empty.
        fallback: fetches it without nltk's own server.
    """

    name: str
    folder: str
    keep: tuple[str, ...]
    fallback: Callable[[Path, Path], None]


def fetch_nltk_data(out: Path) -> None:
    """Publish a directory of kind "nltk_data" that METEOR can be computed with.

    Each resource comes from the first of: nltk's data on this machine; nltk's download server;
    the registries of Debian and PyPI. Nothing is installed and no root is needed.

    Raises:
        UserError: none of them gave it; the message says what each answered and what to do.
    """
    found: dict[str, str] = {}
    with (
        tempfile.TemporaryDirectory(prefix="mixmerge-nltk-") as scratch,
        atomic_dir(out) as target,
    ):
        for resource in tqdm(RESOURCES, desc="nltk data", unit="resource", mininterval=1):
            place = target / resource.folder
            work = Path(scratch, resource.name)
            work.mkdir()
            found[resource.name] = _fetch(resource, place, work)
            _trim(place, resource.keep)
        _private(target)
        _validate(target)
        # Where it came from is no part of what it is: provenance, not a fact of the manifest.
        write_provenance(target, inputs=[], settings={"found": found}, seed=None, packages=["nltk"])
        write_manifest(target, "nltk_data")


def _fetch(resource: Resource, place: Path, work: Path) -> str:
    """Fill ``place`` from the first route that works; returns the route's name."""
    routes: list[tuple[str, Callable[[], None]]] = [
        ("this machine", lambda: _copy_present(resource, place)),
        ("nltk's server", lambda: _download(resource, place, work)),
        ("package registries", lambda: resource.fallback(place, work)),
    ]
    answers = []
    for name, route in routes:
        try:
            route()
        except (Unavailable, OSError, BadArchive) as error:
            answers.append(f"  {name}: {error}")
            shutil.rmtree(place, ignore_errors=True)  # below the scratch directory of `out`
            continue
        return name
    raise UserError(
        f"nltk data: {resource.name} is not to be had here:\n" + "\n".join(answers) + "\n"
        f"On a machine with internet run `python -m nltk.downloader -d DIR {resource.name}`, copy "
        "DIR to ~/nltk_data on this machine (owned by you, not writable by others), and run again"
    )


def _copy_present(resource: Resource, place: Path) -> None:
    import nltk

    for root in nltk.data.path:
        if _take(Path(root), resource, place):
            return
    raise Unavailable("not in any of " + ", ".join(nltk.data.path))


def _download(resource: Resource, place: Path, work: Path) -> None:
    # A process of its own: behind a firewall that drops packets nltk would wait for ever.
    code = (
        "import sys, nltk;"
        "nltk.download(sys.argv[1], download_dir=sys.argv[2], quiet=True, raise_on_error=True)"
    )
    packages.call([sys.executable, "-c", code, resource.name, str(work)], work, _DOWNLOAD_SECONDS)
    if not _take(work, resource, place):
        raise Unavailable(f"nltk downloaded something else than {resource.folder}")


def _take(root: Path, resource: Resource, place: Path) -> bool:
    """Copy or unpack a resource from an nltk data directory; False if it is not there."""
    tree = root / resource.folder
    archive = tree.with_name(tree.name + ".zip")
    if tree.is_dir():
        shutil.copytree(tree, place)
    elif archive.is_file():
        unzip(archive, place.parent, folder(tree.name), _BOUNDS)
    else:
        return False
    return True


def _wordnet_from_debian(place: Path, work: Path) -> None:
    pages, notes = "usr/share/man/man5/lexnames.5WN.gz", "usr/share/doc/wordnet-base/copyright"
    database = folder("usr/share/wordnet")
    tree = packages.debian(_DEBIAN, lambda name: database(name) or name in (pages, notes), work)
    shutil.copytree(tree / "usr/share/wordnet", place)
    shutil.copy(tree / notes, place / "LICENSE")
    manual = packages.unzipped(tree / pages)
    # Debian drops the file `lexnames` itself; the manual page holds its table, with a description
    # in place of the syntactic category, which the name's first part tells.
    lines = [
        f"{number}\t{name}\t{_CATEGORIES[part]}\n"
        for number, name, part in _LEXNAME.findall(manual)
    ]
    (place / "lexnames").write_text("".join(lines), encoding="ascii")


def _punkt_from_wheel(place: Path, work: Path) -> None:
    wheel = packages.wheel(_WHEEL, work)
    inside = "llama_index/core/_static/nltk_cache"
    data = folder(inside)
    names = unzip(
        wheel,
        work / "wheel",
        lambda name: data(name) or name.endswith("licenses/LICENSE"),
        _BOUNDS,
    )
    if not _take(work / "wheel" / inside, RESOURCES[1], place):
        raise Unavailable(f"{_WHEEL} does not carry punkt_tab")
    for name in names:
        if name.endswith("licenses/LICENSE"):
            shutil.copy(work / "wheel" / name, place / "LICENSE")


def _trim(place: Path, keep: tuple[str, ...]) -> None:
    """Leave the parts that are needed, licence and readme files among them."""
    if not keep:
        return
    for path in place.iterdir():
        if path.name not in keep and path.is_dir():
            shutil.rmtree(path)  # below the scratch directory of `out`


def _private(target: Path) -> None:
    """Take write permission from others: nltk refuses data that others could change."""
    for path in [target, *target.rglob("*")]:
        path.chmod(0o755 if path.is_dir() else 0o644)


def _validate(target: Path) -> None:
    """Compute what METEOR needs, in a process that sees nothing but ``target``."""
    code = (
        "import sys, nltk; nltk.data.path[:] = [sys.argv[1]]\n"
        "from nltk.corpus import wordnet\n"
        "from nltk.tokenize import word_tokenize\n"
        "assert wordnet.get_version() == '3.0', wordnet.get_version()\n"
        "assert len(wordnet._lexnames) == 45, len(wordnet._lexnames)\n"
        "assert 'shut' in wordnet.synset('close.v.01').lemma_names()\n"
        "assert word_tokenize('It works. Does it?') == ['It', 'works', '.', 'Does', 'it', '?']\n"
    )
    try:
        packages.call([sys.executable, "-c", code, str(target.resolve())], target, 300)
    except Unavailable as error:
        raise UserError(
            f"nltk data: what was found does not work: {error}. If it came from this machine, "
            "delete or mend that copy (see nltk.data.path) and run again"
        ) from None


RESOURCES = (
    Resource("wordnet", "corpora/wordnet", (), _wordnet_from_debian),
    Resource("punkt_tab", "tokenizers/punkt_tab", ("english",), _punkt_from_wheel),
)
