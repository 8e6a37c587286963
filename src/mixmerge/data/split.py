"""Training and validation rows, subsets and mixtures by a hash of seed and id; statistics."""

import json
import shutil
from array import array
from collections import defaultdict
from collections.abc import Iterable
from contextlib import ExitStack
from itertools import compress
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from mixmerge.artifacts.manifest import MANIFEST, publish, read_manifest
from mixmerge.core.errors import UserError
from mixmerge.core.io import digest, encode_line, read_json, read_jsonl
from mixmerge.data.rows import REPORT, ROWS, TRAIN, VALIDATION, progress, read_directory

Ranks = npt.NDArray[np.uint64]
Times = npt.NDArray[np.int64]  # how often each row of a file is taken


def split(task: str, fraction: float, rows: Path, out: Path, seed: int) -> tuple[int, int]:
    """Write a decontaminated task's train.jsonl and validation.jsonl; returns their rows' numbers.

    ``round(n * fraction)`` rows, at least one and not all, are held out; the order stays.
    """
    total = _facts(rows)["rows"]
    if total < 2:
        raise UserError(f"{rows / ROWS}: task {task!r} has {total} row; a split in two needs two")
    count = min(max(1, round(total * fraction)), total - 1)
    held_out = lowest(ranks(rows / ROWS, seed, f"split {task}"), count)
    with _publish(out, [rows], {"validation_fraction": fraction}, seed) as artifact:
        _copy_lines(rows / ROWS, ~held_out, artifact.path / TRAIN)
        _copy_lines(rows / ROWS, held_out, artifact.path / VALIDATION)
        artifact.facts |= {"train": total - count, "validation": count}
    return total - count, count


def subset(task: str, percent: int, source: Path, out: Path, seed: int) -> int:
    """Write ``percent`` % of a split's training rows, at least one, and all validation rows."""
    whole = _facts(source)
    count = share(whole["train"], percent)
    with _publish(out, [source], {"percent": percent}, seed) as artifact:
        shutil.copyfile(source / VALIDATION, artifact.path / VALIDATION)
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

    Of each split it takes the rows of the ``percent`` % subset, which the specialist has too, as
    often as its weight (default 1) says: whole parts are full passes, the rest is a nested part.
    Repeated rows have ``#2``, ``#3``, ... after their ids. Validation rows are all taken once.
    """
    train, validation, taken = [], [], {}
    for task, directory in splits.items():
        whole = _facts(directory)
        count, weight = share(whole["train"], percent), weights.get(task, 1.0)
        passes = int(weight)
        extra = round(count * (weight - passes))
        values = ranks(directory / TRAIN, subset_seeds[task], f"rank {task}")
        times = passes * lowest(values, count).astype(np.int64)
        times += lowest(values, extra if passes else max(1, extra))
        taken[task] = int(times.sum())
        train.append((directory / TRAIN, times))
        validation.append((directory / VALIDATION, np.ones(whole["validation"], np.int64)))
    settings = {"weights": weights, "percent": percent, "subset_seeds": subset_seeds}
    with _publish(out, splits.values(), settings, seed) as artifact:
        for name, parts in ((TRAIN, train), (VALIDATION, validation)):
            count = _write_shuffled(artifact.path / name, parts, seed)
            artifact.facts[name.removesuffix(".jsonl")] = count
        artifact.facts["tasks"] = taken
    return taken


def _facts(directory: Path, content: bool = True) -> dict[str, Any]:
    return dict(read_manifest(directory, "rows", content=content)["facts"])


def _publish(out: Path, directories: Iterable[Path], settings: Any, seed: int) -> Any:
    inputs = [directory / MANIFEST for directory in directories]
    return publish(out, "rows", inputs=inputs, settings=settings, seed=seed, packages=["numpy"])


def _copy_lines(path: Path, chosen: npt.NDArray[np.bool_], target: Path) -> None:
    with path.open("rb") as lines, target.open("wb") as file:
        file.writelines(compress(lines, chosen))


def _write_shuffled(target: Path, parts: list[tuple[Path, Times]], seed: int) -> int:
    """Write files' rows as often as they are taken, by rank; only their places are in memory."""
    places: list[tuple[int, int, int, str]] = []  # rank; number of the file, offset in it, suffix
    with ExitStack() as stack, target.open("wb") as out:
        files = [stack.enter_context(path.open("rb")) for path, _ in parts]
        for number, (_, times) in enumerate(parts):
            lines, offset = zip(times.tolist(), files[number], strict=True), 0
            for count, line in progress(lines, "mix", len(times)):
                name = json.loads(line)["id"] if count else ""
                for copy in range(1, count + 1):
                    suffix = f"#{copy}" if copy > 1 else ""
                    places.append((rank(seed, name + suffix), number, offset, suffix))
                offset += len(line)
        for _, number, offset, suffix in sorted(places):
            files[number].seek(offset)
            line = files[number].readline()
            if suffix:
                row = json.loads(line)
                line = encode_line({**row, "id": row["id"] + suffix})
            out.write(line)
    return len(places)


