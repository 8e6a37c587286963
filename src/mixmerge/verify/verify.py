"""Integrity of a study: every file that has a digest is read and compared with it."""

import os
from collections import Counter, defaultdict
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

from mixmerge.artifacts.integrity import digests, read_sums
from mixmerge.artifacts.manifest import MANIFEST, PROVENANCE, parse_manifest
from mixmerge.artifacts.record import recorded
from mixmerge.core.errors import UserError
from mixmerge.core.io import read_json, sha256
from mixmerge.merge.recipe import holds_recorded, render_recipe
from mixmerge.merge.settings import RecipeSettings
from mixmerge.study.plan import Study
from mixmerge.verify.results import LISTS, Result, results_of


@dataclass
class Verdict:
    """What is wrong with a study's results, and how many were looked at."""

    faults: list[str] = field(default_factory=list)
    """What rotted, was edited or lost: path, problem, way out."""
    notes: list[str] = field(default_factory=list)
    """What could not be compared, one sentence each."""
    sound: Counter[str] = field(default_factory=Counter)
    """Rule -> results that are as they were made."""
    absent: Counter[str] = field(default_factory=Counter)
    """Rule -> results that are not made yet."""
    temporary: int = 0
    """Merges whose weights were deleted on purpose."""
    files: int = 0
    bytes: int = 0


def verify(study: Study, options: str = "", remote: bool = False) -> Verdict:
    """Look through all results of a study; nothing is changed.

    Args:
        study: the plan.
        options: of the command line that makes the study, for the ways out.
        remote: whether completions and scores lie on a bucket, where nothing is looked at.
    """
    verdict = Verdict()
    verifier = _Verifier(study, options, verdict)
    present = [result for result in results_of(study, remote) if verifier.check(result)]
    present += verifier.check_lists()
    verifier.hash_files(present)
    for result in present:
        if result.faults and _was_replaced(result):
            verdict.notes.append(f"{result.path} was made anew meanwhile: verify once more")
        elif result.faults:
            verdict.faults += result.faults
        else:
            verdict.sound[result.rule] += 1
    if remote:
        verdict.notes.append("completions, scores and uncertainty on the bucket were not read")
    return verdict


