"""The multi-task training set: the tasks' rows together, shuffled."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from mixmerge.artifacts.manifest import MANIFEST, read_manifest, write_manifest, write_provenance
from mixmerge.core.errors import UserError
from mixmerge.core.io import atomic_dir
from mixmerge.data.layout import TRAIN, VALIDATION
from mixmerge.data.lines import check_row, encode, parse_line, progress, read_lines
from mixmerge.data.sampling import check_count, lowest, rank, ranks, share
from mixmerge.data.shuffle import sort_lines

_BUCKET = 64 << 20


def mix(
    splits: dict[str, Path],
    weights: dict[str, float],
    percent: int,
    out: Path,
    seed: int,
    subset_seeds: dict[str, int],
) -> dict[str, int]:
    """Write ``out``/train.jsonl and validation.jsonl, each shuffled by a seeded hash of the ids.

    Of each task the mixture takes the rows of its ``percent`` % subset as often as its weight says:
    whole parts are full passes, the rest is a nested part of the subset. Rows repeated are told
    apart by ``#2``, ``#3``, ... after their ids. Validation rows are taken once, all of them.

    Args:
        splits: task -> its split's directory.
        weights: task -> multiple of its size; tasks not named have 1.
        percent: 1 to 100.
        out: target directory.
        seed: the job's; it orders the mixture.
        subset_seeds: task -> seed of its subsets, so that the mixture at 25 % holds the very rows
            of the specialists at 25 %.

    Returns:
        Training rows of each task.

    Raises:
        UserError: a number outside its range, or a weight for a task without a split.
    """
    if not 0 < percent <= 100:
        raise UserError(f"mixture.scale: {percent} % is outside 0 < percent <= 100")
    for task, weight in weights.items():
        if task not in splits:
            raise UserError(f"mixture.weights: {task!r} is none of the tasks {list(splits)}")
        if weight <= 0:
            raise UserError(f"mixture.weights.{task}: {weight} is not above 0; leave the task out")
    if set(subset_seeds) != set(splits):
        raise UserError(f"--subset-seeds: one for each of {list(splits)} is needed")
    taken = {}
    with atomic_dir(out) as scratch:
        parts: list[Iterator[tuple[int, bytes]]] = []
        size = 0
        for task, directory in splits.items():
            total = read_manifest(directory, "rows")["facts"]["train"]
            weight = weights.get(task, 1.0)
            repeats = _repeats(directory / TRAIN, total, percent, weight, subset_seeds[task])
            taken[task] = sum(repeats)
            size += int((directory / TRAIN).stat().st_size * weight * percent / 100)
            parts.append(_keyed(directory / TRAIN, repeats, seed, f"mix {task}"))
        train = sort_lines(_chain(parts), scratch / TRAIN, scratch, size, _BUCKET)
        held = []
        for task, directory in splits.items():
            rows = read_manifest(directory, "rows")["facts"]["validation"]
            label = f"mix {task} validation"
            held.append(_keyed(directory / VALIDATION, b"\1" * rows, seed, label))
        size = sum((directory / VALIDATION).stat().st_size for directory in splits.values())
        validation = sort_lines(_chain(held), scratch / VALIDATION, scratch, size, _BUCKET)
        given: dict[str, Any] = {
            "weights": weights,
            "percent": percent,
            "subset_seeds": subset_seeds,
        }
        manifests = [directory / MANIFEST for directory in splits.values()]
        write_provenance(scratch, inputs=manifests, settings=given, seed=seed, packages=["numpy"])
        facts = {"train": train, "validation": validation, "tasks": taken}
        write_manifest(scratch, "rows", facts)
    return taken


def _repeats(path: Path, total: int, percent: int, weight: float, seed: int) -> bytes:
    """How often each row of a training file is taken, one byte a row."""
    passes = int(weight)
    if weight > 255:
        raise UserError(f"mixture.weights: {weight} is more than 255 passes over a task")
    count = share(total, percent)
    extra = round(count * (weight - passes))
    if passes == 0:
        extra = max(1, extra)
    if count == total and not extra:
        return bytes([passes]) * total
    values = ranks(path, seed, f"rank {path.parent.name}", total)
    repeats = lowest(values, count).astype("uint8") * passes + lowest(values, extra)
    return repeats.astype("uint8").tobytes()


def _keyed(path: Path, repeats: bytes, seed: int, what: str) -> Iterator[tuple[int, bytes]]:
    """Each row as often as it is taken, with the key that shuffles it."""
    lines = zip(repeats, _counted(path, len(repeats)), strict=True)
    for times, (number, line) in progress(lines, what, len(repeats)):
        if not times:
            continue
        row = parse_line(line, path, number)
        check_row(row, path, number, {"id": str})
        name = row["id"]
        yield rank(seed, name), line
        for copy in range(2, times + 1):
            row["id"] = f"{name}#{copy}"
            yield rank(seed, row["id"]), encode(row).rstrip(b"\n")


def _counted(path: Path, total: int) -> Iterator[tuple[int, bytes]]:
    """A file's lines; it must hold as many as its manifest counts."""
    found = 0
    for found, entry in enumerate(read_lines(path), start=1):
        if found > total:
            break
        yield entry
    check_count(path, found, total)


def _chain(parts: list[Iterator[tuple[int, bytes]]]) -> Iterator[tuple[int, bytes]]:
    for part in parts:
        yield from part
