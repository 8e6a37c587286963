"""Numbers for Table 2: rows at each step, lengths of prompts and answers, sizes of sets."""

from array import array
from collections import defaultdict
from pathlib import Path
from typing import Any

import numpy as np

from mixmerge.artifacts.manifest import read_manifest
from mixmerge.core.io import read_json
from mixmerge.data.rows import REPORT, ROWS, progress, read_rows


class Lengths:
    """Characters and words of many texts, 4 bytes each; a list would take ten times as much."""

    def __init__(self) -> None:
        self._values = {"characters": array("I"), "words": array("I")}

    def add(self, text: str) -> None:
        """Measure one text."""
        self._values["characters"].append(len(text))
        self._values["words"].append(len(text.split()))

    def summary(self) -> dict[str, dict[str, float]]:
        """Measure -> total, mean, median, 95th percentile and maximum; empty without texts."""
        result = {}
        for name, lengths in self._values.items():
            if lengths:
                values = np.frombuffer(lengths, dtype=np.uint32)
                result[name] = {
                    "total": int(values.sum(dtype=np.int64)),
                    "mean": round(float(values.mean(dtype=np.float64)), 3),
                    "median": float(np.median(values)),
                    "p95": float(np.percentile(values, 95)),
                    "max": int(values.max()),
                }
        return result


def statistics(
    sources: list[Path], tasks: list[Path], clean: list[Path], splits: list[Path], sets: list[Path]
) -> dict[str, Any]:
    """Count and measure; directories are called as their source, task or set is.

    Args:
        sources: fetched directories.
        tasks: prepared directories.
        clean: decontaminated directories of the same tasks.
        splits: split directories of the same tasks.
        sets: training sets.

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
    # Source -> part of the conversation -> lengths; "" stands for all sources.
    lengths: dict[str, dict[str, Lengths]] = defaultdict(lambda: defaultdict(Lengths))
    rows = read_rows(cleaned / ROWS, source=str, messages=list)
    for _, row in progress(rows, f"measure {prepared.name}", _facts(cleaned)["rows"]):
        for part, message in zip(("prompt", "answer"), row["messages"][-2:], strict=True):
            lengths[row["source"]][part].add(message["content"])
            lengths[""][part].add(message["content"])
    summaries = {
        source: {part: values.summary() for part, values in parts.items()}
        for source, parts in lengths.items()
    }
    by_source = {}
    for source, counts in before["sources"].items():
        dropped = after["sources"].get(source, {"dropped": 0})["dropped"]
        by_source[source] = {
            "read": counts["read"],
            "empty": counts["empty"],
            "duplicates": counts["duplicates"],
            "contaminated": dropped,
            "rows": counts["rows"] - dropped,
            **summaries.get(source, {}),
        }
    return {
        "read": before["read"],
        "empty": before["empty"],
        "duplicates": before["duplicates"],
        "contaminated": after["dropped"],
        "contaminated_by": {suite: entry["rows"] for suite, entry in after["suites"].items()},
        "rows": after["rows"],
        **summaries.get("", {}),
        "sources": by_source,
    }
