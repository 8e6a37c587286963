"""WordNet 3.0 and the punkt_tab tokenizer for METEOR, from whatever this machine can reach."""

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from tqdm import tqdm

from mixmerge.artifacts.manifest import publish
from mixmerge.core.archives import BadArchive, Bounds
from mixmerge.core.errors import UserError
from mixmerge.evaluate.settings import NLTK_RESOURCES
from offline_sources.archives import folder, unzip

#: What archives of nltk's data may unpack to; wordnet's is 35 MB.
BOUNDS = Bounds(bytes=256 << 20)

#: Computes what METEOR needs, in a process that sees no other data of nltk.
_PROBE = """\
import sys, nltk; nltk.data.path[:] = [sys.argv[1]]
from nltk.corpus import wordnet
from nltk.tokenize import word_tokenize
assert wordnet.get_version() == '3.0', wordnet.get_version()
assert len(wordnet._lexnames) == 45, len(wordnet._lexnames)
assert 'shut' in wordnet.synset('close.v.01').lemma_names()
assert word_tokenize('It works. Does it?') == ['It', 'works', '.', 'Does', 'it', '?']
"""
#: Downloads one resource, in a process: behind some firewalls nltk would wait for ever.
_DOWNLOAD = "import sys, nltk; nltk.download(*sys.argv[1:], quiet=True, raise_on_error=True)"

#: A way to a resource: fills the first directory, working in the second, which is empty.
Route = Callable[[Path, Path], None]


class Unavailable(Exception):
    """A route did not give what was asked for, or a command failed; the message says why."""


def fetch_nltk_data(out: Path, fallbacks: Mapping[str, Route]) -> None:
    """Publish a directory of kind "nltk_data" that METEOR can be computed with.

    Each resource comes from this machine, else nltk's download server, else its fallback.
    """
    # Where it came from is no part of what it is: provenance, not a fact of the manifest.
    settings: dict[str, dict[str, str]] = {"found": {}}
    with (
        tempfile.TemporaryDirectory(prefix="mixmerge-nltk-") as scratch,
        publish(out, "nltk_data", inputs=[], settings=settings, packages=["nltk"]) as artifact,
    ):
        target = artifact.path
        for name, place in tqdm(NLTK_RESOURCES.items(), desc="nltk data", mininterval=1):
            work = Path(scratch, name)
            work.mkdir()
            settings["found"][name] = _fetch(name, target / place, work, fallbacks[name])
        for path in (target / NLTK_RESOURCES["punkt_tab"]).iterdir():
            if path.name != "english" and path.is_dir():
                shutil.rmtree(path)  # below the scratch directory of `out`
        for path in [target, *target.rglob("*")]:
            path.chmod(0o755 if path.is_dir() else 0o644)  # nltk refuses what others may write
        try:
            run_command([sys.executable, "-c", _PROBE, str(target.resolve())], target, 300)
        except Unavailable as error:
            raise UserError(
                f"nltk data: what was found does not work: {error}. If it came from this machine, "
                "delete or mend that copy (see nltk.data.path) and run again"
            ) from None


def _fetch(name: str, place: Path, work: Path, fallback: Route) -> str:
    """Fill ``place`` from the first route that works; returns the route's name."""

    def present(place: Path, work: Path) -> None:
        import nltk

        take(nltk.data.path, place)

    def download(place: Path, work: Path) -> None:
        run_command([sys.executable, "-c", _DOWNLOAD, name, str(work.resolve())], work, 180)
        take([work], place)

    routes = {"this machine": present, "nltk's server": download, "package registries": fallback}
    answers = []
    for origin, route in routes.items():
        try:
            route(place, work)
        except (Unavailable, OSError, BadArchive) as error:
            answers.append(f"  {origin}: {error}\n")
            shutil.rmtree(place, ignore_errors=True)  # below the scratch directory of `out`
        else:
            return origin
    raise UserError(
        f"nltk data: {name} is not to be had here:\n{''.join(answers)}On a machine with internet "
        f"run `python -m nltk.downloader -d DIR {name}`, copy DIR to ~/nltk_data on this machine "
        "(owned by you, not writable by others), and run again"
    )


def take(roots: Sequence[str | Path], place: Path) -> None:
    """Copy or unpack a resource's folder from the first nltk data directory that has it.

    ``place`` ends like the folder's place there: ``corpora/wordnet``. `Unavailable` if none has it.
    """
    name = "/".join(place.parts[-2:])
    for root in roots:
        if Path(root, name).is_dir():
            shutil.copytree(Path(root, name), place)
            return
        if (archive := Path(root, f"{name}.zip")).is_file():
            unzip(archive, place.parent, folder(place.name), BOUNDS)
            return
    raise Unavailable(f"{name} is not in any of {', '.join(map(str, roots))}")


def run_command(command: Sequence[str], directory: Path, seconds: float) -> None:
    """Run a command in ``directory``, which is also its home where the caller has none."""
    name = Path(command[0]).name
    try:
        done = subprocess.run(
            command,
            cwd=directory,
            env={"HOME": str(directory.resolve()), **os.environ, "LC_ALL": "C.UTF-8"},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=seconds,
            check=False,
        )
    except FileNotFoundError:
        raise Unavailable(f"{name} is not installed") from None
    except subprocess.TimeoutExpired:
        raise Unavailable(f"{name} gave no answer in {seconds:.0f} s") from None
    if done.returncode:
        lines = (done.stderr.strip() or done.stdout.strip() or "no message").splitlines()
        raise Unavailable(f"{name} failed: {lines[-1].strip()}")
