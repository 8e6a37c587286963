"""Drops training rows that share a word n-gram with an item of a suite."""

import re
from collections import Counter
from collections.abc import Iterable, Iterator
from functools import lru_cache
from pathlib import Path

from mixmerge.artifacts.manifest import MANIFEST, publish, read_manifest
from mixmerge.core.errors import UserError
from mixmerge.core.io import digest, read_jsonl, write_json, write_jsonl
from mixmerge.data.rows import REPORT, ROWS, TEXTS, Row, progress, read_directory
from mixmerge.data.settings import Decontamination

_TOKEN = re.compile(r"\w+")
#: An n-gram without a letter, such as ``1, 2, 3, ...``, is no overlap worth the name.
_NO_LETTERS = "0123456789_"

#: Hash of an n-gram -> the first held-out item that holds it.
NgramIndex = dict[int, str]


def decontaminate(
    task: str, settings: Decontamination, rows: Path, heldout: dict[str, Path], out: Path
) -> Row:
    """Write a prepared task's rows.jsonl, dropped.jsonl and report.json; returns the report.

    The values of the templates' fields (all of them, or those that ``settings.fields`` names and
    the row has) are compared with the texts of the suites' items; the templates' own words are on
    neither side. Raises `UserError` where nothing is left, or there is nothing to compare with.
    """
    if settings.enabled and not heldout:
        raise UserError("decontamination is enabled, but no --heldout directory was given")
    indices: dict[str, NgramIndex] = {}
    suites: dict[str, dict[str, int]] = {}
    for suite, directory in heldout.items() if settings.enabled else ():
        items = read_manifest(directory, "heldout")["facts"]["items"]
        texts = progress(read_jsonl(directory / TEXTS), f"index {suite}", items)
        indices[suite], short = ngram_index(texts, settings.ngram)
        suites[suite] = {"items": items, "too_short": short, "rows": 0}
    sources: dict[str, Counter[str]] = {}
    dropped: list[Row] = []

    def kept() -> Iterator[Row]:
        for _, row in read_directory(rows, f"decontaminate {task}"):
            counts = sources.setdefault(row["source"], Counter(read=0, dropped=0))
            counts["read"] += 1
            overlaps = _overlaps(indices, settings, row) if indices else []
            if overlaps:
                for overlap in overlaps:
                    suites[overlap["suite"]]["rows"] += 1
                counts["dropped"] += 1
                dropped.append({"id": row["id"], **overlaps[0], "overlaps": overlaps})
            else:
                del row["spans"]
                yield row

    inputs = [directory / MANIFEST for directory in (rows, *heldout.values())]
    with publish(out, "rows", inputs=inputs, settings=settings) as artifact:
        count = write_jsonl(artifact.path / ROWS, kept())
        total = count + write_jsonl(artifact.path / "dropped.jsonl", dropped)
        if not count:
            way_out = f"a longer data.decontamination.ngram than {settings.ngram} drops fewer"
            raise UserError(f"task {task!r}: decontamination left none of {total} rows; {way_out}")
        report = {"task": task, "read": total, "dropped": len(dropped), "rows": count}
        report |= {"ngrams": sum(map(len, indices.values())), "sources": sources, "suites": suites}
        report |= settings.model_dump()
        write_json(artifact.path / REPORT, report)
        artifact.facts["rows"] = count
    return report


def _overlaps(
    indices: dict[str, NgramIndex], settings: Decontamination, row: Row
) -> list[dict[str, str]]:
    """The row's first overlap with each suite, by the values that its spans cut out."""
    spans, messages = row["spans"], row["messages"]
    overlaps: dict[str, dict[str, str]] = {}
    for name in [field for field in settings.fields if field in spans] or spans:
        for message, start, end in spans[name]:
            words, hashes = ngrams(messages[message]["content"][start:end], settings.ngram)
            hits = [
                (next(place for place, value in enumerate(hashes) if value in index), suite)
                for suite, index in indices.items()
                if suite not in overlaps and not index.keys().isdisjoint(hashes)
            ]
            for place, suite in sorted(hits, key=lambda hit: hit[0]):
                item = indices[suite][hashes[place]]
                ngram = " ".join(words[place : place + settings.ngram])
                overlaps[suite] = {"suite": suite, "item": item, "field": name, "ngram": ngram}
    return list(overlaps.values())


def ngrams(text: str, n: int) -> tuple[list[str], list[int]]:
    """A text's lower-case word tokens, and the hash of each n-gram of them, in order."""
    # 5 million held out and 300 million looked up give a false match with a chance of 1e-4 in all.
    words = _TOKEN.findall(text.lower())
    values = list(map(_token_hash, words))
    return words, [hash(tuple(values[i : i + n])) for i in range(len(values) - n + 1)]


# 700,000 rows of code have millions of tokens, most of them seen once.
@lru_cache(maxsize=500_000)
def _token_hash(token: str) -> int:
    return int.from_bytes(digest(token, 8), "big")


def ngram_index(items: Iterable[Row], n: int) -> tuple[NgramIndex, int]:
    """Index items' n-grams, text by text; returns how many items have none, such as short ones."""
    index: NgramIndex = {}
    short = 0
    for item in items:
        is_short = True
        for text in item["texts"].values():
            words, hashes = ngrams(text, n)
            for place, value in enumerate(hashes):
                if any(word.strip(_NO_LETTERS) for word in words[place : place + n]):
                    index.setdefault(value, item["id"])
                    is_short = False
        short += is_short
    return index, short
