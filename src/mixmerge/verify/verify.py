"""``snakemake verify``: every file of a study that has a digest, read and compared."""

import sys
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

from mixmerge.artifacts.integrity import digests
from mixmerge.artifacts.manifest import MANIFEST
from mixmerge.artifacts.record import recorded
from mixmerge.core.errors import UserError
from mixmerge.core.io import sha256
from mixmerge.merge.recipe import render_recipe
from mixmerge.merge.record import holds_recorded
from mixmerge.merge.settings import RecipeSettings
from mixmerge.study.plan import Study
from mixmerge.verify.inspection import Fault, Found, Wanted, changed, inspect, way_out
from mixmerge.verify.lineage import Use, unlike_its_uses, uses
from mixmerge.verify.places import Place, places
from mixmerge.verify.printed import printed


@dataclass
class Verdict:
    """What was found.

    Attributes:
        faults: what rotted, was edited or lost.
        sound: rule -> places that are as they were made.
        absent: rule -> places that are not made yet.
        temporary: merges whose weights were deleted on purpose.
        files: files hashed.
        bytes: their size together.
        notes: what could not be compared, one sentence each.
    """

    faults: list[Fault] = field(default_factory=list)
    sound: Counter[str] = field(default_factory=Counter)
    absent: Counter[str] = field(default_factory=Counter)
    temporary: int = 0
    files: int = 0
    bytes: int = 0
    notes: list[str] = field(default_factory=list)


def verify(study: Study, options: str = "", remote: bool = False) -> Verdict:
    """Look through all results of a study; nothing is changed.

    Args:
        study: the plan.
        options: of the command line, for the ways out.
        remote: whether completions and scores stand on a bucket, where nothing is looked at.
    """
    verdict = Verdict()
    looked = [inspect(place, options) for place in places(study, remote)]
    made = uses(study.root)
    for found in looked:
        if found.state == "absent":
            _missing(found, study, made, verdict, options)
        elif found.faults:
            continue
        elif found.state == "unknown":
            verdict.notes.append(
                f"{found.place.path}: its job's record is gone, so it was compared with nothing; "
                f"delete it and it is made again ({found.place.rule})"
            )
        elif found.place.form == "weights":
            _same_as_record(found, study, options)
        elif found.place.form == "recipe":
            _recipe(found, study, made, options)
        elif found.place.form == "directory":
            _as_it_was_used(found, study, made, verdict, options)
    looked += printed(study, options)
    _hash(looked, verdict, options)
    for found in looked:
        if found.faults and _was_replaced(found):
            verdict.notes.append(f"{found.place.path} was made anew meanwhile: verify once more")
        elif found.faults:
            verdict.faults += found.faults
        elif found.state == "here":
            verdict.sound[found.place.rule] += 1
    if remote:
        verdict.notes.append("completions, scores and uncertainty on the bucket were not read")
    return verdict


def _hash(looked: list[Found], verdict: Verdict, options: str) -> None:
    """Read all files, the largest first, and note which differ."""
    wanted = sorted((w for found in looked for w in found.wanted), key=lambda w: -w.bytes)
    owner = {found.place: found for found in looked}
    verdict.files, verdict.bytes = len(wanted), sum(entry.bytes for entry in wanted)
    sizes = {entry.path: entry.bytes for entry in wanted}
    hashes = dict(digests(sizes, "verify", sizes))
    for entry in wanted:
        digest = hashes[entry.path]
        if isinstance(digest, OSError):
            fault = _unreadable(entry, digest, options)
        elif digest != entry.sha256:
            fault = changed(entry, digest, options)
        else:
            continue
        owner[entry.place].faults.append(fault)


def _unreadable(entry: Wanted, error: OSError, options: str) -> Fault:
    said = error.strerror or str(error)
    return Fault(entry.path, f"cannot be read ({said})", way_out(entry.place, options))


