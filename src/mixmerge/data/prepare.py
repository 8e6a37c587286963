"""A task's rows: mapped to chat messages, given ids, and free of duplicates."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from mixmerge.artifacts.manifest import MANIFEST, read_manifest, write_manifest, write_provenance
from mixmerge.core.errors import UserError
from mixmerge.core.io import atomic_dir, write_json
from mixmerge.data.identity import Seen, content_id
from mixmerge.data.layout import REPORT, ROWS
from mixmerge.data.lines import Row, encode, progress, read_rows
from mixmerge.data.mapping import Blanks, Mapping, spans
from mixmerge.data.settings import PrepareSettings


def prepare(
    task: str,
    settings: PrepareSettings,
    sources: dict[str, Path],
    out: Path,
    given: dict[str, Any],
) -> dict[str, Any]:
    """Write ``out``/rows.jsonl and report.json, with provenance and manifest.

    A row is ``{"id", "messages", "source", "spans", "task"}``; ``spans`` says where in the
    messages the fields' values stand, so that decontamination compares those and not the words
    of the templates, and is dropped there. Ids start with task and source, hence are unique in the
    whole study.

    Args:
        task: the task's key.
        settings: templates, and columns by source.
        sources: source -> its fetched directory, in the order in which they are read.
        out: target directory.
        given: the settings as they came, for the provenance.

    Returns:
        The report: rows read, blank, duplicate and kept, by source and in all.

    Raises:
        UserError: a missing column, a blank turn, a duplicate id, or nothing left.
    """
    if set(sources) != set(settings.columns):
        raise UserError(
            f"task {task!r}: the settings have columns for {sorted(settings.columns)}, but "
            f"--sources names {sorted(sources)}"
        )
    report: dict[str, Any] = {"task": task, "sources": {}}
    kept_before = Seen()
    with atomic_dir(out) as scratch:
        with (scratch / ROWS).open("wb") as file:
            for source, directory in sources.items():
                mapping = Mapping(
                    f"tasks.{task}", source, settings.templates, settings.columns[source]
                )
                duplicates = kept_before if settings.deduplicate else None
                counts = dict.fromkeys(("read", "empty", "duplicates", "rows"), 0)
                for row in _mapped(task, mapping, directory, duplicates, counts):
                    file.write(encode(row))
                report["sources"][source] = counts
        totals = [*report["sources"].values()]
        report |= {key: sum(counts[key] for counts in totals) for key in totals[0]}
        if not report["rows"]:
            raise UserError(f"task {task!r}: no rows left of {report['read']} read")
        write_json(scratch / REPORT, report)
        write_provenance(
            scratch,
            inputs=[directory / MANIFEST for directory in sources.values()],
            settings=given,
            seed=None,
            packages=[],
        )
        write_manifest(scratch, "rows", {"rows": report["rows"]})
    return report


def _mapped(
    task: str, mapping: Mapping, directory: Path, duplicates: Seen | None, counts: dict[str, int]
) -> Iterator[Row]:
    """Map one source's rows, counting as it goes."""
    total = read_manifest(directory, "rows")["facts"]["rows"]
    path = directory / ROWS
    blanks = Blanks(mapping.source, mapping.columns, path)
    ids = Seen()
    offset = 0 if mapping.system is None else 1
    for number, row in progress(read_rows(path), f"prepare {mapping.source}", total):
        counts["read"] += 1
        prompt, answer = mapping.turns(row, path, number)
        if blanks.found(prompt, answer, number):
            continue
        own = mapping.identity(row, path, number)
        if own is not None and not ids.add(own):
            raise UserError(_duplicate_id(mapping, path, number, own))
        if duplicates is not None and not duplicates.add(_normal(prompt.text, answer.text)):
            counts["duplicates"] += 1
            continue
        if own is None:
            own = content_id(ids, prompt.text, answer.text)
        counts["rows"] += 1
        yield {
            "id": f"{task}/{mapping.source}/{own}",
            "task": task,
            "source": mapping.source,
            "messages": mapping.messages(prompt, answer),
            "spans": spans(prompt, answer, offset),
        }
    counts["empty"] = blanks.count
    blanks.check()


def _normal(prompt: str, answer: str) -> str:
    return " ".join(prompt.split()) + "\x1f" + " ".join(answer.split())


def _duplicate_id(mapping: Mapping, path: Path, number: int, own: str) -> str:
    """The message; finds the first bearer of the id by a second pass rather than by memory."""
    first = next(
        line
        for line, row in read_rows(path)
        if str(row.get(mapping.columns.id_column or "")) == own
    )
    return (
        f"{path}:{number}: duplicate id {own!r} in column {mapping.columns.id_column!r} of source "
        f"{mapping.source!r}; line {first} has it too. Mend the data, or leave "
        f"sources.{mapping.source}.id_column out to have ids made from the content"
    )
