"""Training and validation rows of a task, nested subsets of them, and the tasks' mixture.

Rows are chosen and shuffled by a seeded hash of their ids, their rank. It depends on the seed and
the row's own id only: not on the order of the file, on the other rows, or on how many are taken. So
a quarter is inside the half, which is inside the whole.
"""

import hashlib
import shutil
import struct
from collections.abc import Iterable, Iterator
from contextlib import ExitStack
from itertools import chain
from pathlib import Path

import numpy as np
import numpy.typing as npt

from mixmerge.artifacts.manifest import MANIFEST, read_manifest
from mixmerge.core.errors import UserError
from mixmerge.data.rows import (
    ROWS,
    TRAIN,
    VALIDATION,
    check_row,
    encode,
    parse_line,
    progress,
    publish,
    read_lines,
    read_rows,
)

#: Bytes of lines that a shuffle sorts in memory at once, and the most files it deals them into.
_BUCKET_BYTES, _MAX_BUCKETS = 64 << 20, 256
_HEAD = struct.Struct(">QI")  # rank, length of the line

Ranks = npt.NDArray[np.uint64]


def split(task: str, fraction: float, rows: Path, out: Path, seed: int) -> tuple[int, int]:
    """Write ``out``/train.jsonl and validation.jsonl; returns their numbers of rows.

    ``round(n * fraction)`` rows, at least one and not all, are held out: those of lowest rank.
    Both files keep the order of the rows.

    Args:
        task: the task's key, for messages.
        fraction: share held out, in (0, 1).
        rows: the decontaminated task's directory.
        out: target directory.
        seed: the job's.

    Raises:
        UserError: fewer than two rows, or the fraction is outside its range.
    """
    if not 0 < fraction < 1:
        raise UserError(f"data.validation_fraction: {fraction} is outside 0 < fraction < 1")
    total = read_manifest(rows, "rows")["facts"]["rows"]
    if total < 2:
        raise UserError(
            f"{rows / ROWS}: task {task!r} has {total} row; a split into training and validation "
            "needs two"
        )
    count = min(max(1, round(total * fraction)), total - 1)
    held_out = lowest(ranks(rows / ROWS, seed, f"split {task}", total), count)
    settings = {"validation_fraction": fraction}
    with publish(out, "rows", [rows / MANIFEST], settings, seed=seed, packages=["numpy"]) as (
        scratch,
        facts,
    ):
        with (scratch / TRAIN).open("wb") as train, (scratch / VALIDATION).open("wb") as validation:
            for is_held_out, (_, line) in zip(held_out, read_lines(rows / ROWS), strict=True):
                (validation if is_held_out else train).write(line + b"\n")
        facts |= {"train": total - count, "validation": count}
    return total - count, count


def subset(task: str, percent: int, source: Path, out: Path, seed: int) -> int:
    """Write ``percent`` % of a split's training rows, and its whole validation part.

    Args:
        task: the task's key, for messages.
        percent: 1 to 100.
        source: the split's directory.
        out: target directory.
        seed: the same for all percentages of a task, so that they are nested.

    Returns:
        The number of training rows, ``round(n * percent / 100)``, at least one.

    Raises:
        UserError: ``percent`` is outside its range.
    """
    if not 0 < percent <= 100:
        raise UserError(f"data_scale: {percent} % is outside 0 < percent <= 100")
    whole = read_manifest(source, "rows")["facts"]
    count = share(whole["train"], percent)
    inputs, settings = [source / MANIFEST], {"percent": percent}
    with publish(out, "rows", inputs, settings, seed=seed, packages=["numpy"]) as (scratch, facts):
        shutil.copyfile(source / VALIDATION, scratch / VALIDATION)
        if count == whole["train"]:
            shutil.copyfile(source / TRAIN, scratch / TRAIN)
        else:
            chosen = lowest(ranks(source / TRAIN, seed, f"subset {task}", whole["train"]), count)
            with (scratch / TRAIN).open("wb") as file:
                for is_chosen, (_, line) in zip(chosen, read_lines(source / TRAIN), strict=True):
                    if is_chosen:
                        file.write(line + b"\n")
        facts |= {"train": count, "validation": whole["validation"]}
    return count


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
        if weight > 255:
            raise UserError(f"mixture.weights: {weight} is more than 255 passes over a task")
    if set(subset_seeds) != set(splits):
        raise UserError(f"--subset-seeds: one for each of {list(splits)} is needed")
    settings = {"weights": weights, "percent": percent, "subset_seeds": subset_seeds}
    inputs = [directory / MANIFEST for directory in splits.values()]
    taken: dict[str, int] = {}
    with publish(out, "rows", inputs, settings, seed=seed, packages=["numpy"]) as (scratch, facts):
        train, validation = [], []
        train_bytes = validation_bytes = 0
        for task, directory in splits.items():
            whole = read_manifest(directory, "rows")["facts"]
            weight = weights.get(task, 1.0)
            repeats = _repeats(
                directory / TRAIN, whole["train"], percent, weight, subset_seeds[task]
            )
            taken[task] = sum(repeats)
            train_bytes += int((directory / TRAIN).stat().st_size * weight * percent / 100)
            train.append(_ranked(directory / TRAIN, repeats, seed, f"mix {task}"))
            once = b"\1" * whole["validation"]
            label = f"mix {task} validation"
            validation_bytes += (directory / VALIDATION).stat().st_size
            validation.append(_ranked(directory / VALIDATION, once, seed, label))
        facts |= {
            "train": _sort_lines(chain(*train), scratch / TRAIN, train_bytes),
            "validation": _sort_lines(chain(*validation), scratch / VALIDATION, validation_bytes),
            "tasks": taken,
        }
    return taken