def rank(seed: int, name: str) -> int:
    """64 bits from the seed and a row's id alone; so a quarter is inside the half."""
    return int.from_bytes(digest(f"{seed}\x1f{name}", 8), "big")


def ranks(path: Path, seed: int, what: str) -> Ranks:
    """The rank of each row of a file, in the file's order (8 bytes a row)."""
    rows = progress(read_jsonl(path), what)
    return np.fromiter((rank(seed, row["id"]) for row in rows), np.uint64)


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
    """Numbers for Table 2, by the directories' names: of sources, tasks and training sets."""
    # Where only the manifest is read, the files need no digest.
    return {
        "sources": {folder.name: {"rows": _facts(folder, False)["rows"]} for folder in sources},
        "tasks": {
            prepared.name: _task(prepared, cleaned) | _facts(halves, False)
            for prepared, cleaned, halves in zip(tasks, clean, splits, strict=True)
        },
        "sets": {folder.name: _facts(folder, False) for folder in sets},
        # Most hold of all tasks.
        "notes": list(
            dict.fromkeys(n for p in (*tasks, *clean) for n in read_json(p / REPORT)["notes"])
        ),
    }


def _task(prepared: Path, cleaned: Path) -> dict[str, Any]:
    """Rows read, empty, duplicates, contaminated, kept, lengths of texts, and all by source too."""
    before, after = read_json(prepared / REPORT), read_json(cleaned / REPORT)
    # Of each row characters and words of the prompt, then of the answer; all rows under "".
    lengths: dict[str, array[int]] = defaultdict(lambda: array("I"))
    for _, row in read_directory(cleaned, f"measure {prepared.name}"):
        texts = [message["content"] for message in row["messages"][-2:]]
        measured = [size for text in texts for size in (len(text), len(text.split()))]
        for source in (row["source"], ""):
            lengths[source].extend(measured)
    by_source = {}
    for source, counts in [("", before), *before["sources"].items()]:
        dropped = after["sources"].get(source, {"dropped": 0}) if source else after
        entry = {name: counts[name] for name in ("read", "empty", "duplicates")}
        entry |= {"contaminated": dropped["dropped"], "rows": counts["rows"] - dropped["dropped"]}
        table = np.array(lengths[source], np.uint32).reshape(-1, 2, 2)
        for place, part in enumerate(("prompt", "answer") if len(table) else ()):
            columns = zip(("characters", "words"), table[:, place].T, strict=True)
            entry[part] = {measure: _summary(values) for measure, values in columns}
        by_source[source] = entry
    total = by_source.pop("")
    by_suite = {suite: entry["rows"] for suite, entry in after["suites"].items()}
    return {**total, "contaminated_by": by_suite, "sources": by_source}


def _summary(values: npt.NDArray[np.uint32]) -> dict[str, float]:
    return {
        "total": int(values.sum(dtype=np.int64)),
        "mean": round(float(values.mean(dtype=np.float64)), 3),
        "median": float(np.median(values)),
        "p95": float(np.percentile(values, 95)),
        "max": int(values.max()),
    }
