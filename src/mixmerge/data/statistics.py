"""Numbers for Table 2: rows at each step, lengths of prompts and answers, sizes of sets."""

from pathlib import Path
from typing import Any

import numpy as np

from mixmerge.artifacts.manifest import read_manifest
from mixmerge.core.io import read_json
from mixmerge.data.layout import REPORT, ROWS
from mixmerge.data.lines import progress, read_rows

_MEASURES = ("characters", "words")


class Lengths:
    """Characters and words of many texts, 4 bytes each."""

    def __init__(self) -> None:
        self._values: dict[str, _Growing] = {name: _Growing() for name in _MEASURES}

    def add(self, text: str) -> None:
        """Measure one text."""
        self._values["characters"].append(len(text))
        self._values["words"].append(len(text.split()))

    def summary(self) -> dict[str, dict[str, float]]:
        """Measure -> total, mean, median, 95th percentile and maximum."""
        result = {}
        for name, growing in self._values.items():
            values = growing.array()
            if not len(values):
                continue
            result[name] = {
                "total": int(values.sum(dtype=np.int64)),
                "mean": round(float(values.mean(dtype=np.float64)), 3),
                "median": float(np.median(values)),
                "p95": float(np.percentile(values, 95)),
                "max": int(values.max()),
            }
        return result


class _Growing:
    """A list of numbers as 32-bit integers; a Python list of them would take ten times as much."""

    def __init__(self) -> None:
        self._values = np.empty(1024, dtype=np.uint32)
        self._count = 0

    def append(self, value: int) -> None:
        if self._count == len(self._values):
            self._values = np.resize(self._values, 2 * self._count)
        self._values[self._count] = value
        self._count += 1

    def array(self) -> "np.ndarray[Any, np.dtype[np.uint32]]":
        return self._values[: self._count]


def statistics(
    sources: list[Path], tasks: list[Path], clean: list[Path], splits: list[Path], sets: list[Path]
) -> dict[str, Any]:
    """Gather the numbers; directories are called as their source, task or set is.

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
    result: dict[str, Any] = {"sources": {}, "tasks": {}, "sets": {}}
    for directory in sources:
        result["sources"][directory.name] = {"rows": _facts(directory)["rows"]}
    for prepared, cleaned, split in zip(tasks, clean, splits, strict=True):
        result["tasks"][prepared.name] = _task(prepared, cleaned) | _facts(split)
    for directory in sets:
        result["sets"][directory.name] = _facts(directory)
    return result


def _facts(directory: Path) -> dict[str, Any]:
    facts: dict[str, Any] = read_manifest(directory, "rows")["facts"]
    return facts


def _task(prepared: Path, cleaned: Path) -> dict[str, Any]:
    before, after = read_json(prepared / REPORT), read_json(cleaned / REPORT)
    lengths: dict[str, dict[str, Lengths]] = {}
    everything = {"prompt": Lengths(), "answer": Lengths()}
    total = _facts(cleaned)["rows"]
    rows = read_rows(cleaned / ROWS, source=str, messages=list)
    for _, row in progress(rows, f"measure {prepared.name}", total):
        one = lengths.setdefault(row["source"], {"prompt": Lengths(), "answer": Lengths()})
        for part, message in (("prompt", row["messages"][-2]), ("answer", row["messages"][-1])):
            one[part].add(message["content"])
            everything[part].add(message["content"])
    by_source = {}
    for source, counts in before["sources"].items():
        dropped = after["sources"].get(source, {"dropped": 0})["dropped"]
        by_source[source] = {
            "read": counts["read"],
            "empty": counts["empty"],
            "duplicates": counts["duplicates"],
            "contaminated": dropped,
            "rows": counts["rows"] - dropped,
            **{part: values.summary() for part, values in lengths.get(source, {}).items()},
        }
    return {
        "read": before["read"],
        "empty": before["empty"],
        "duplicates": before["duplicates"],
        "contaminated": after["dropped"],
        "contaminated_by": {suite: one["rows"] for suite, one in after["suites"].items()},
        "rows": after["rows"],
        **{part: values.summary() for part, values in everything.items()},
        "sources": by_source,
    }