def _missing(
    found: Found, study: Study, made: dict[str, list[Use]], verdict: Verdict, options: str
) -> None:
    """Tell what is gone on purpose, or not made yet, from what was lost."""
    place = found.place
    target = Path(place.target)
    if place.form == "weights":
        kept = study.config.merging.keep == "all"
        if kept and target.exists() and not place.path.exists():
            again = f"`snakemake {options} all_checkpoints` merges it again"
            found.faults.append(Fault(place.path, "lost: merging.keep is 'all'", again))
        elif target.exists():
            verdict.temporary += 1
        return
    if place.form == "recipe":
        # Made again before its merge is; nothing is lost with it.
        verdict.absent[place.rule] += 1
        return
    named = _tail(target, study) in made
    if named or recorded(place.path) is not None or _holds_files(place):
        why = "other results were made from it" if named else "its job left a record of it"
        if not named and recorded(place.path) is None:
            why = "its files are there without a manifest"
        again = f"`snakemake {options} -- {place.target}` makes it again ({place.rule})"
        found.faults.append(Fault(target, f"lost: {why}", again))
    else:
        verdict.absent[place.rule] += 1


def _same_as_record(found: Found, study: Study, options: str) -> None:
    """Merged weights that lie there must be those that the merge's record lists."""
    record = Path(found.place.target).parent
    try:
        same = holds_recorded(found.place.path, record)
    except UserError:
        # The record is missing or damaged, which is told of where it lies.
        return
    if not same:
        path = found.place.path / MANIFEST
        problem = f"lists other files than {record / MANIFEST}"
        found.faults.append(Fault(path, problem, way_out(found.place, options)))


def _recipe(found: Found, study: Study, made: dict[str, list[Use]], options: str) -> None:
    """A recipe is what the configuration says, or what its merge was made from."""
    path = found.place.path
    model, variant = path.parent.name, path.name.removesuffix(".yaml")
    said = render_recipe(RecipeSettings.model_validate(study.recipe_settings(model, variant)))
    digest = sha256(path)
    if path.read_bytes() == said.encode() or any(
        use.sha256 == digest for use in made.get(_tail(path, study), ())
    ):
        return
    found.faults.append(
        Fault(
            path,
            "is neither what the configuration says nor what its merge was made from (edited)",
            way_out(found.place, options),
        )
    )


def _as_it_was_used(
    found: Found, study: Study, made: dict[str, list[Use]], verdict: Verdict, options: str
) -> None:
    path = found.place.path / MANIFEST
    for told in unlike_its_uses(found, made.get(_tail(path, study), []), options):
        if isinstance(told, Fault):
            found.faults.append(told)
        else:
            verdict.notes.append(told)


def _tail(path: Path, study: Study) -> str:
    return path.relative_to(study.root).as_posix() if path.is_relative_to(study.root) else ""


def _holds_files(place: Place) -> bool:
    return place.path.is_dir() and any(path.is_file() for path in place.path.rglob("*"))


def _was_replaced(found: Found) -> bool:
    """Whether a job made the place anew while it was read."""
    path = found.place.path / MANIFEST
    if found.manifest is None:
        return False
    try:
        return path.read_bytes() != found.manifest
    except OSError:
        return True


def rendered(verdict: Verdict, seconds: float) -> str:
    """The verdict for people: a line a fault, then what was looked through."""
    lines = [f"error: {fault}" for fault in verdict.faults]
    lines += [f"note: {note}" for note in verdict.notes]
    lines.append(
        f"{verdict.files:,} files, {verdict.bytes / 1e9:,.2f} GB read in {seconds:.0f} s; "
        f"{sum(verdict.sound.values()):,} results as they were made, "
        f"{len(verdict.faults):,} faults"
    )
    rows = [
        ("sound", _counts(verdict.sound)),
        ("not made yet", _counts(verdict.absent)),
        ("deleted on purpose", f"weights of {verdict.temporary} merges (docs/resources.md)"),
        ("without a digest", "logs, benchmarks, the HTML report"),
    ]
    return "\n".join([*lines, *(f"  {name:<20}{text or '-'}" for name, text in rows)])


def _counts(counter: Counter[str]) -> str:
    return ", ".join(f"{count} {rule}" for rule, count in sorted(counter.items()))


def main(study: Study, options: str, remote: bool) -> int:
    """Verify and say so; returns the exit code."""
    import time

    start = time.monotonic()
    verdict = verify(study, options, remote)
    print(rendered(verdict, time.monotonic() - start), flush=True)
    sys.stderr.flush()
    return 1 if verdict.faults else 0
