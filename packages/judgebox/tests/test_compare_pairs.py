"""Our comparison of outputs is EvalPlus's: the same verdicts on thousands of pairs of values."""

import itertools
import random

import pytest

from evalplus_pairs import EXPECTED, VALUES, agree
from judgebox import compare


def test_all_pairs_of_values() -> None:
    """In orders of which some have floats early, so that the tolerance sticks, and some late."""
    pairs = list(itertools.product(VALUES, EXPECTED))
    assert len(pairs) > 7000
    cases = []
    for atol in (0, 1e-6, 1e-4):
        for seed in range(1 if atol else 2):
            random.Random(seed).shuffle(pairs)
            outputs, expected = zip(*pairs, strict=True)
            case = {"outputs": outputs, "expected": expected, "atol": atol}
            cases.append({"dataset": "other", "entry_point": "f"} | case)
    for row in agree(cases):
        assert 100 < sum(row) < len(row) / 2


ITERABLES = [
    "[1, 2]", "(2, 1)", "{1, 2}", "[1, 2, 2]", "{1: 0, 2: 0}", "(n for n in [2, 1])",
    "iter([1, 2])",
    "map(int, '12')", "[1.0, 2.0]", "(1.0, 2.0)", "[1.0000001, 2.0]", "(1.0000001, 2.0)",
    "range(1, 3)",
    "range(9)", "[3]", "[]", "None", "5", "'12'", "['1', '2']", "[[1], [2]]", "[(1,), (2,)]",
    "deque([1, 2])", "np.array([1, 2])", "{1: 0, 2: 0}.keys()", "zip([1, 2])", "Thing()",
    "filter(None, [1, 2])", "frozenset({1, 2})", "[True, 2]", "[Decimal(1), 2]",
]  # fmt: skip


@pytest.mark.parametrize("entry_point", compare.SET_EQUALITY)
def test_the_oracle_of_equal_sets(entry_point: str) -> None:
    expected = ["[1, 2]", "(1, 2)", "[1.0, 2.0]", "(1.0, 2.0)", "[]", "['1', '2']", "[(1,), (2,)]"]
    pairs = list(itertools.product(ITERABLES, expected))
    outputs, wanted = zip(*pairs, strict=True)
    case = {"entry_point": entry_point, "outputs": outputs, "expected": wanted}
    agree(
        [case | {"dataset": name, "atol": atol} for name in ("mbpp", "other") for atol in (0, 1e-4)]
    )


@pytest.mark.parametrize("entry_point", compare.NOT_NONE)
def test_the_oracle_that_asks_for_any_output(entry_point: str) -> None:
    pairs = list(itertools.product(VALUES, ["True", "False"]))
    outputs, expected = zip(*pairs, strict=True)
    case = {"entry_point": entry_point, "outputs": outputs, "expected": expected, "atol": 0}
    agree([case | {"dataset": "mbpp"}])


ORACLES = {
    "are_equivalent": ["[36, 57]", "[23, 47]"],
    "sum_div": ["[8]", "[7]"],
    "surface_Area": ["[3, 4]", "[0.5, 7]"],
    "digit_distance_nums": ["[1, 2]", "[23, 56]"],
}


@pytest.mark.parametrize("entry_point", ORACLES)
def test_the_oracles_of_single_problems(entry_point: str) -> None:
    answers = [*VALUES, "33", "32.99999", "8", "6", "-1", "np.int64(33)"]
    triples = list(itertools.product(answers, ["33", "7", "1", "6", "0"], ORACLES[entry_point]))
    outputs, expected, inputs = zip(*triples, strict=True)
    case = {"outputs": outputs, "expected": expected, "inputs": inputs}
    cases = [
        case | {"dataset": name, "entry_point": entry_point, "atol": atol}
        for name in ("mbpp", "humaneval")
        for atol in (0, 1e-4)
    ]
    assert any(any(row) for row in agree(cases))
