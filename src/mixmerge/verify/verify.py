"""Integrity of a study: every file that has a digest is read and compared with it."""

from collections import Counter
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import NamedTuple

from mixmerge.artifacts.integrity import digests
from mixmerge.artifacts.manifest import MANIFEST, PROVENANCE, parse_manifest
from mixmerge.artifacts.record import recorded
from mixmerge.core.errors import UserError
from mixmerge.core.io import read_json, sha256
from mixmerge.merge.recipe import render_recipe
from mixmerge.merge.record import holds_recorded
from mixmerge.merge.settings import RecipeSettings
from mixmerge.study.plan import Study
from mixmerge.verify.results import ListedFile, Result, listed_results, results_of


class Use(NamedTuple):
    """That a result was made from a file, by the result's provenance."""

    sha256: str
    """The file's, as it was then."""
    when: float
    """Seconds since 1970 when that was written down."""


@dataclass
class Verdict:
    """What was found.

    Attributes:
        faults: what rotted, was edited or lost: path, problem, way out.
        notes: what could not be compared, one sentence each.
        sound: rule -> results that are as they were made.
        absent: rule -> results that are not made yet.
        temporary: merges whose weights were deleted on purpose.
        files: files hashed.
        bytes: their size together.
    """

    faults: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    sound: Counter[str] = field(default_factory=Counter)
    absent: Counter[str] = field(default_factory=Counter)
    temporary: int = 0
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
    present += listed_results(study, options)
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
        self._uses = _uses(study.root)

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
            if result.form == "weights" and not result.faults:
                self._check_weights(result)
            elif result.form == "directory" and not result.faults:
                self._check_uses(result)
        return True

    def hash_files(self, results: list[Result]) -> None:
        """Read all listed files and note those that differ."""
        sizes = {file.path: file.bytes for result in results for file in result.files}
        hashes = dict(digests(sizes, "verify", sizes))
        self._verdict.files, self._verdict.bytes = len(sizes), sum(sizes.values())
        for result in results:
            for file in result.files:
                digest = hashes[file.path]
                if isinstance(digest, OSError):
                    problem = f"cannot be read ({digest.strerror or digest})"
                    self._fault(result, file.path, problem)
                elif digest != file.sha256:
                    self._fault(result, file.path, _difference(file, digest))

    def _fault(self, result: Result, path: Path, problem: str, way_out: str | None = None) -> None:
        if way_out is None and result.form == "weights":
            way_out = (
                f"delete {result.path}; the next `snakemake {self._options} all` merges it again "
                "where it is still needed"
            )
        elif way_out is None:
            again = f"`snakemake {self._options} -- {result.target}` ({result.rule})"
            way_out = f"delete {result.anchor}, then {again}"
        result.faults.append(f"{path}: {problem}; {way_out}")

    def _made_from(self, path: Path) -> list[Use]:
        """The uses of a file of the study."""
        root = self._study.root
        return self._uses.get(str(path.relative_to(root)) if path.is_relative_to(root) else "", [])

    def _check_absent(self, result: Result) -> bool:
        """Tell what was deleted on purpose, or is not made yet, from what was lost."""
        target = Path(result.target)
        if result.form == "weights":
            if not target.exists():
                return False
            if self._study.config.merging.keep == "all" and not result.path.exists():
                again = f"`snakemake {self._options} all_checkpoints` merges it again"
                self._fault(result, result.path, "lost: merging.keep is 'all'", again)
                return True
            self._verdict.temporary += 1
            return False
        path = result.path
        if result.form == "recipe":
            reason = None  # it is made again before its merge is; nothing is lost with it
        elif self._made_from(target):
            reason = "other results were made from it"
        elif recorded(path) is not None:
            reason = "its job left a record of it"
        else:
            has_files = path.is_dir() and any(file.is_file() for file in path.rglob("*"))
            reason = "its files are there without a manifest" if has_files else None
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
        record = recorded(result.path)
        if record is not None and record["text"].encode() != result.manifest:
            self._fault(result, path, "is not the manifest that its job wrote (edited)")
        provenance = result.path / PROVENANCE
        if record is not None and PROVENANCE in record["files"]:
            if not provenance.is_file():
                self._fault(result, provenance, "missing, but its job wrote it")
            elif sha256(provenance) != record["files"][PROVENANCE]["sha256"]:
                self._fault(result, provenance, "is not what its job wrote (rotted or edited)")
        files = {} if result.form == "record" else manifest["files"]
        for name, entry in sorted(files.items()):
            file = result.path / name
            listed = ListedFile(file, entry["bytes"], entry["sha256"], path)
            if not _is_file(file):
                self._fault(result, file, f"missing, but {path} lists it")
            elif file.is_symlink():
                # No job makes one: what it points to lies elsewhere, and may go or change there.
                self._fault(
                    result,
                    file,
                    f"is a symbolic link to {file.readlink()} (put there by hand)",
                    "put the file itself there (`cp --remove-destination "
                    f"{file.resolve()} {file}`), or delete {path} and make it again",
                )
            elif file.stat().st_size != listed.bytes:
                self._fault(result, file, _difference(listed))
            else:
                result.files.append(listed)
        for file in sorted(result.path.rglob("*")):
            known = file.relative_to(result.path).as_posix() in {MANIFEST, PROVENANCE, *files}
            # NFS calls `.nfs...` what was deleted while somebody read it.
            is_folder = file.is_dir() and not file.is_symlink()
            if not (known or is_folder or file.name.startswith(".nfs")):
                problem = f"put there by hand: {path} does not list it"
                self._fault(result, file, problem, f"delete {file}")

    def _check_weights(self, result: Result) -> None:
        """Merged weights must be those that the merge's record lists."""
        record = Path(result.target).parent
        try:
            same = holds_recorded(result.path, record)
        except UserError:
            return  # the record is missing or damaged, which is told where it lies
        if not same:
            self._fault(result, result.anchor, f"lists other files than {record / MANIFEST}")

    def _check_recipe(self, result: Result) -> None:
        """A recipe is what the configuration says, or what its merge was made from."""
        path = result.path
        settings = self._study.recipe_settings(path.parent.name, path.name.removesuffix(".yaml"))
        expected = render_recipe(RecipeSettings.model_validate(settings))
        used = {use.sha256 for use in self._made_from(path)}
        if path.read_bytes() != expected.encode() and sha256(path) not in used:
            self._fault(
                result,
                path,
                "is neither what the configuration says nor what its merge was made from (edited)",
            )

    def _check_uses(self, result: Result) -> None:
        """A manifest against what results were made from; few manifests have another witness."""
        path = result.anchor
        uses = self._made_from(path)
        if not uses or sha256(path) in {use.sha256 for use in uses}:
            return
        if max(use.when for use in uses) > path.stat().st_mtime:
            problem = "is not the manifest that results were made from (rotted or edited)"
            self._fault(result, path, problem)
        else:
            self._verdict.notes.append(
                f"{path} is younger than the {len(uses)} results that were made from another one: "
                f"it was edited, or made anew; `snakemake {self._options} -n` says what would run "
                "again"
            )


