"""Which word n-grams two bodies of text share, by 64-bit hashes in sorted arrays.

A text's tokens are its runs of letters, digits and underscores, in lower case; an n-gram counts
only if one of its tokens holds a letter, since ``1, 2, 3, ...`` in two examples is no overlap worth
the name. N-grams are compared by a polynomial hash of random 64-bit token values: with 5 million
n-grams held out and 300 million looked up, a false match has a chance of about 1e-4 in the whole
run, and each match is reported with its words.
"""

import hashlib
import re
from collections.abc import Iterable

import numpy as np
import numpy.typing as npt

_TOKEN = re.compile(r"\w+")
_NO_LETTERS = "0123456789_"
_BASE = np.uint64(0x9E3779B97F4A7C15)  # odd, so that multiplying by it loses nothing
#: Distinct tokens remembered; 700,000 rows of code have millions, most of them seen once.
_CACHE = 500_000

Hashes = npt.NDArray[np.uint64]


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


class Hasher:
    """Hashes of all n-grams of a text."""

    def __init__(self, n: int) -> None:
        """``n``: length of the n-grams in tokens."""
        self.n = n
        self._tokens = _TokenHashes()

    def __call__(self, words: list[str]) -> Hashes:
        """One hash for each n-gram, in order; empty where there are fewer than n words."""
        count = len(words) - self.n + 1
        if count <= 0:
            return np.empty(0, dtype=np.uint64)
        values = np.fromiter(map(self._tokens.__getitem__, words), np.uint64, len(words))
        total = np.zeros(count, dtype=np.uint64)
        for place in range(self.n):
            total *= _BASE
            total += values[place : place + count]
        return total


def worded(words: list[str], n: int) -> npt.NDArray[np.bool_]:
    """For each n-gram, whether any of its tokens holds a letter."""
    letters = np.fromiter((bool(word.strip(_NO_LETTERS)) for word in words), bool, len(words))
    if len(words) < n:
        return np.empty(0, dtype=bool)
    counts = np.concatenate(([0], np.cumsum(letters)))
    return np.asarray(counts[n:] > counts[:-n])


class Index:
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
        self._hash = Hasher(n)
        hashes, owners = [], []
        for suite, item, texts in items:
            number = len(self.names)
            self.names.append((suite, item))
            self.items[suite] = self.items.get(suite, 0) + 1
            found = 0
            for text in texts:
                words = tokens(text)
                own = np.unique(self._hash(words)[worded(words, n)])
                hashes.append(own)
                owners.append(np.full(len(own), number, dtype=np.uint32))
                found += len(own)
            if not found:
                self.short[suite] = self.short.get(suite, 0) + 1
        self._keys, self._owners = _merge(hashes, owners, [suite for suite, _ in self.names])
        # Nearly all n-grams looked up are in no suite: one look into a table of the keys' high bits
        # (16 slots a key, 64 MB at most) settles those and spares them the binary search.
        bits = min(26, max(10, (16 * len(self._keys)).bit_length()))
        self._shift = np.uint64(64 - bits)
        self._present = np.zeros(1 << bits, dtype=bool)
        self._present[self._keys >> self._shift] = True

    def __len__(self) -> int:
        """N-grams in the index, one for each suite that has it."""
        return len(self._keys)

    def overlaps(self, text: str) -> list[tuple[str, str, str]]:
        """The first overlap of a text with each suite: (suite, item id, n-gram).

        Where several items of a suite hold the n-gram, the first is named.
        """
        words = tokens(text)
        hashes = self._hash(words)
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


def _merge(
    hashes: list[Hashes], owners: list[npt.NDArray[np.uint32]], suites: list[str]
) -> tuple[Hashes, npt.NDArray[np.uint32]]:
    """Sort by hash and keep the first owner in each suite.

    An n-gram that thousands of items share would else be walked through at each of its matches.
    """
    if not hashes:
        return np.empty(0, dtype=np.uint64), np.empty(0, dtype=np.uint32)
    keys, items = np.concatenate(hashes), np.concatenate(owners)
    numbers = {suite: number for number, suite in enumerate(dict.fromkeys(suites))}
    suite_of = np.array([numbers[suite] for suite in suites], dtype=np.uint16)
    order = np.lexsort((items, suite_of[items], keys))
    keys, items = keys[order], items[order]
    first = np.ones(len(keys), dtype=bool)
    same_suite = suite_of[items[1:]] == suite_of[items[:-1]]
    first[1:] = (keys[1:] != keys[:-1]) | ~same_suite
    return keys[first], items[first]
