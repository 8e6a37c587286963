"""What results were made from, by their provenance: digests that outlive what they are of."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from mixmerge.artifacts.manifest import MANIFEST, PROVENANCE
from mixmerge.core.errors import UserError
from mixmerge.core.io import read_json, sha256
from mixmerge.verify.inspection import Fault, Found, way_out


@dataclass(frozen=True)
class Use:
    """That a result was made from a file.

    Attributes:
        sha256: the file's, as it was then.
        when: seconds since 1970 when that was written down.
    """

    sha256: str
    when: float


def uses(root: Path) -> dict[str, list[Use]]:
    """File below the study's root -> what was made from it, by all provenance there is.

    Args:
        root: the study's, where everything is below.
    """
    found: dict[str, list[Use]] = {}
    for path in root.rglob(PROVENANCE):
        try:
            inputs = read_json(path)["inputs"].items()
            when = path.stat().st_mtime
        except (UserError, KeyError, TypeError, AttributeError, OSError):
            continue
        for name, digest in inputs:
            # Paths are as the job saw them; results may have been moved since.
            _, separator, tail = name.rpartition(f"{root.name}/")
            if separator:
                found.setdefault(tail, []).append(Use(str(digest), when))
    return found


def unlike_its_uses(found: Found, made: list[Use], options: str) -> Iterator[Fault | str]:
    """Hold a manifest against what results were made from; few manifests have another witness.

    Yields:
        A fault where it was another one for results that are younger than it; a note where it is
        younger itself, as it is after a hand's edit and after its job ran again.
    """
    path = found.place.path / MANIFEST
    if not made or found.manifest is None:
        return
    digest, written = sha256(path), path.stat().st_mtime
    if any(use.sha256 == digest for use in made):
        return
    if max(use.when for use in made) > written:
        problem = "is not the manifest that results were made from (rotted or edited)"
        yield Fault(path, problem, way_out(found.place, options))
    else:
        yield (
            f"{path} is younger than the {len(made)} results that were made from another one: it "
            f"was edited, or made anew; `snakemake {options} -n` says what would run again"
        )