class _Verifier:
    """Compares results with what is known of them."""

    def __init__(self, study: Study, options: str, verdict: Verdict) -> None:
        self._study, self._options, self._verdict = study, options, verdict
        #: File of the study -> its SHA-256 when something was made from it, and when.
        self._uses: dict[Path, list[tuple[str, float]]] = defaultdict(list)
        for path in study.root.rglob(PROVENANCE):
            try:
                inputs, when = read_json(path)["inputs"].items(), path.stat().st_mtime
            except (UserError, KeyError, TypeError, AttributeError, OSError):
                continue
            for name, digest in inputs:
                # Paths are as the job saw them; results may have been moved since.
                _, separator, tail = name.rpartition(f"{study.root.name}/")
                if separator:
                    self._uses[study.root / tail].append((str(digest), when))

    def check(self, result: Result) -> bool:
        """Look at one result without reading large files; False where it has nothing to hash."""
        anchor = result.anchor
        if not anchor.exists():
            return self._check_absent(result)
        if not anchor.is_file():
            # A pipe would keep its reader waiting for ever.
            self._fault(result, anchor, "is no file (put there by hand)")
        elif result.form == "recipe":
            self._check_recipe(result)
        elif result.form == "file":
            return self._check_file(result)
        else:
            self._check_directory(result)
            if not result.faults:
                self._check_witnesses(result)
        return True

    def check_lists(self) -> list[Result]:
        """The files of the report, by the lists that their jobs left."""
        listed = []
        for rule, name in LISTS.items():
            listing = self._study.root / name
            try:
                sums = read_sums(listing) if listing.is_file() else {}
            except UserError as error:
                fault = f"{error}; delete it, then `snakemake {self._options} -R {rule}`"
                listed.append(Result(listing, rule, "listed", str(listing), [fault]))
                continue
            for path, digest in sums.items():
                result = Result(path, rule, "listed", str(path))
                if path.is_symlink() or (path.exists() and not path.is_file()):
                    self._fault(result, path, "is no file (put there by hand)")
                elif not path.exists():
                    again = f"`snakemake {self._options} -- {path}` makes it again ({rule})"
                    self._fault(result, path, f"missing, but {listing} lists it", again)
                else:
                    result.files[path] = (path.stat().st_size, digest, listing)
                listed.append(result)
        return listed

    def hash_files(self, results: list[Result]) -> None:
        """Read all listed files and note those that differ."""
        sizes = {path: entry[0] for result in results for path, entry in result.files.items()}
        hashes = dict(digests(sizes, "verify"))
        self._verdict.files, self._verdict.bytes = len(sizes), sum(sizes.values())
        for result in results:
            for path, (size, listed, listing) in result.files.items():
                if isinstance(digest := hashes[path], OSError):
                    self._fault(result, path, f"cannot be read ({digest.strerror or digest})")
                elif digest != listed:
                    self._fault(result, path, _difference(path, size, listed, listing, digest))

    def _fault(self, result: Result, path: Path, problem: str, way_out: str | None = None) -> None:
        if way_out is None and result.form == "weights":
            again = f"the next `snakemake {self._options} all` merges it again"
            way_out = f"delete {result.path}; {again} where it is still needed"
        elif way_out is None:
            again = f"`snakemake {self._options} -- {result.target}` ({result.rule})"
            way_out = f"delete {result.anchor}, then {again}"
        result.faults.append(f"{path}: {problem}; {way_out}")

    def _check_absent(self, result: Result) -> bool:
        """Tell what was deleted on purpose, or is not made yet, from what was lost."""
        target, path = Path(result.target), result.path
        if result.form == "weights":
            if target.exists() and self._study.config.merging.keep == "all" and not path.exists():
                again = f"`snakemake {self._options} all_checkpoints` merges it again"
                self._fault(result, path, "lost: merging.keep is 'all'", again)
            else:
                self._verdict.temporary += target.exists()
            return bool(result.faults)
        reason = None  # a recipe is made again before its merge is; nothing is lost with it
        if result.form != "recipe" and target in self._uses:
            reason = "other results were made from it"
        elif recorded(path) is not None:
            reason = "its job left a record of it"
        elif path.is_dir() and any(file.is_file() for file in path.rglob("*")):
            reason = "its files are there without a manifest"
        if reason is None:
            self._verdict.absent[result.rule] += 1
            return False
        again = f"`snakemake {self._options} -- {target}` makes it again ({result.rule})"
        self._fault(result, target, f"lost: {reason}", again)
        return True

    def _check_file(self, result: Result) -> bool:
        record = recorded(result.path)
        if record is None:
            self._verdict.notes.append(
                f"{result.path}: its job's record is gone, so it was compared with nothing; delete "
                f"it and it is made again ({result.rule})"
            )
            return False
        if record["text"].encode() != result.path.read_bytes():
            self._fault(result, result.path, "is not what its job wrote (rotted or edited)")
        return True

    def _check_directory(self, result: Result) -> None:
        """A manifest against its job's record, and the names and sizes of files against it."""
        path = result.anchor
        result.manifest = path.read_bytes()
        try:
            manifest = parse_manifest(path)
        except UserError as error:
            problem = str(error).removeprefix(f"{path}: ").partition(";")[0]
            self._fault(result, path, f"damaged: {problem}")
            return
        record = recorded(result.path) or {"text": None, "files": {}}
        if record["text"] is not None and record["text"].encode() != result.manifest:
            self._fault(result, path, "is not the manifest that its job wrote (edited)")
        provenance = result.path / PROVENANCE
        if PROVENANCE in record["files"]:
            if not provenance.is_file():
                self._fault(result, provenance, "missing, but its job wrote it")
            elif sha256(provenance) != record["files"][PROVENANCE]["sha256"]:
                self._fault(result, provenance, "is not what its job wrote (rotted or edited)")
        files = {} if result.form == "record" else manifest["files"]
        for name, entry in sorted(files.items()):
            file, listed = result.path / name, (entry["bytes"], entry["sha256"], path)
            if not os.path.isfile(file):  # noqa: PTH113 - pathlib raises at names that are too long
                self._fault(result, file, f"missing, but {path} lists it")
            elif file.is_symlink():
                # No job makes one: what it points to lies elsewhere, and may go or change there.
                copy = f"`cp --remove-destination {file.resolve()} {file}`"
                way_out = f"put the file itself there ({copy}), or delete {path} and make it again"
                problem = f"is a symbolic link to {file.readlink()} (put there by hand)"
                self._fault(result, file, problem, way_out)
            elif file.stat().st_size != entry["bytes"]:
                self._fault(result, file, _difference(file, *listed))
            else:
                result.files[file] = listed
        known = {MANIFEST, PROVENANCE, *files}
        for file in sorted(result.path.rglob("*")):
            # NFS calls `.nfs...` what was deleted while somebody read it.
            is_known = file.relative_to(result.path).as_posix() in known
            is_folder = file.is_dir() and not file.is_symlink()
            if not (is_known or is_folder or file.name.startswith(".nfs")):
                problem = f"put there by hand: {path} does not list it"
                self._fault(result, file, problem, f"delete {file}")

    def _check_witnesses(self, result: Result) -> None:
        """A manifest against the merge's record, or against what results were made from."""
        path, record = result.anchor, Path(result.target)
        if result.form == "weights":
            with suppress(UserError, KeyError, TypeError):  # a damaged record is told where it lies
                if not holds_recorded(result.path, record.parent):
                    self._fault(result, path, f"lists other files than {record}")
            return
        uses = self._uses.get(path) if result.form == "directory" else None
        if not uses or sha256(path) in {digest for digest, _ in uses}:
            return
        if max(when for _, when in uses) > path.stat().st_mtime:
            problem = "is not the manifest that results were made from (rotted or edited)"
            self._fault(result, path, problem)
        else:
            self._verdict.notes.append(
                f"{path} is younger than the {len(uses)} results that were made from another one: "
                f"it was edited, or made anew; `snakemake {self._options} -n` says what would run "
                "again"
            )

    def _check_recipe(self, result: Result) -> None:
        """A recipe is what the configuration says, or what its merge was made from."""
        path = result.path
        settings = self._study.recipe_settings(path.parent.name, path.name.removesuffix(".yaml"))
        expected = render_recipe(RecipeSettings.model_validate(settings))
        used = {digest for digest, _ in self._uses.get(path, [])}
        if path.read_bytes() != expected.encode() and sha256(path) not in used:
            problem = "is neither what the configuration says nor what its merge was made from"
            self._fault(result, path, f"{problem} (edited)")


