"""Integrity of a study: every result that has a digest is read and compared with it."""

import os
from collections import Counter, defaultdict
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

from mixmerge.artifacts.integrity import digests, read_sums
from mixmerge.artifacts.manifest import MANIFEST, PROVENANCE, parse_manifest
from mixmerge.artifacts.record import recorded
from mixmerge.core.errors import UserError
from mixmerge.core.io import read_json, sha256
from mixmerge.merge.recipe import holds_recorded, render_recipe
from mixmerge.merge.settings import RecipeSettings
from mixmerge.study.plan import Study

#: Rule, form, and place below the study's root of all results, by the names in `_results`.
TABLE = Path(__file__).with_name("results.tsv")


@dataclass
class Result:
    """One result; a merge has two: its record, and its weights, which are deleted once read."""

    path: Path
    rule: str
    form: str
    record: Path | None = None  # of a merge's weights: the manifest that stays
    faults: list[str] = field(default_factory=list)
    #: What is to be hashed -> bytes, SHA-256, and the file that lists them.
    files: dict[Path, tuple[int, str, Path]] = field(default_factory=dict)
    manifest: bytes | None = None  # as it was read, to see whether a job replaces it meanwhile

    def __post_init__(self) -> None:
        has_manifest = self.form in ("directory", "record", "weights")
        self.anchor = self.path / MANIFEST if has_manifest else self.path  # stands for the result
        self.target = self.record or self.anchor  # what to ask Snakemake for


