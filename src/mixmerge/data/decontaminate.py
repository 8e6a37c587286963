"""Drops training rows that share an n-gram with an item of a suite, or equal a shorter one.

N-grams are of words, or of characters twice as many in scripts without spaces.
"""

import re
import sys
import unicodedata
from bisect import bisect_left
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import lru_cache
from itertools import accumulate
from pathlib import Path

import regex
from tqdm import tqdm

from mixmerge.artifacts.manifest import MANIFEST, publish, read_manifest
from mixmerge.core.errors import UserError
from mixmerge.core.io import digest, read_jsonl, write_json, write_jsonl
from mixmerge.data.rows import REPORT, ROWS, TEXTS, Row, progress, read_directory
from mixmerge.data.settings import Decontamination

_WORD = re.compile(r"\w+")
#: Letters between which Unicode (UAX 14) breaks a line without a space: Han, kana, Thai, Khmer, ...
_LETTER = r"[\w&&[\p{LB=ID}\p{LB=CJ}\p{LB=NS}\p{LB=SA}\p{LB=AK}\p{LB=AP}\p{LB=AS}]]"
_UNSPACED = regex.compile(_LETTER, regex.V1)
_TOKEN = regex.compile(rf"{_LETTER}\p{{M}}*|[\w--{_LETTER}]+", regex.V1)
#: What a whole text is compared by: operators, too, of which prose has none.
_WHOLE = regex.compile(rf"{_TOKEN.pattern}|\p{{Sm}}+|(?<=\S )[-*/%&^@]{{1,2}}(?= \S)", regex.V1)
_IGNORABLE = regex.compile(r"\p{Default_Ignorable_Code_Point}+")
#: An n-gram without a letter, such as ``1, 2, 3, ...``, is no overlap worth the name.
_NO_LETTERS = "0123456789_"

#: Hash of an n-gram -> the first held-out item that holds it.
NgramIndex = dict[int, str]

#: Normalised tokens, hashes of their n-grams, where each ends, and whether it is a whole text.
Ngrams = tuple[list[str], list[int], Sequence[int], bool]


def decontaminate(
    task: str, settings: Decontamination, rows: Path, heldout: dict[str, Path], out: Path
) -> Row:
    """Write a prepared task's rows.jsonl, dropped.jsonl and report.json; returns the report.

    The values of a turn's fields (all of them, or those that ``settings.fields`` names and the row
    has) are compared with the texts of the suites' items; the templates' own words are on neither
    side. Raises `UserError` where nothing is left, or there is nothing to compare with.
    """
    if settings.enabled and not heldout:
        raise UserError("decontamination is enabled, but no --heldout directory was given")
    indices: dict[str, NgramIndex] = {}
    suites: dict[str, dict[str, int]] = {}
    for suite, directory in heldout.items() if settings.enabled else ():
        items = read_manifest(directory, "heldout")["facts"]["items"]
        texts = progress(read_jsonl(directory / TEXTS), f"index {suite}", items)
        indices[suite], counts = ngram_index(texts, settings.ngram)
        suites[suite] = {**counts, "rows": 0}
    notes = comparison_gaps(suites, settings)
    for line in notes:
        tqdm.write(f"warning: {line}", file=sys.stderr)
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
            way_out = f"a longer data.decontamination.ngram than {settings.ngram} drops fewer; "
            way_out += "where answers are of a few kinds, name the question's field in `fields`"
            raise UserError(f"task {task!r}: decontamination left none of {total} rows; {way_out}")
        report = {"task": task, "read": total, "dropped": len(dropped), "rows": count}
        report |= {"ngrams": sum(map(len, indices.values())), "sources": sources, "suites": suites}
        report["notes"] = notes
        report |= settings.model_dump()
        write_json(artifact.path / REPORT, report)
        artifact.facts["rows"] = count
    return report