def _uses(root: Path) -> dict[str, list[Use]]:
    """File below the study's root -> what was made from it, by all provenance there is."""
    found: dict[str, list[Use]] = {}
    for path in root.rglob(PROVENANCE):
        try:
            inputs, when = read_json(path)["inputs"].items(), path.stat().st_mtime
        except (UserError, KeyError, TypeError, AttributeError, OSError):
            continue
        for name, digest in inputs:
            # Paths are as the job saw them; results may have been moved since.
            _, separator, tail = name.rpartition(f"{root.name}/")
            if separator:
                found.setdefault(tail, []).append(Use(str(digest), when))
    return found


def _difference(file: ListedFile, digest: str | None = None) -> str:
    """How a file differs from its listing: in size, or in its SHA-256 where that is given."""
    written = file.path.stat().st_mtime
    # A manifest or list comes after the files that it names.
    if written > file.listing.stat().st_mtime + 1:
        how = f"edited on {datetime.fromtimestamp(written).astimezone():%Y-%m-%d %H:%M}"
        if digest is not None:
            how += ", after " + ("its manifest" if file.listing.name == MANIFEST else "its job")
    else:
        how = "cut off or damaged" if digest is None else "rotted: no time says it was written"
    if digest is None:
        size = file.path.stat().st_size
        return f"{how}: {size:,} bytes, {file.listing} lists {file.bytes:,}"
    return f"{how}; its SHA-256 is {digest}, {file.listing} lists {file.sha256}"


def _is_file(path: Path) -> bool:
    """Whether a file is there; a name that no file can have is none."""
    try:
        return path.is_file()
    except (OSError, ValueError):
        return False


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

    def counts(counter: Counter[str]) -> str:
        return ", ".join(f"{count} {rule}" for rule, count in sorted(counter.items())) or "-"

    return "\n".join(
        [
            *(f"error: {fault}" for fault in verdict.faults),
            *(f"note: {note}" for note in verdict.notes),
            f"{verdict.files:,} files, {verdict.bytes / 1e9:,.2f} GB read in {seconds:.0f} s; "
            f"{sum(verdict.sound.values()):,} results as they were made, "
            f"{len(verdict.faults):,} faults",
            f"  {'sound':<20}{counts(verdict.sound)}",
            f"  {'not made yet':<20}{counts(verdict.absent)}",
            f"  {'deleted on purpose':<20}weights of {verdict.temporary} merges (resources.md)",
            f"  {'without a digest':<20}logs, benchmarks, the HTML report",
        ]
    )