def _repeats(path: Path, total: int, percent: int, weight: float, seed: int) -> bytes:
    """How often each row of a training file is taken, one byte a row."""
    passes = int(weight)
    count = share(total, percent)
    extra = round(count * (weight - passes))
    if passes == 0:
        extra = max(1, extra)
    if count == total and not extra:
        return bytes([passes]) * total
    values = ranks(path, seed, f"rank {path.parent.name}", total)
    repeats = lowest(values, count).astype("uint8") * passes + lowest(values, extra)
    return repeats.astype("uint8").tobytes()


def _ranked(path: Path, repeats: bytes, seed: int, what: str) -> Iterator[tuple[int, bytes]]:
    """Each row's line as often as it is taken, with the rank that shuffles it."""
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
    count = 0
    for count, entry in enumerate(read_lines(path), start=1):
        if count > total:
            break
        yield entry
    _check_count(path, count, total)


def _sort_lines(ranked: Iterable[tuple[int, bytes]], target: Path, total_bytes: int) -> int:
    """Write lines in the order of their 64-bit ranks; returns their number.

    More lines than fit into memory: they are dealt into bucket files by their rank's high bits,
    which fills the buckets evenly, then each bucket is sorted in memory. Equal ranks keep their
    order. Reads and writes in sequence only.

    Args:
        ranked: (rank, line without line break).
        target: the file to write; the buckets stand beside it for a while.
        total_bytes: about what all lines take, to choose the number of buckets.
    """
    number = min(_MAX_BUCKETS, 1 + total_bytes // _BUCKET_BYTES)
    paths = [target.with_name(f"bucket-{index:03d}") for index in range(number)]
    with ExitStack() as stack:
        files = [stack.enter_context(path.open("wb")) for path in paths]
        for value, line in ranked:
            files[value * number >> 64].write(_HEAD.pack(value, len(line)) + line)
    count = 0
    with target.open("wb") as out:
        for path in paths:
            lines = []
            with path.open("rb") as file:
                while head := file.read(_HEAD.size):
                    value, length = _HEAD.unpack(head)
                    lines.append((value, file.read(length)))
            path.unlink()
            lines.sort(key=lambda pair: pair[0])
            out.writelines(line + b"\n" for _, line in lines)
            count += len(lines)
    return count


def rank(seed: int, name: str) -> int:
    """64 bits that follow from the seed and the name."""
    text = f"{seed}\x1f{name}".encode("utf-8", "surrogatepass")
    return int.from_bytes(hashlib.blake2b(text, digest_size=8).digest(), "big")


def ranks(path: Path, seed: int, what: str, total: int) -> Ranks:
    """The rank of each row of a file, in the file's order (8 bytes a row).

    Args:
        path: JSONL with an ``id`` in each row.
        seed: a derived seed.
        what: label of the progress bar.
        total: rows that the file's manifest counts.

    Raises:
        UserError: another number of rows, or one without id.
    """
    rows = progress(read_rows(path, id=str), what, total)
    values = np.fromiter((rank(seed, row["id"]) for _, row in rows), np.uint64)
    _check_count(path, len(values), total)
    return values


def _check_count(path: Path, count: int, expected: int) -> None:
    if count != expected:
        raise UserError(
            f"{path}: holds {count} rows, but the manifest beside it counts {expected}; one of the "
            f"two was edited. Delete {path.parent} and run again"
        )


def lowest(values: Ranks, count: int) -> npt.NDArray[np.bool_]:
    """Mark the ``count`` rows of lowest rank; the earlier row wins a tie."""
    chosen = np.zeros(len(values), dtype=bool)
    chosen[np.argsort(values, kind="stable")[:count]] = True
    return chosen


def share(rows: int, percent: float) -> int:
    """``percent`` % of ``rows``, rounded half to even, but at least one."""
    return max(1, round(rows * percent / 100))