def _overlaps(
    indices: dict[str, NgramIndex], settings: Decontamination, row: Row
) -> list[dict[str, str]]:
    """The row's first overlap with each suite, by the values that its spans cut out."""
    spans, turns = row["spans"], dict[int, list[tuple[int, int, str]]]()
    overlaps: dict[str, dict[str, str]] = {}
    for name in [field for field in settings.fields if field in spans] or spans:
        for message, start, end in spans[name]:
            turns.setdefault(message, []).append((start, end, name))
    for message, places in sorted(turns.items()):
        content = row["messages"][message]["content"]
        text = "\n".join(content[start:end] for start, end, _ in sorted(places))
        words, hashes, ends, _ = ngrams(text, settings.ngram)
        hits = [
            (next(place for place, value in enumerate(hashes) if value in index), suite)
            for suite, index in indices.items()
            if suite not in overlaps and not index.keys().isdisjoint(hashes)
        ]
        for place, suite in sorted(hits, key=lambda hit: hit[0]):
            field = ", ".join(name for *_, name in sorted(places))
            ngram = " ".join(words[place : ends[place]])
            item = indices[suite][hashes[place]]
            overlaps[suite] = {"suite": suite, "item": item, "field": field, "ngram": ngram}
    return list(overlaps.values())


def ngrams(text: str, n: int) -> Ngrams:
    """A text's n-grams, in order; where words and characters mix, a word counts for two characters.

    A text that is too short for one, or has no letter, has a single one: the whole of it.
    """
    # 5 million held out and 300 million looked up give a false match with a chance of 1e-4 in all.
    folded = text.lower() if text.isascii() else _folded(text)
    words = (_WORD if text.isascii() else _TOKEN).findall(folded)
    if len(words) < n or not any(word.strip(_NO_LETTERS) for word in words):
        return _whole(folded)
    values = list(map(_token_hash, words))
    if text.isascii() or not _UNSPACED.search(folded):
        hashes = list(map(hash, zip(*(values[i:] for i in range(n)), strict=False)))
        return words, hashes, range(n, len(words) + 1), False
    sums = [0, *accumulate(1 if _UNSPACED.match(word) else 2 for word in words)]
    ends = [bisect_left(sums, start + 2 * n) for start in sums if start + 2 * n <= sums[-1]]
    hashes = [hash(tuple(values[start:end])) for start, end in enumerate(ends)]
    return (words, hashes, ends, False) if hashes else _whole(folded)


def _whole(folded: str) -> Ngrams:
    """A text as a whole; any characters where it has no words. White space has no n-gram."""
    words = _WHOLE.findall(folded) or list(filter(None, ["".join(folded.split())]))
    # The zero keeps it apart from n-grams.
    hashes = [hash((0, *map(_token_hash, words)))] if words else []
    return words, hashes, [len(words)], True


def _folded(text: str) -> str:
    """Unicode's NFKC_Casefold: of width, ligatures, cases, composed and hidden marks one form."""
    folded = unicodedata.normalize("NFKC", text).casefold()
    return unicodedata.normalize("NFKC", _IGNORABLE.sub("", folded))


# 700,000 rows of code have millions of tokens, most of them seen once.
@lru_cache(maxsize=500_000)
def _token_hash(token: str) -> int:
    return int.from_bytes(digest(token, 8), "big")


def ngram_index(items: Iterable[Row], n: int) -> tuple[NgramIndex, dict[str, int]]:
    """Index items' n-grams, text by text; returns how many ``items`` there are.

    Also how many are ``too_short``, with whole texts alone, and how many have ``no_text``.
    """
    index: NgramIndex = {}
    counts = {"items": 0, "too_short": 0, "no_text": 0}
    for item in items:
        found = [ngrams(text, n) for text in item["texts"].values()]
        for words, hashes, ends, is_whole in found:
            for place, value in enumerate(hashes):
                if is_whole or any(w.strip(_NO_LETTERS) for w in words[place : ends[place]]):
                    index.setdefault(value, item["id"])
        counts["items"] += 1
        has_text = any(hashes for _, hashes, *_ in found)
        counts["no_text"] += not has_text
        counts["too_short"] += has_text and all(is_whole for *_, is_whole in found)
    return index, counts


def comparison_gaps(
    suites: Mapping[str, Mapping[str, int]], settings: Decontamination
) -> list[str]:
    """What rows cannot be compared with, for people; by suite, of what `ngram_index` counts."""
    if not settings.enabled:
        return ["data.decontamination is switched off: no row is compared with the suites"]
    short = f"items shorter than an n-gram ({settings.ngram} words), where rows go that equal one, "
    short += "not those that hold it in a longer text"
    lines = []
    for gap, words in (("too_short", short), ("no_text", "items without a text to compare with")):
        parts = [f"{c[gap]:,} of {c['items']:,} of {s}" for s, c in suites.items() if c[gap]]
        lines += [f"{words}: {', '.join(parts)}"] if parts else []
    return lines
