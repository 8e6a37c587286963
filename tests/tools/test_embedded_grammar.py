import random
import re

import pytest

from embedded_study import wording
from embedded_study.grammar import base_inputs, draw, every_step_matters, plus_inputs, split_of
from embedded_study.program import NOUNS, VARIABLES, Program, Step, operations

LENGTHS = {1: 0.2, 2: 0.4, 3: 0.4}


def programs(count: int, split: str = "train", seed: int = 7) -> list[Program]:
    rng = random.Random(seed)
    return [
        draw(rng, split, seed, LENGTHS if split == "train" else {2: 1, 3: 1}) for _ in range(count)
    ]


@pytest.mark.parametrize("operation", operations().values(), ids=lambda op: op.name)
def test_a_row_of_the_table_is_whole(operation):
    assert operation.source in VARIABLES and operation.target in VARIABLES
    assert operation.position in {"any", "first", "last"}
    # The argument ends the phrase, else nesting two of them could be read in two ways.
    assert operation.noun.endswith("{x}") and operation.noun.count("{x}") == 1
    assert len(set(operation.steps)) == len(operation.steps) >= 2
    for text in (operation.noun, operation.note, *operation.steps):
        assert ("{k}" in text) == bool(operation.constants)
    for constant in operation.constants or ("",):
        for careless in (False, True):
            compile(Step(operation, constant).expression("x", careless=careless), "row", "eval")


@pytest.mark.slow
def test_the_grammar_composes_thousands_of_distinct_functions():
    assert len({program.body() for program in programs(3000)}) > 1500
    rng = random.Random(0)
    drawn = [draw(rng, "train", 7, {2: 1, 3: 2}) for _ in range(3000)]
    assert len({program.body() for program in drawn}) > 2000


def test_splits_share_no_composition_whatever_the_order_of_its_operations():
    splits = ("train", "validation", "test")
    sets = [{program.composition for program in programs(400, split)} for split in splits]
    assert not (sets[0] & sets[1] or sets[0] & sets[2] or sets[1] & sets[2])
    assert split_of(("square", "sort"), 3) == split_of(("sort", "square"), 3)
    assert split_of(("square",), 3) == "train"


def test_every_program_has_several_distinct_wordings():
    for program in programs(200):
        texts = wording.wordings(program)
        assert len(texts) == len(set(texts)) >= 4
        assert all(not re.search(r"[{}]", text) for text in texts)


@pytest.mark.slow
def test_a_wording_means_one_function():
    meaning: dict[tuple[str, str], str] = {}
    for program in programs(3000):
        for text in wording.wordings(program):
            body = meaning.setdefault((program.source, text), program.body())
            assert body == program.body(), text


@pytest.mark.parametrize("kind", NOUNS)
def test_plus_inputs_hold_the_edge_cases(kind):
    values = plus_inputs(kind, random.Random(0))
    text = repr(values)
    assert any(not value for value in values), "nothing empty, or zero"
    if kind in {"ints", "words"}:
        assert any(len(set(value)) < len(value) for value in values), "no duplicates"
    if kind in {"int", "ints", "table"}:
        assert "-" in text, "nothing negative"
    if kind in {"text", "words", "table"}:
        assert not text.isascii(), "no unicode"
    assert repr(base_inputs(kind, random.Random(0))).isascii()


def test_a_step_without_effect_is_refused():
    table = operations()
    idle = Program("f", (Step(table["sort"]), Step(table["sum"])))
    telling = Program("f", (Step(table["square"]), Step(table["sum"])))
    rng = random.Random(0)
    base, plus = base_inputs("ints", rng), plus_inputs("ints", rng)
    assert not every_step_matters(idle, base, plus)
    assert every_step_matters(telling, base, plus)