@dataclass
class Verdict:
    """What is wrong with a study's results, and how many were looked at."""

    study: Study
    options: str  # of the command line that makes the study, for the ways out
    faults: list[str] = field(default_factory=list)  # rotted, edited or lost: path, way out
    notes: list[str] = field(default_factory=list)  # what could not be compared
    sound: Counter[str] = field(default_factory=Counter)  # rule -> results as they were made
    absent: Counter[str] = field(default_factory=Counter)  # rule -> results not made yet
    temporary: int = 0  # merges whose weights were deleted on purpose
    files: int = 0  # that were read
    size: int = 0  # in bytes

    def __post_init__(self) -> None:
        #: File of the study -> its SHA-256 when something was made from it, and when.
        self._uses: dict[Path, list[tuple[str, float]]] = defaultdict(list)
        for path in self.study.root.rglob(PROVENANCE):
            with suppress(UserError, KeyError, TypeError, AttributeError, OSError):
                for name, digest in read_json(path)["inputs"].items():
                    # Paths are as the job saw them; results may have been moved since.
                    _, separator, tail = name.rpartition(f"{self.study.root.name}/")
                    if separator:
                        use = (str(digest), path.stat().st_mtime)
                        self._uses[self.study.root / tail].append(use)

    def check(self, result: Result) -> bool:
        """Look at one result without reading large files; False where it has nothing to hash."""
        path, record = result.anchor, recorded(result.path)
        text = record["text"].encode() if record else None
        is_link = result.form == "listed" and path.is_symlink()
        if result.faults:
            return True
        if not (path.exists() or is_link):
            return self._check_absent(result)
        if is_link or not path.is_file():  # a pipe would keep its reader waiting for ever
            self.fault(result, path, "is no file (put there by hand)")
            result.files = {}
        elif result.form == "recipe":
            settings = self.study.recipe_settings(path.parent.name, path.stem)
            expected = render_recipe(RecipeSettings.model_validate(settings)).encode()
            used = {digest for digest, _ in self._uses.get(path, [])}
            if path.read_bytes() != expected and sha256(path) not in used:
                problem = "is not what the configuration says, nor what its merge was made from"
                self.fault(result, path, f"{problem} (edited)")
        elif result.form == "file" and text is None:
            problem = "its job's record is gone, or of an older version: nothing to compare with"
            self.notes.append(f"{path}: {problem}; delete it and it is made again ({result.rule})")
            return False
        elif result.form == "file" and text != path.read_bytes():
            self.fault(result, path, "is not what its job wrote (rotted or edited)")
        elif result.form not in ("file", "listed"):
            self._check_directory(result, text, record["files"] if record else {})
        return True

    def fault(self, result: Result, path: Path, problem: str, way_out: str = "") -> None:
        """Note what is wrong with a file of a result, and how to mend it."""
        again = f"then `snakemake {self.options} -- {result.target}` ({result.rule})"
        default = f"delete {result.anchor}, {again}"
        if result.form == "weights":
            again = f"`snakemake {self.options} all` merges it again where it is still needed"
            default = f"delete {result.path}; {again}"
        result.faults.append(f"{path}: {problem}; {way_out or default}")

    def _check_absent(self, result: Result) -> bool:
        """Tell what was deleted on purpose, or is not made yet, from what was lost."""
        target, path, problem = result.target, result.path, ""
        again = f"`snakemake {self.options} -- {target}` makes it again ({result.rule})"
        if result.form == "weights":
            if target.exists() and self.study.config.merging.keep == "all" and not path.exists():
                again = f"`snakemake {self.options} all_checkpoints` merges it again"
                self.fault(result, path, "lost: merging.keep is 'all'", again)
            else:
                self.temporary += target.exists()
        elif result.form == "listed":
            problem = f"missing, but {result.files.pop(path)[2]} lists it"
        # A recipe is made again before its merge is; nothing is lost with it.
        elif result.form != "recipe" and target in self._uses:
            problem = "lost: other results were made from it"
        elif recorded(path) is not None:
            problem = "lost: its job left a record of it"
        elif path.is_dir() and any(file.is_file() for file in path.rglob("*")):
            problem = "lost: its files are there without a manifest"
        else:
            self.absent[result.rule] += 1
        if problem:
            self.fault(result, target, problem, again)
        return bool(result.faults)

    def _check_directory(self, result: Result, text: bytes | None, made: dict[str, Any]) -> None:
        """A manifest against its witnesses, and the names of files against the manifest."""
        path = result.anchor
        result.manifest = path.read_bytes()
        try:
            manifest = parse_manifest(path)
        except UserError as error:
            problem = str(error).removeprefix(f"{path}: ").partition(";")[0]
            self.fault(result, path, f"damaged: {problem}")
            return
        if text not in (None, result.manifest):
            self.fault(result, path, "is not the manifest that its job wrote (edited)")
        files = {} if result.form == "record" else manifest["files"]
        listed = [(name, entry, path) for name, entry in sorted(files.items())]
        if PROVENANCE in made:
            record = result.path.with_name(f".{result.path.name}.made")
            listed.append((PROVENANCE, made[PROVENANCE], record))
        for name, entry, listing in listed:
            file = result.path / name
            if not os.path.isfile(file):  # noqa: PTH113 - pathlib raises at names that are too long
                self.fault(result, file, f"missing, but {listing} lists it")
            elif file.is_symlink():
                # No job makes one: what it points to lies elsewhere, and may go or change there.
                way_out = f"put the file itself there (`cp --remove-destination {file.resolve()} "
                way_out += f"{file}`), or delete {path} and make it again"
                problem = f"is a symbolic link to {file.readlink()} (put there by hand)"
                self.fault(result, file, problem, way_out)
            else:
                result.files[file] = (entry["bytes"], entry["sha256"], listing)
        known = {result.path / name for name in (MANIFEST, PROVENANCE, *files)}
        for file in sorted({*result.path.rglob("*")} - known):
            # NFS calls `.nfs...` what was deleted while somebody read it.
            if not file.name.startswith(".nfs") and (file.is_symlink() or not file.is_dir()):
                problem = f"put there by hand: {path} does not list it"
                self.fault(result, file, problem, f"delete {file}")
        if result.faults:
            return
        uses = self._uses.get(path, []) if result.form == "directory" else []
        with suppress(UserError, KeyError, TypeError):  # a damaged record is told where it lies
            if result.record and not holds_recorded(result.path, result.record.parent):
                self.fault(result, path, f"lists other files than {result.record}")
        if not uses or sha256(path) in {digest for digest, _ in uses}:
            return
        if max(when for _, when in uses) > path.stat().st_mtime:
            problem = "is not the manifest that results were made from (rotted or edited)"
            self.fault(result, path, problem)
        else:
            self.notes.append(
                f"{path} is younger than the {len(uses)} results that were made from another one: "
                f"edited, or made anew; `snakemake {self.options} -n` says what would run again"
            )