def _difference(
    path: Path, size: int, listed: str, listing: Path, digest: str | None = None
) -> str:
    """How a file differs from its listing: in size, or in its SHA-256 where that is given."""
    stat = path.stat()
    # A manifest or list comes after the files that it names.
    if stat.st_mtime > listing.stat().st_mtime + 1:
        how = f"edited on {datetime.fromtimestamp(stat.st_mtime).astimezone():%Y-%m-%d %H:%M}"
        if digest is not None:
            how += ", after " + ("its manifest" if listing.name == MANIFEST else "its job")
    else:
        how = "cut off or damaged" if digest is None else "rotted: no time says it was written"
    if digest is None:
        return f"{how}: {stat.st_size:,} bytes, {listing} lists {size:,}"
    return f"{how}; its SHA-256 is {digest}, {listing} lists {listed}"


def _was_replaced(result: Result) -> bool:
    """Whether a job made the result anew while it was read."""
    if result.manifest is None:
        return False
    try:
        return result.anchor.read_bytes() != result.manifest
    except OSError:
        return True


def rendered(verdict: Verdict, seconds: float) -> str:
    """The verdict for people: a line a fault, then what was looked through."""
    sound, absent = (
        ", ".join(f"{count} {rule}" for rule, count in sorted(counter.items())) or "-"
        for counter in (verdict.sound, verdict.absent)
    )
    return "\n".join(
        [
            *(f"error: {fault}" for fault in verdict.faults),
            *(f"note: {note}" for note in verdict.notes),
            f"{verdict.files:,} files, {verdict.bytes / 1e9:,.2f} GB read in {seconds:.0f} s; "
            f"{verdict.sound.total():,} results as they were made, {len(verdict.faults):,} faults",
            f"  {'sound':<20}{sound}",
            f"  {'not made yet':<20}{absent}",
            f"  {'deleted on purpose':<20}weights of {verdict.temporary} merges (resources.md)",
            f"  {'without a digest':<20}logs, benchmarks, the HTML report",
        ]
    )
