"""Numbers for Table 2: rows at each step, lengths of prompts and answers, sizes of sets."""

from array import array
from collections import defaultdict
from pathlib import Path
from typing import Any

import numpy as np

from mixmerge.artifacts.manifest import read_manifest
from mixmerge.core.io import read_json
from mixmerge.data.rows import REPORT, ROWS, progress, read_rows


def statistics(
    sources: list[Path], tasks: list[Path], clean: list[Path], splits: list[Path], sets: list[Path]
) -> dict[str, Any]:
    """Count and measure; directories are called as their source, task or set is.

    Returns:
        ``sources``: source -> rows. ``tasks``: task -> rows read, empty, duplicates,
        contaminated, kept, train, validation, lengths of prompt and answer, and the same by
        source. ``sets``: set -> train, validation, and for mixtures rows by task.
    """
    return {
        "sources": {directory.name: {"rows": _facts(directory)["rows"]} for directory in sources},
        "tasks": {
            prepared.name: _task(prepared, cleaned) | _facts(split)
            for prepared, cleaned, split in zip(tasks, clean, splits, strict=True)
        },
        "sets": {directory.name: _facts(directory) for directory in sets},
    }


def _facts(directory: Path) -> dict[str, Any]:
    facts: dict[str, Any] = read_manifest(directory, "rows")["facts"]
    return facts


def _task(prepared: Path, cleaned: Path) -> dict[str, Any]:
    before, after = read_json(prepared / REPORT), read_json(cleaned / REPORT)
    lengths = _lengths(cleaned, f"measure {prepared.name}")
    by_source = {}
    for source, counts in before["sources"].items():
        dropped = after["sources"].get(source, {"dropped": 0})["dropped"]
        by_source[source] = {
            "read": counts["read"],
            "empty": counts["empty"],
            "duplicates": counts["duplicates"],
            "contaminated": dropped,
            "rows": counts["rows"] - dropped,
            **lengths[source],
        }
    return {
        "read": before["read"],
        "empty": before["empty"],
        "duplicates": before["duplicates"],
        "contaminated": after["dropped"],
        "contaminated_by": {suite: entry["rows"] for suite, entry in after["suites"].items()},
        "rows": after["rows"],
        **lengths[""],
        "sources": by_source,
    }


def _lengths(cleaned: Path, label: str) -> dict[str, dict[str, Any]]:
    """Source ("" for all) -> prompt and answer -> measure -> total, mean and so on."""
    values: dict[tuple[str, str, str], array[int]] = defaultdict(lambda: array("I"))
    for _, row in progress(read_rows(cleaned / ROWS), label, _facts(cleaned)["rows"]):
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
