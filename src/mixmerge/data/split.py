"""Training and validation rows of a task, nested subsets of them, and the tasks' mixture.

Rows are chosen and shuffled by a seeded hash of their ids, their rank. It depends on the seed and
the row's own id only: not on the order of the file, on the other rows, or on how many are taken. So
a quarter is inside the half, which is inside the whole.
"""

import hashlib
import json
import shutil
from collections.abc import Iterable
from contextlib import ExitStack
from pathlib import Path
from typing import IO, Any

import numpy as np
import numpy.typing as npt

from mixmerge.artifacts.manifest import MANIFEST, publish, read_manifest
from mixmerge.core.errors import UserError
from mixmerge.core.io import encode_line
from mixmerge.data.rows import ROWS, TRAIN, VALIDATION, progress, read_lines, read_rows

Ranks = npt.NDArray[np.uint64]
#: How often each row of a file is taken.
Times = npt.NDArray[np.int64]


def split(task: str, fraction: float, rows: Path, out: Path, seed: int) -> tuple[int, int]:
    """Write a decontaminated task's train.jsonl and validation.jsonl; returns their rows' numbers.

    ``round(n * fraction)`` rows, at least one and not all, are held out: those of lowest rank.
    Both files keep the order of the rows. Fewer than two rows raise `UserError`.
    """
    total = read_manifest(rows, "rows")["facts"]["rows"]
    if total < 2:
        raise UserError(
            f"{rows / ROWS}: task {task!r} has {total} row; a split into training and validation "
            "needs two"
        )
    count = min(max(1, round(total * fraction)), total - 1)
    held_out = lowest(ranks(rows / ROWS, seed, f"split {task}"), count)
    inputs, settings = [rows / MANIFEST], {"validation_fraction": fraction}
    with _publish(out, inputs, settings, seed) as artifact:
        _copy_lines(rows / ROWS, ~held_out, artifact.path / TRAIN)
        _copy_lines(rows / ROWS, held_out, artifact.path / VALIDATION)
        artifact.facts |= {"train": total - count, "validation": count}
    return total - count, count


def subset(task: str, percent: int, source: Path, out: Path, seed: int) -> int:
    """Write ``percent`` % of a split's training rows, and its whole validation part.

    Subsets of one seed are nested. Returns the number of training rows, at least one.
    """
    whole = read_manifest(source, "rows")["facts"]
    count = share(whole["train"], percent)
    with _publish(out, [source / MANIFEST], {"percent": percent}, seed) as artifact:
        shutil.copyfile(source / VALIDATION, artifact.path / VALIDATION)
        if count == whole["train"]:
            shutil.copyfile(source / TRAIN, artifact.path / TRAIN)
        else:
            chosen = lowest(ranks(source / TRAIN, seed, f"subset {task}"), count)
            _copy_lines(source / TRAIN, chosen, artifact.path / TRAIN)
        artifact.facts |= {"train": count, "validation": whole["validation"]}
    return count


def _publish(out: Path, inputs: list[Path], settings: Any, seed: int) -> Any:
    return publish(out, "rows", inputs=inputs, settings=settings, seed=seed, packages=["numpy"])


def _copy_lines(path: Path, chosen: npt.NDArray[np.bool_], target: Path) -> None:
    with target.open("wb") as file:
        for is_chosen, (_, line) in zip(chosen, read_lines(path), strict=True):
            if is_chosen:
                file.write(line + b"\n")


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
        weights: task -> multiple of its size, above 0; tasks not named have 1.
        percent: 1 to 100.
        out: target directory.
        seed: orders the mixture.
        subset_seeds: task -> seed of its subsets, so that the mixture at 25 % holds the very rows
            of the specialists at 25 %.

    Returns:
        The number of training rows of each task.
    """
    settings = {"weights": weights, "percent": percent, "subset_seeds": subset_seeds}
    inputs = [directory / MANIFEST for directory in splits.values()]
    train, validation, taken = [], [], {}
    for task, directory in splits.items():
        whole = read_manifest(directory, "rows")["facts"]
        count, weight = share(whole["train"], percent), weights.get(task, 1.0)
        passes = int(weight)
        extra = round(count * (weight - passes))
        if passes and not extra and count == whole["train"]:  # all rows equally often
            times = np.full(count, passes, np.int64)
        else:
            values = ranks(directory / TRAIN, subset_seeds[task], f"rank {task}")
            times = passes * lowest(values, count).astype(np.int64)
            times += lowest(values, extra if passes else max(1, extra))
        taken[task] = int(times.sum())
        train.append((directory / TRAIN, times))
        validation.append((directory / VALIDATION, np.ones(whole["validation"], np.int64)))
    with _publish(out, inputs, settings, seed) as artifact:
        artifact.facts |= {
            "train": _write_shuffled(artifact.path / TRAIN, train, seed),
            "validation": _write_shuffled(artifact.path / VALIDATION, validation, seed),
            "tasks": taken,
        }
    return taken


def _write_shuffled(target: Path, parts: Iterable[tuple[Path, Times]], seed: int) -> int:
    """Write rows of several files as often as they are taken, by their rank; returns their number.

    Equal ranks keep their order. Only ranks and places are in memory.
    """
    values: list[int] = []
    places: list[tuple[int, int, int]] = []  # number of the file, offset in it, number of the copy
    with ExitStack() as stack, target.open("wb") as out:
        files: list[IO[bytes]] = []
        for path, times in parts:
            file = stack.enter_context(path.open("rb"))
            offset = 0
            for count, line in progress(zip(times.tolist(), file, strict=True), "mix", len(times)):
                name = json.loads(line)["id"] if count else ""
                for copy in range(1, count + 1):
                    values.append(rank(seed, _copy_id(name, copy)))
                    places.append((len(files), offset, copy))
                offset += len(line)
            files.append(file)
        for index in np.argsort(np.array(values, np.uint64), kind="stable"):
            number, offset, copy = places[index]
            files[number].seek(offset)
            line = files[number].readline()
            if copy > 1:
                row = json.loads(line)
                line = encode_line({**row, "id": _copy_id(row["id"], copy)})
            out.write(line)
    return len(places)


def _copy_id(name: str, copy: int) -> str:
    return name if copy == 1 else f"{name}#{copy}"


def rank(seed: int, name: str) -> int:
    """64 bits that follow from the seed and the name."""
    text = f"{seed}\x1f{name}".encode("utf-8", "surrogatepass")
    return int.from_bytes(hashlib.blake2b(text, digest_size=8).digest(), "big")


def ranks(path: Path, seed: int, what: str) -> Ranks:
    """The rank of each row of a file, in the file's order (8 bytes a row)."""
    rows = progress(read_rows(path), what)
    return np.fromiter((rank(seed, row["id"]) for _, row in rows), np.uint64)


def lowest(values: Ranks, count: int) -> npt.NDArray[np.bool_]:
    """Mark the ``count`` rows of lowest rank; the earlier row wins a tie."""
    chosen = np.zeros(len(values), dtype=bool)
    chosen[np.argsort(values, kind="stable")[:count]] = True
    return chosen


def share(rows: int, percent: float) -> int:
    """``percent`` % of ``rows``, rounded half to even, but at least one."""
    return max(1, round(rows * percent / 100))
