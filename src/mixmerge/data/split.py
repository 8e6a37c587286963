"""Training and validation rows of a task, their subsets, the tasks' mixture, and statistics.

Rows are chosen and shuffled by a seeded hash of their ids, their rank. It depends on the seed and
the row's own id only: not on the order of the file, on the other rows, or on how many are taken. So
a quarter is inside the half, which is inside the whole.
"""

import json
import shutil
from array import array
from collections import defaultdict
from contextlib import ExitStack
from itertools import compress
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from mixmerge.artifacts.manifest import MANIFEST, publish, read_manifest
from mixmerge.core.errors import UserError
from mixmerge.core.io import digest, encode_line, read_json
from mixmerge.data.rows import REPORT, ROWS, TRAIN, VALIDATION, progress, read_directory, read_rows

Ranks = npt.NDArray[np.uint64]
#: How often each row of a file is taken.
Times = npt.NDArray[np.int64]


def split(task: str, fraction: float, rows: Path, out: Path, seed: int) -> tuple[int, int]:
    """Write a decontaminated task's train.jsonl and validation.jsonl; returns their rows' numbers.

    ``round(n * fraction)`` rows, at least one and not all, are held out: those of lowest rank.
    Both files keep the order of the rows. Fewer than two rows raise `UserError`.
    """
    total = _facts(rows)["rows"]
    if total < 2:
        raise UserError(
            f"{rows / ROWS}: task {task!r} has {total} row; a split into training and validation "
            "needs two"
        )
    count = min(max(1, round(total * fraction)), total - 1)
    held_out = lowest(ranks(rows / ROWS, seed, f"split {task}"), count)
    with _publish(out, [rows / MANIFEST], {"validation_fraction": fraction}, seed) as artifact:
        _copy_lines(rows / ROWS, ~held_out, artifact.path / TRAIN)
        _copy_lines(rows / ROWS, held_out, artifact.path / VALIDATION)
        artifact.facts |= {"train": total - count, "validation": count}
    return total - count, count


def subset(task: str, percent: int, source: Path, out: Path, seed: int) -> int:
    """Write ``percent`` % of a split's training rows, and its whole validation part.

    Subsets of one seed are nested. Returns the number of training rows, at least one.
    """
    whole = _facts(source)
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


def mix(
    splits: dict[str, Path],
    weights: dict[str, float],
    percent: int,
    out: Path,
    seed: int,
    subset_seeds: dict[str, int],
) -> dict[str, int]:
    """Write train.jsonl and validation.jsonl, each shuffled; returns each task's training rows.

    Of each task's split the mixture takes the rows of the ``percent`` % subset (by the seed of the
    task's subsets, so that they are the very rows of the specialist) as often as its weight says, 1
    where it has none: whole parts are full passes, the rest is a nested part of the subset. Rows
    repeated are told apart by ``#2``, ``#3``, ... after their ids. Validation rows are taken once,
    all of them.
    """
    train, validation, taken = [], [], {}
    for task, directory in splits.items():
        whole = _facts(directory)
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
    settings = {"weights": weights, "percent": percent, "subset_seeds": subset_seeds}
    inputs = [directory / MANIFEST for directory in splits.values()]
    with _publish(out, inputs, settings, seed) as artifact:
        for name, parts in ((TRAIN, train), (VALIDATION, validation)):
            count = _write_shuffled(artifact.path / name, parts, seed)
            artifact.facts[name.removesuffix(".jsonl")] = count
        artifact.facts["tasks"] = taken
    return taken


def _facts(directory: Path, content: bool = True) -> dict[str, Any]:
    facts: dict[str, Any] = read_manifest(directory, "rows", content=content)["facts"]
    return facts


def _publish(out: Path, inputs: list[Path], settings: Any, seed: int) -> Any:
    return publish(out, "rows", inputs=inputs, settings=settings, seed=seed, packages=["numpy"])