def verify(study: Study, options: str = "", remote: bool = False) -> Verdict:
    """Look through all results of a study; nothing is changed.

    ``options`` are those of the command line that makes the study, for the ways out; ``remote`` is
    whether completions, scores and uncertainty lie on a bucket, and are left out.
    """
    verdict = Verdict(study, options)
    present = [result for result in _results(study, options, remote) if verdict.check(result)]
    sizes = {path: listed[0] for result in present for path, listed in result.files.items()}
    hashes = dict(digests(sizes, "verify"))
    verdict.files, verdict.size = len(sizes), sum(sizes.values())
    for result in present:
        for path, (size, listed, listing) in result.files.items():
            digest = hashes[path]
            try:
                stat, listed_at = path.stat(), listing.stat().st_mtime
            except OSError as error:  # a job replaces or deletes it
                digest = error
            if isinstance(digest, OSError):
                verdict.fault(result, path, f"cannot be read ({digest.strerror or digest})")
                continue
            if (digest, stat.st_size) == (listed, size):
                continue
            how = "rotted: no time says it was written"
            if stat.st_mtime > listed_at + 1:  # a listing comes after the files that it names
                when = datetime.fromtimestamp(stat.st_mtime).astimezone()
                after = "manifest" if listing.name == MANIFEST else "job"
                how = f"edited on {when:%Y-%m-%d %H:%M}, after its {after}"
            elif stat.st_size != size:
                how = "cut off or damaged"
            what = f"; its SHA-256 is {digest}, {listing} lists {listed}"
            if stat.st_size != size:
                what = f": {stat.st_size:,} bytes, {listing} lists {size:,}"
            verdict.fault(result, path, f"{how}{what}")
        current = result.manifest  # a job may have made the result anew while it was read
        if result.faults and current is not None:  # else its anchor may be a pipe
            try:
                current = result.anchor.read_bytes()
            except OSError:
                current = None
        if current != result.manifest:
            verdict.notes.append(f"{result.path} was made anew meanwhile: verify once more")
        elif result.faults:
            verdict.faults += result.faults
        else:
            verdict.sound[result.rule] += 1
    if remote:
        verdict.notes.append("completions, scores and uncertainty on the bucket were not read")
    return verdict


def _results(study: Study, options: str, remote: bool) -> Iterator[Result]:
    """All results of a study that have a digest, made or not; of the report those made."""
    config, sets = study.config, study.training_sets.items()
    own: dict[str, list[str]] = {
        "": [""],
        "corpus": ["corpus"] if config.embedded else [],
        "held_out": sorted({*study.code_suites(), *study.decontaminating_suites()}),
        "wordnet": ["nltk_data"] if study.meteor_suites() else [],
        "mixture": [name for name, (task, _) in sets if task is None],
        "subset": [name for name, (task, _) in sets if task is not None],
    }
    for line in TABLE.read_text(encoding="utf-8").splitlines()[1:]:
        rule, form, place = line.split("\t")
        if remote and rule in ("uncertainty", "generate", "score"):
            continue
        # In braces: a name of `own`, a section of the config, or a method of the study.
        key, sums = place.partition("{")[2].partition("}")[0], {}
        section, _, kinds = key.partition(":")
        names = own.get(key, getattr(config, section, None))
        if names is None:
            names = getattr(study, section)(*kinds.split(",") if kinds else ())
        for name in names:
            parts = name if isinstance(name, str) else "/".join(name)
            root = config.results if rule == "nltk_data" else study.root
            path = root / place.replace(f"{{{key}}}", parts)
            record = study.root / "checkpoints" / parts / MANIFEST if form == "weights" else None
            try:
                sums = read_sums(path) if form == "list" and path.is_file() else {}
            except UserError as error:
                fault = f"{error}; delete it, then `snakemake {options} -R {rule}`"
                yield Result(path, rule, form, faults=[fault])
            for file, digest in sums.items():
                size = file.stat().st_size if file.is_file() else 0
                yield Result(file, rule, "listed", files={file: (size, digest, path)})
            if form != "list":
                yield Result(path, rule, form, record)


def rendered(verdict: Verdict, seconds: float) -> str:
    """The verdict for people: a line a fault, then what was looked through."""
    rows = {"sound": verdict.sound, "not made yet": verdict.absent}
    texts = {
        title: ", ".join(f"{count} {rule}" for rule, count in sorted(counter.items())) or "-"
        for title, counter in rows.items()
    }
    texts["deleted on purpose"] = f"weights of {verdict.temporary} merges (resources.md)"
    texts["without a digest"] = "logs, benchmarks, the HTML report"
    lines = [
        *(f"error: {fault}" for fault in verdict.faults),
        *(f"note: {note}" for note in verdict.notes),
        f"{verdict.files:,} files, {verdict.size / 1e9:,.2f} GB read in {seconds:.0f} s; "
        f"{verdict.sound.total():,} results as they were made, {len(verdict.faults):,} faults",
        *(f"  {title:<20}{text}" for title, text in texts.items()),
    ]
    return "\n".join(lines)
