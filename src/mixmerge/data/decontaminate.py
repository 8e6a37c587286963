"""Drops training rows that share a word n-gram with an item of a suite.

A text's tokens are its runs of letters, digits and underscores, in lower case; an n-gram counts
only if one of its tokens holds a letter, since ``1, 2, 3, ...`` in two examples is no overlap worth
the name. N-grams are compared by a polynomial hash of random 64-bit token values: with 5 million
n-grams held out and 300 million looked up, a false match has a chance of about 1e-4 in the whole
run, and each match is reported with its words.
"""

import hashlib
import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from mixmerge.artifacts.manifest import MANIFEST, read_manifest
from mixmerge.core.errors import UserError
from mixmerge.core.io import write_json
from mixmerge.data.rows import (
    DROPPED,
    REPORT,
    ROWS,
    TEXTS,
    Row,
    encode,
    progress,
    publish,
    read_rows,
)
from mixmerge.data.settings import Decontamination

_TOKEN = re.compile(r"\w+")
_NO_LETTERS = "0123456789_"
_BASE = np.uint64(0x9E3779B97F4A7C15)  # odd, so that multiplying by it loses nothing
#: Distinct tokens remembered; 700,000 rows of code have millions, most of them seen once.
_CACHE = 500_000

Hashes = npt.NDArray[np.uint64]


