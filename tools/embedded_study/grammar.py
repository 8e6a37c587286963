"""Draws programs in which every step matters, each split with compositions of its own.

Whether a step matters is seen on test inputs: a few ordinary ones (base), and strict ones with edge
cases (plus).
"""

import hashlib
import random
from collections.abc import Sequence
from typing import Any

from embedded_study.program import VARIABLES, Program, Step, operations_from

#: Percentage of all compositions that belong to a split; what is left is training.
SHARES = {"test": 10, "validation": 10}
SOURCES = {"ints": 8, "text": 5, "words": 4, "table": 2, "int": 2}
# A function's name tells its argument only: what it does must be read from docstring or body.
_VERBS = {
    "ints": "process",
    "text": "convert",
    "words": "handle",
    "table": "reduce",
    "int": "solve",
}
#: The longest output kept: one such value would dwarf the suite.
_MAX_OUTPUT = 400
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


_PROBES = {
    kind: (base_inputs(kind, random.Random(1), 6), plus_inputs(kind, random.Random(2), 12))
    for kind in SOURCES
}


def split_of(composition: Sequence[str], seed: int) -> str:
    """The split (``train``, ``validation`` or ``test``) that a composition belongs to.

    A function of the sorted operation names and the seed alone. A single operation is always
    training: a composition cannot be read by one who knows no word of it.
    """
    if len(composition) == 1:
        return "train"
    text = f"{seed}:{'+'.join(sorted(composition))}"
    percent = int.from_bytes(hashlib.sha256(text.encode()).digest()[:4], "big") % 100
    for name, share in SHARES.items():
        if percent < share:
            return name
        percent -= share
    return "train"


def _walk(rng: random.Random, length: int) -> Program | None:
    kind = rng.choices(list(SOURCES), list(SOURCES.values()))[0]
    name = f"{_VERBS[kind]}_{VARIABLES[kind]}"
    steps: list[Step] = []
    for index in range(length):
        fitting = [
            op
            for op in operations_from(kind)
            if op.position == "any"
            or (op.position == "first" and index == 0)
            or (op.position == "last" and index == length - 1)
        ]
        if not fitting:
            return None
        operation = rng.choice(fitting)
        steps.append(Step(operation, rng.choice(operation.constants or ("",))))
        kind = operation.target
    if len({step.operation for step in steps}) < length:
        return None
    return Program(name, tuple(steps))


def _attempt(program: Program, inputs: list[Any]) -> list[Any] | None:
    try:
        return program.outputs(inputs)
    except Exception:  # a composition whose types or values don't fit raises anything at all
        return None


def every_step_matters(program: Program, base: list[Any], plus: list[Any]) -> bool:
    """Whether the program runs on all inputs, its output varies, and no step can be left out.

    So a suite made of these inputs tells the program from each of its shortened forms.
    """
    outputs = _attempt(program, [*base, *plus])
    if outputs is None or max(len(repr(value)) for value in outputs) > _MAX_OUTPUT:
        return False
    ordinary, strict = outputs[: len(base)], outputs[len(base) :]
    if len({repr(value) for value in ordinary}) < 2 or len({repr(value) for value in strict}) < 3:
        return False
    if len(program.steps) == 1:
        return strict != plus
    shorter = (program.without(index) for index in range(len(program.steps)))
    return all(_attempt(variant, plus) != strict for variant in shorter)


def draw(rng: random.Random, split: str, seed: int, lengths: dict[int, float]) -> Program:
    """Draw one program of a split.

    Args:
        rng: source of all choices.
        split: ``train``, ``validation`` or ``test``.
        seed: the seed that divides the compositions (one a corpus).
        lengths: number of steps -> relative frequency.
    """
    length = rng.choices(list(lengths), list(lengths.values()))[0]
    while True:
        program = _walk(rng, length)
        if program is None or split_of(program.composition, seed) != split:
            continue
        if every_step_matters(program, *_PROBES[program.source]):
            return program
