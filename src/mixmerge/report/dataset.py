"""Table 2: what became of each task's rows, and how long they are."""

from collections.abc import Mapping
from typing import Any

from mixmerge.report import notes
from mixmerge.report.entries import Entry
from mixmerge.report.handed import number as finite
from mixmerge.report.layout import Layout
from mixmerge.report.scores import Scores
from mixmerge.report.table import UNDEFINED, Cell, Field, Row, Table, label, number

#: Counts of rows: key in `statistics.json` -> printed head.
_COUNTS = {
    "read": "Read",
    "empty": "Empty",
    "duplicates": "Duplicates",
    "contaminated": "In suites",
    "rows": "Kept",
    "train": "Train",
    "validation": "Validation",
}

#: Lengths in words: key -> printed head.
_LENGTHS = {"prompt": "Words a prompt", "answer": "Words an answer"}


def data_table(
    layout: Layout, entry: Entry, statistics: Mapping[str, Any], scores: Scores
) -> Table:
    """Table 2: one line a task, one each of its sources where it has several, and the mixtures.

    Args:
        layout: titles of the tasks.
        entry: the table's name and number.
        statistics: content of ``data/statistics.json``.
        scores: give the sizes of the suites.
    """
    rows = []
    for task in layout.tasks:
        found = statistics["tasks"][task.key]
        sources = found.get("sources", {})
        if len(sources) > 1:
            for source, counts in sources.items():
                rows.append(_row(f"{task.title}: {source}", counts, task.key, source))
        rows.append(_row(task.title, found, task.key))
    mixtures = {name: found for name, found in statistics["sets"].items() if "tasks" in found}
    mixtures = dict(sorted(mixtures.items(), key=lambda item: item[1]["train"]))
    for name, found in mixtures.items():
        title = "Data mixture" if len(mixtures) == 1 else f"Data mixture ({name})"
        rows.append(_row(title, found, name))
    fields = [Field("label", "Data", align="left")]
    fields += [Field(key, head, group="Rows") for key, head in _COUNTS.items()]
    for key, head in _LENGTHS.items():
        fields.append(Field(f"{key}_words_mean", "mean", group=head))
        fields.append(Field(f"{key}_words_p95", "p95", group=head))
    return Table(
        name=entry.name,
        title=f"{entry.number}. Training data: rows at each step, and lengths of the kept rows.",
        fields=tuple(fields),
        rows=tuple(rows),
        notes=(
            "In suites: dropped because they overlap with an evaluation suite. Train and "
            "validation: the split of the kept rows; validation is for the loss.",
            notes.suites(layout, "test", scores),
            *(
                [notes.suites(layout, "validation", scores)]
                if layout.columns_of("validation")
                else []
            ),
        ),
    )


def data_counts(layout: Layout, statistics: Mapping[str, Any]) -> None:
    """Check that the statistics hold what the table takes for granted.

    Raises:
        KeyError, TypeError, ValueError, AttributeError: they do not.
    """
    mixtures = [found for found in statistics["sets"].values() if "tasks" in found]
    for found in (*(statistics["tasks"][task.key] for task in layout.tasks), *mixtures):
        for part in (found, *found.get("sources", {}).values()):
            for name in _COUNTS:
                if name in part:
                    finite(part[name], 0)
            for name in _LENGTHS:
                for value in part.get(name, {}).get("words", {}).values():
                    finite(value, 0)
    for found in mixtures:
        finite(found["train"], 0)


def _row(title: str, found: Mapping[str, Any], key: str, source: str = "") -> Row:
    cells = [label(title)]
    for name in _COUNTS:
        count = found.get(name)
        cells.append(Cell(count, f"{count:,}" if count is not None else UNDEFINED))
    for name in _LENGTHS:
        words = found.get(name, {}).get("words", {})
        for measure, digits in (("mean", 1), ("p95", 0)):
            value = words.get(measure)
            cells.append(Cell(value, number(value, digits)))
    return Row(tuple(cells), ids={"set": key, "source": source})