def _copy_lines(path: Path, chosen: npt.NDArray[np.bool_], target: Path) -> None:
    with path.open("rb") as lines, target.open("wb") as file:
        file.writelines(compress(lines, chosen))


def _write_shuffled(target: Path, parts: list[tuple[Path, Times]], seed: int) -> int:
    """Write rows of several files as often as they are taken, by their rank; returns their number.

    Equal ranks keep their order. Only ranks and places are in memory.
    """
    places: list[tuple[int, int, int, int]] = []  # rank; number of the file, offset in it, copy
    with ExitStack() as stack, target.open("wb") as out:
        files = [stack.enter_context(path.open("rb")) for path, _ in parts]
        for number, (_, times) in enumerate(parts):
            lines, offset = zip(times.tolist(), files[number], strict=True), 0
            for count, line in progress(lines, "mix", len(times)):
                name = json.loads(line)["id"] if count else ""
                for copy in range(1, count + 1):
                    places.append((rank(seed, _copy_id(name, copy)), number, offset, copy))
                offset += len(line)
        places.sort()
        for _, number, offset, copy in places:
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
    return int.from_bytes(digest(f"{seed}\x1f{name}", 8), "big")


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


def statistics(
    sources: list[Path], tasks: list[Path], clean: list[Path], splits: list[Path], sets: list[Path]
) -> dict[str, Any]:
    """Numbers for Table 2, by the directories' names.

    Returns:
        ``sources``: rows. ``tasks``: rows read, empty, duplicates, contaminated, kept, train,
        validation, lengths of prompt and answer, and the same by source. ``sets``: train,
        validation, and for mixtures rows by task.
    """
    # Where only the manifest is read, the files need no digest.
    return {
        "sources": {folder.name: {"rows": _facts(folder, False)["rows"]} for folder in sources},
        "tasks": {
            prepared.name: _task(prepared, cleaned) | _facts(halves, False)
            for prepared, cleaned, halves in zip(tasks, clean, splits, strict=True)
        },
        "sets": {folder.name: _facts(folder, False) for folder in sets},
    }


def _task(prepared: Path, cleaned: Path) -> dict[str, Any]:
    before, after = read_json(prepared / REPORT), read_json(cleaned / REPORT)
    lengths = _lengths(cleaned, f"measure {prepared.name}")

    by_source = {}
    for source, counts in [("", before), *before["sources"].items()]:
        dropped = after["sources"].get(source, {"dropped": 0}) if source else after
        kept = {"contaminated": dropped["dropped"], "rows": counts["rows"] - dropped["dropped"]}
        counted = {name: counts[name] for name in ("read", "empty", "duplicates")}
        by_source[source] = counted | kept | lengths[source]
    total = by_source.pop("")
    by_suite = {suite: entry["rows"] for suite, entry in after["suites"].items()}
    return {**total, "contaminated_by": by_suite, "sources": by_source}


def _lengths(cleaned: Path, label: str) -> dict[str, dict[str, Any]]:
    """Source ("" for all) -> prompt and answer -> measure -> total, mean and so on."""
    values: dict[tuple[str, str, str], array[int]] = defaultdict(lambda: array("I"))
    for _, row in read_directory(cleaned, label):
        for part, message in zip(("prompt", "answer"), row["messages"][-2:], strict=True):
            text = message["content"]
            for source in (row["source"], ""):
                values[source, part, "characters"].append(len(text))
                values[source, part, "words"].append(len(text.split()))
    lengths: dict[str, dict[str, Any]] = defaultdict(dict)
    for (source, part, measure), numbers in values.items():
        lengths[source].setdefault(part, {})[measure] = _summary(np.array(numbers, np.uint32))
    return lengths


def _summary(values: np.ndarray[Any, np.dtype[np.uint32]]) -> dict[str, float]:
    return {
        "total": int(values.sum(dtype=np.int64)),
        "mean": round(float(values.mean(dtype=np.float64)), 3),
        "median": float(np.median(values)),
        "p95": float(np.percentile(values, 95)),
        "max": int(values.max()),
    }
