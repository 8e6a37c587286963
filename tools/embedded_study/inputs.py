"""Test inputs: a few ordinary ones (base), and strict ones with edge cases (plus)."""

import random
from typing import Any

_WORDS = [
    "apple", "bee", "cat", "door", "eagle", "fox", "green", "hat", "ink", "jam", "kite",
    "lemon", "moon", "net", "oak", "pen", "queen", "river", "sun", "tree", "up", "van", "water",
    "yak", "zoo", "Anna", "level", "Bob", "noon", "data", "code",
]  # fmt: skip
_ODD_WORDS = ["", "é", "Straße", "日本", "ÑANDÚ", "naïve", "a-b", "x1", "BEE", "anna", "ÀÀ"]
_EDGES: dict[str, list[Any]] = {
    "ints": [[], [0], [-1], [5, 5, 5], [-3, -3, 2, 2, 0], [3, -7, 7, 0, 4, 4, -2, 12]],
    "int": [0, 1, -1, -17, 100, 64],
    "text": ["", " ", "  a B  ", "àÉî ñ", "naïve café, 12", "日本, 日本", "Anna", "aaa,,bb"],
    "words": [[], [""], ["a", "a", "b"], ["É", "straße", "日本"], ["B", "b", "", "b"]],
    "table": [{}, {"": 0}, {"a": -3, "b": -3}, {"é": 7, "日": 2, "z": 7}, {"k": 0, "K": 12}],
}


def _ordinary(kind: str, rng: random.Random) -> Any:
    if kind == "ints":
        return rng.sample(range(1, 13), rng.randint(5, 7))
    if kind == "int":
        return rng.randint(10, 99)
    if kind == "text":
        text = " ".join(rng.sample(_WORDS, 3))
        return rng.choice([text, text.replace(" ", ","), text.capitalize(), text + " 42"])
    if kind == "words":
        return rng.sample(_WORDS, rng.randint(4, 6))
    return dict(zip(rng.sample(_WORDS, 4), rng.sample(range(1, 9), 4), strict=True))


def _strict(kind: str, rng: random.Random) -> Any:
    if kind == "ints":
        return [rng.randint(-9, 12) for _ in range(rng.randint(6, 10))]
    if kind == "int":
        return rng.choice([-1, 1]) * rng.randint(2, 150)
    if kind == "text":
        words = rng.choices(_WORDS + _ODD_WORDS, k=rng.randint(2, 4))
        return rng.choice(["", " "]) + rng.choice([" ", "  ", ",", ", "]).join(words)
    if kind == "words":
        return rng.choices(_WORDS + _ODD_WORDS, k=rng.randint(4, 8))
    words = rng.choices(_WORDS + _ODD_WORDS, k=5)
    return {word: rng.randint(-6, 9) for word in words}


def base_inputs(kind: str, rng: random.Random, count: int = 3) -> list[Any]:
    """Draw ``count`` ordinary arguments of type ``kind``: positive, distinct, ASCII, not empty."""
    return [_ordinary(kind, rng) for _ in range(count)]


def plus_inputs(kind: str, rng: random.Random, count: int = 8) -> list[Any]:
    """The edge cases of ``kind`` (empty, negative, repeated, unicode) and ``count`` random ones."""
    return [*_EDGES[kind], *(_strict(kind, rng) for _ in range(count))]
