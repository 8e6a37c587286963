"""Drops training rows that share a word n-gram with an item of a suite.

A text's tokens are its runs of letters, digits and underscores, in lower case; an n-gram counts
only if one of its tokens holds a letter, since ``1, 2, 3, ...`` in two examples is no overlap worth
the name. N-grams are compared by a polynomial hash of random 64-bit token values: with 5 million
n-grams held out and 300 million looked up, a false match has a chance of about 1e-4 in the whole
run, and each match is reported with its words.
"""

import re
from collections import Counter
from collections.abc import Iterable, Iterator
from functools import lru_cache
from pathlib import Path

import numpy as np
import numpy.typing as npt

from mixmerge.artifacts.manifest import MANIFEST, publish, read_manifest
from mixmerge.core.errors import UserError
from mixmerge.core.io import digest, write_json, write_jsonl
from mixmerge.data.rows import REPORT, ROWS, TEXTS, Row, progress, read_directory, read_rows
from mixmerge.data.settings import Decontamination

#: Rows that were dropped, with the reason.
_DROPPED = "dropped.jsonl"

_TOKEN = re.compile(r"\w+")
_NO_LETTERS = "0123456789_"
_BASE = np.uint64(0x9E3779B97F4A7C15)  # odd, so that multiplying by it loses nothing

Hashes = npt.NDArray[np.uint64]


def decontaminate(
    task: str, settings: Decontamination, rows: Path, heldout: dict[str, Path], out: Path
) -> Row:
    """Write a prepared task's rows.jsonl, dropped.jsonl and report.json; returns the report.

    What is compared are the values of the templates' fields on the training side (all of them, or
    those that ``settings.fields`` names and the row has) with the texts of the suites' items; the
    words of the templates themselves are on neither side. Raises `UserError` where nothing is left,
    or no suite's held-out directory was given though enabled.
    """
    if settings.enabled and not heldout:
        raise UserError("decontamination is enabled, but no --heldout directory was given")
    indices: dict[str, NgramIndex] = {}
    for suite, directory in heldout.items() if settings.enabled else ():
        items = read_manifest(directory, "heldout")["facts"]["items"]
        texts = progress(read_rows(directory / TEXTS), f"index {suite}", items)
        pairs = ((item["id"], list(item["texts"].values())) for _, item in texts)
        indices[suite] = NgramIndex(settings.ngram, pairs)
    sources: dict[str, dict[str, int]] = {}
    by_suite: Counter[str] = Counter()
    dropped: list[Row] = []

    def kept() -> Iterator[Row]:
        for _, row in read_directory(rows, f"decontaminate {task}"):
            counts = sources.setdefault(row["source"], {"read": 0, "dropped": 0})
            counts["read"] += 1
            overlaps = _overlaps(indices, settings, row) if indices else []
            if overlaps:
                by_suite.update(overlap["suite"] for overlap in overlaps)
                counts["dropped"] += 1
                dropped.append({"id": row["id"], **overlaps[0], "overlaps": overlaps})
            else:
                del row["spans"]
                yield row

    inputs = [directory / MANIFEST for directory in (rows, *heldout.values())]
    with publish(out, "rows", inputs=inputs, settings=settings, packages=["numpy"]) as artifact:
        count = write_jsonl(artifact.path / ROWS, kept())
        total = count + len(dropped)
        write_jsonl(artifact.path / _DROPPED, dropped)
        if not count:
            raise UserError(
                f"task {task!r}: decontamination left none of {total} rows; a longer "
                f"data.decontamination.ngram than {settings.ngram} finds fewer overlaps"
            )
        suites = {
            suite: {"items": len(index.items), "too_short": index.short, "rows": by_suite[suite]}
            for suite, index in indices.items()
        }
        report = {"task": task, "read": total, "dropped": len(dropped), "rows": count}
        report |= {"ngrams": sum(map(len, indices.values())), "sources": sources, "suites": suites}
        report |= settings.model_dump()
        write_json(artifact.path / REPORT, report)
        artifact.facts["rows"] = count
    return report


def _overlaps(
    indices: dict[str, "NgramIndex"], settings: Decontamination, row: Row
) -> list[dict[str, str]]:
    """The row's first overlap with each suite, by the values that its spans cut out."""
    spans, messages = row["spans"], row["messages"]
    overlaps: dict[str, dict[str, str]] = {}
    for name in [field for field in settings.fields if field in spans] or spans:
        for message, start, end in spans[name]:
            words = tokens(messages[message]["content"][start:end])
            hashes = ngram_hashes(words, settings.ngram)
            hits = {suite: index.first_hit(hashes) for suite, index in indices.items()}
            for suite, (place, item) in sorted(hits.items(), key=lambda hit: hit[1][0]):
                if item is not None and suite not in overlaps:
                    ngram = " ".join(words[place : place + settings.ngram])
                    overlaps[suite] = {"suite": suite, "item": item, "field": name, "ngram": ngram}
    return list(overlaps.values())


def tokens(text: str) -> list[str]:
    """Lower-case word tokens."""
    return _TOKEN.findall(text.lower())


def ngram_hashes(words: list[str], n: int) -> Hashes:
    """One hash for each n-gram, in order; empty where there are fewer than n words."""
    values = np.fromiter(map(_token_hash, words), np.uint64, len(words))
    total = np.zeros(max(0, len(words) - n + 1), dtype=np.uint64)
    for place in range(n):
        total *= _BASE
        total += values[place : place + len(total)]
    return total


# 700,000 rows of code have millions of tokens, most of them seen once.
@lru_cache(maxsize=500_000)
def _token_hash(token: str) -> int:
    return int.from_bytes(digest(token, 8), "big")


class NgramIndex:
    """The n-grams of a suite's held-out items, 12 bytes each; answers which item a text overlaps.

    Attributes:
        items: the items' ids.
        short: how many items have no n-gram that counts, such as short ones; none can be found.
    """

    def __init__(self, n: int, items: Iterable[tuple[str, list[str]]]) -> None:
        """Index (item id, texts); n-grams don't cross from one text to the next."""
        self.items: list[str] = []
        hashes = [np.empty(0, dtype=np.uint64)]
        for name, texts in items:
            hashes.append(np.concatenate([hashes[0], *(_lettered(text, n) for text in texts)]))
            self.items.append(name)
        counts = np.array([len(own) for own in hashes[1:]], dtype=np.int64)
        self.short = int((counts == 0).sum())
        # Of several items that hold an n-gram the first is named.
        self._keys, first = np.unique(np.concatenate(hashes), return_index=True)
        self._owners = np.repeat(np.arange(len(counts), dtype=np.uint32), counts)[first]

    def __len__(self) -> int:
        """Different n-grams."""
        return len(self._keys)

    def first_hit(self, hashes: Hashes) -> tuple[int, str | None]:
        """Place of a text's first n-gram that an item holds, and that item; (0, None) for none."""
        places = np.searchsorted(self._keys, hashes)
        if len(self._keys):
            hits = np.flatnonzero(self._keys[np.minimum(places, len(self._keys) - 1)] == hashes)
            if len(hits):
                return int(hits[0]), self.items[self._owners[places[hits[0]]]]
        return 0, None


def _lettered(text: str, n: int) -> Hashes:
    """The hashes of those of a text's n-grams of which a token holds a letter."""
    words = tokens(text)
    letters = np.array([bool(word.strip(_NO_LETTERS)) for word in words], dtype=np.int64)
    counts = np.concatenate(([0], np.cumsum(letters)))
    hashes = ngram_hashes(words, n)
    return hashes[counts[n:] > counts[: len(hashes)]]
