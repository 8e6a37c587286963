"""Drops training rows that share a word n-gram with an item of a suite."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from mixmerge.artifacts.manifest import MANIFEST, read_manifest, write_manifest, write_provenance
from mixmerge.core.errors import UserError
from mixmerge.core.io import atomic_dir, write_json
from mixmerge.data.layout import DROPPED, REPORT, ROWS, TEXTS
from mixmerge.data.lines import encode, progress, read_rows
from mixmerge.data.mapping import field_texts
from mixmerge.data.ngrams import Index
from mixmerge.data.settings import Decontamination


def decontaminate(
    task: str,
    settings: Decontamination,
    rows: Path,
    heldout: dict[str, Path],
    out: Path,
    given: dict[str, Any],
) -> dict[str, Any]:
    """Write ``out``/rows.jsonl (chat rows), dropped.jsonl and report.json.

    What is compared are the values of the templates' fields on the training side (all of them, or
    those that ``settings.fields`` names and the row has) with the texts of the suites' items; the
    words of the templates themselves are on neither side.

    Args:
        task: the task's key.
        settings: whether, n-gram length, fields.
        rows: the prepared task's directory.
        heldout: suite -> its held-out directory; unused where disabled.
        out: target directory.
        given: the settings as they came, for the provenance.

    Returns:
        The report.

    Raises:
        UserError: nothing is left, or no held-out text was given though enabled.
    """
    total = read_manifest(rows, "rows")["facts"]["rows"]
    if settings.enabled and not heldout:
        raise UserError("decontamination is enabled, but no --heldout directory was given")
    index = Index(settings.ngram, _items(heldout) if settings.enabled else ())
    suites = dict.fromkeys(index.items, 0)
    sources: dict[str, dict[str, int]] = {}
    kept = 0
    with atomic_dir(out) as scratch:
        with (scratch / ROWS).open("wb") as file, (scratch / DROPPED).open("wb") as dropped:
            prepared = read_rows(rows / ROWS, id=str, source=str, messages=list, spans=dict)
            for _, row in progress(prepared, f"decontaminate {task}", total):
                counts = sources.setdefault(row["source"], {"read": 0, "dropped": 0})
                counts["read"] += 1
                overlaps = _overlaps(index, row, settings.fields)
                for suite in {overlap["suite"] for overlap in overlaps}:
                    suites[suite] += 1
                if overlaps:
                    counts["dropped"] += 1
                    dropped.write(encode({"id": row["id"], **overlaps[0], "overlaps": overlaps}))
                else:
                    del row["spans"]
                    file.write(encode(row))
                    kept += 1
        if not kept:
            raise UserError(
                f"task {task!r}: decontamination left none of {total} rows; a longer "
                f"data.decontamination.ngram than {settings.ngram} finds fewer overlaps"
            )
        report = {
            "task": task,
            "enabled": settings.enabled,
            "ngram": settings.ngram,
            "fields": settings.fields,
            "read": total,
            "dropped": total - kept,
            "rows": kept,
            "ngrams": len(index),
            "sources": sources,
            "suites": {
                suite: {
                    "items": index.items[suite],
                    "too_short": index.short.get(suite, 0),
                    "rows": count,
                }
                for suite, count in suites.items()
            },
        }
        write_json(scratch / REPORT, report)
        manifests = [directory / MANIFEST for directory in [rows, *heldout.values()]]
        write_provenance(scratch, inputs=manifests, settings=given, seed=None, packages=["numpy"])
        write_manifest(scratch, "rows", {"rows": kept})
    return report


def _items(heldout: dict[str, Path]) -> Iterator[tuple[str, str, list[str]]]:
    for suite, directory in heldout.items():
        total = read_manifest(directory, "heldout")["facts"]["items"]
        texts = read_rows(directory / TEXTS, id=str, texts=dict)
        for _, item in progress(texts, f"index {suite}", total):
            yield suite, item["id"], list(item["texts"].values())


def _overlaps(index: Index, row: dict[str, Any], fields: list[str]) -> list[dict[str, str]]:
    """The row's first overlap with each suite."""
    texts = field_texts(row)
    chosen = [name for name in fields if name in texts] or list(texts)
    found: dict[str, dict[str, str]] = {}
    for name in chosen:
        for text in texts[name]:
            for suite, item, ngram in index.overlaps(text):
                found.setdefault(
                    suite, {"suite": suite, "item": item, "field": name, "ngram": ngram}
                )
    return list(found.values())