def decontaminate(
    task: str, settings: Decontamination, rows: Path, heldout: dict[str, Path], out: Path
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

    Returns:
        The report.

    Raises:
        UserError: nothing is left, or no held-out text was given though enabled.
    """
    total = read_manifest(rows, "rows")["facts"]["rows"]
    if settings.enabled and not heldout:
        raise UserError("decontamination is enabled, but no --heldout directory was given")
    index = NgramIndex(settings.ngram, _items(heldout) if settings.enabled else ())
    suites = {
        suite: {"items": count, "too_short": index.short.get(suite, 0), "rows": 0}
        for suite, count in index.items.items()
    }
    sources: dict[str, dict[str, int]] = {}
    inputs = [directory / MANIFEST for directory in (rows, *heldout.values())]
    given = settings.model_dump(mode="json", exclude_unset=True)
    with publish(out, "rows", inputs, given, packages=["numpy"]) as (scratch, facts):
        with (scratch / ROWS).open("wb") as file, (scratch / DROPPED).open("wb") as dropped:
            prepared = read_rows(rows / ROWS, id=str, source=str, messages=list, spans=dict)
            for _, row in progress(prepared, f"decontaminate {task}", total):
                counts = sources.setdefault(row["source"], {"read": 0, "dropped": 0})
                counts["read"] += 1
                overlaps = _overlaps(index, row, settings.fields)
                for suite in {overlap["suite"] for overlap in overlaps}:
                    suites[suite]["rows"] += 1
                if overlaps:
                    counts["dropped"] += 1
                    dropped.write(encode({"id": row["id"], **overlaps[0], "overlaps": overlaps}))
                else:
                    del row["spans"]
                    file.write(encode(row))
        kept = sum(counts["read"] - counts["dropped"] for counts in sources.values())
        if not kept:
            raise UserError(
                f"task {task!r}: decontamination left none of {total} rows; a longer "
                f"data.decontamination.ngram than {settings.ngram} finds fewer overlaps"
            )
        report = {
            "task": task,
            **settings.model_dump(),
            "read": total,
            "dropped": total - kept,
            "rows": kept,
            "ngrams": len(index),
            "sources": sources,
            "suites": suites,
        }
        write_json(scratch / REPORT, report)
        facts["rows"] = kept
    return report


def _items(heldout: dict[str, Path]) -> Iterator[tuple[str, str, list[str]]]:
    for suite, directory in heldout.items():
        total = read_manifest(directory, "heldout")["facts"]["items"]
        texts = read_rows(directory / TEXTS, id=str, texts=dict)
        for _, item in progress(texts, f"index {suite}", total):
            yield suite, item["id"], list(item["texts"].values())


def _overlaps(index: "NgramIndex", row: Row, fields: list[str]) -> list[dict[str, str]]:
    """The row's first overlap with each suite, by the values that its spans cut out."""
    spans, messages = row["spans"], row["messages"]
    found: dict[str, dict[str, str]] = {}
    for name in [field for field in fields if field in spans] or spans:
        for message, start, end in spans[name]:
            for suite, item, ngram in index.overlaps(messages[message]["content"][start:end]):
                found.setdefault(
                    suite, {"suite": suite, "item": item, "field": name, "ngram": ngram}
                )
    return list(found.values())


def tokens(text: str) -> list[str]:
    """Lower-case word tokens."""
    return _TOKEN.findall(text.lower())


class _TokenHashes(dict[str, int]):
    """Token -> 64 random-looking bits, the same in every process."""

    def __missing__(self, token: str) -> int:
        if len(self) >= _CACHE:
            self.clear()
        digest = hashlib.blake2b(token.encode("utf-8", "surrogatepass"), digest_size=8).digest()
        value = self[token] = int.from_bytes(digest, "big")
        return value


class NgramIndex:
    """The n-grams of all held-out items; answers which items a text overlaps with.

    Memory: 12 bytes an n-gram and 16 to 32 for the table, so 115 MB for 4 million n-grams (about
    CodeXGLUE's test split); a few times that while it is built.
    """

    def __init__(self, n: int, items: Iterable[tuple[str, str, list[str]]]) -> None:
        """Build.

        Args:
            n: length of the n-grams in tokens.
            items: (suite, item id, texts); n-grams don't cross from one text to the next.
        """
        self.n = n
        self.names: list[tuple[str, str]] = []
        #: Items whose texts are all shorter than n tokens, by suite: these cannot be found.
        self.short: dict[str, int] = {}
        self.items: dict[str, int] = {}
        self._token_hashes = _TokenHashes()
        hashes = [np.empty(0, dtype=np.uint64)]
        owners = [np.empty(0, dtype=np.uint32)]
        for suite, item, texts in items:
            number = len(self.names)
            self.names.append((suite, item))
            self.items[suite] = self.items.get(suite, 0) + 1
            own = []
            for words in map(tokens, texts):
                own.append(np.unique(self.hashes(words)[self._has_letters(words)]))
                owners.append(np.full(len(own[-1]), number, dtype=np.uint32))
            if not any(map(len, own)):
                self.short[suite] = self.short.get(suite, 0) + 1
            hashes += own
        self._keys, self._owners = self._sorted(np.concatenate(hashes), np.concatenate(owners))
        # Nearly all n-grams looked up are in no suite: one look into a table of the keys' high bits
        # (16 slots a key, 64 MB at most) settles those and spares them the binary search.
        bits = min(26, max(10, (16 * len(self._keys)).bit_length()))
        self._shift = np.uint64(64 - bits)
        self._present = np.zeros(1 << bits, dtype=bool)
        self._present[self._keys >> self._shift] = True

    def __len__(self) -> int:
        """N-grams in the index, one for each suite that has it."""
        return len(self._keys)

    def hashes(self, words: list[str]) -> Hashes:
        """One hash for each n-gram, in order; empty where there are fewer than n words."""
        count = len(words) - self.n + 1
        if count <= 0:
            return np.empty(0, dtype=np.uint64)
        values = np.fromiter(map(self._token_hashes.__getitem__, words), np.uint64, len(words))
        total = np.zeros(count, dtype=np.uint64)
        for place in range(self.n):
            total *= _BASE
            total += values[place : place + count]
        return total

    def overlaps(self, text: str) -> list[tuple[str, str, str]]:
        """The first overlap of a text with each suite: (suite, item id, n-gram).

        Where several items of a suite hold the n-gram, the first is named.
        """
        words = tokens(text)
        hashes = self.hashes(words)
        found: dict[str, tuple[str, str, str]] = {}
        for hit in np.flatnonzero(self._present[hashes >> self._shift]).tolist():
            place = int(np.searchsorted(self._keys, hashes[hit]))
            while place < len(self._keys) and self._keys[place] == hashes[hit]:
                suite, item = self.names[int(self._owners[place])]
                if suite not in found:
                    found[suite] = (suite, item, " ".join(words[hit : hit + self.n]))
                place += 1
            if len(found) == len(self.items):
                break
        return list(found.values())

    def _has_letters(self, words: list[str]) -> npt.NDArray[np.bool_]:
        """For each n-gram, whether any of its tokens holds a letter."""
        if len(words) < self.n:
            return np.empty(0, dtype=bool)
        letters = np.fromiter((bool(word.strip(_NO_LETTERS)) for word in words), bool, len(words))
        counts = np.concatenate(([0], np.cumsum(letters)))
        return np.asarray(counts[self.n :] > counts[: -self.n])

    def _sorted(
        self, keys: Hashes, items: npt.NDArray[np.uint32]
    ) -> tuple[Hashes, npt.NDArray[np.uint32]]:
        """Sort by hash and keep the first owner in each suite.

        An n-gram that thousands of items share would else be walked through at each of its matches.
        """
        numbers = {suite: number for number, suite in enumerate(self.items)}
        suite_of = np.array([numbers[suite] for suite, _ in self.names], dtype=np.uint16)
        order = np.lexsort((items, suite_of[items], keys))
        keys, items = keys[order], items[order]
        first = np.ones(len(keys), dtype=bool)
        first[1:] = (keys[1:] != keys[:-1]) | (suite_of[items[1:]] != suite_of[items[:-1]])
        return keys[first], items[first]
