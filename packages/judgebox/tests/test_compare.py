"""How outputs are compared, where that is special; pairs of values: `test_compare_pairs`."""

import random
import tracemalloc
from typing import Any

import numpy
import pytest

from boxed import table
from judgebox import compare
from judgebox.compare import Comparison, close


def test_nothing_is_close_to_what_has_no_numbers() -> None:
    """EvalPlus asks numpy, which calls any two arrays close of which one is empty."""
    comparison = Comparison("other", "f", 1e-4)
    for expected in ([1.5], [1.5, 2.5], (1.5,), [[1.5], [2.5]], [[[1.5]]]):
        many = len(expected)
        hollow = numpy.empty((0, many))
        for item in ([], [[]], [hollow], [[hollow]], [hollow.T]):
            output = type(expected)([item] * many)
            assert not comparison.passes(output, expected, list), (output, expected)
    assert not close([[]], [1.5], 1.0)
    assert close([[], []], [[], []], 1.0)


def test_our_lists_of_functions_are_evalpluss() -> None:
    from evalplus.eval import _special_oracle as theirs

    assert list(compare.NOT_NONE) == theirs.MBPP_OUTPUT_NOT_NONE_TASKS
    assert list(compare.SET_EQUALITY) == theirs.MBPP_OUTPUT_SET_EQ_TASKS
    r = random.Random(5)
    for _ in range(500):
        edge, height = r.choice([r.randint(1, 99), r.random()]), r.randint(1, 99)
        assert compare._surface_area(edge, height) == theirs._surface_Area(edge, height)
        pair = r.randint(0, 10**6), r.randint(0, 10**3)
        assert compare._digit_distance(*pair) == theirs._digit_distance_nums(*pair)
        xs = [r.randint(-9, 9) for _ in range(4)]
        assert compare._polynomial(xs, 1.5) == theirs._poly(xs, 1.5)


@pytest.mark.parametrize(
    ("out", "right"),
    [(2.0, True), (-2.0, True), (2.00001, True), (2, True), (1.99, False), (None, False),
     ("2", False), ([2.0], False), (1e200, False), (numpy.float64(2), True)],
)  # fmt: skip
def test_any_zero_of_a_polynomial_will_do(out: Any, right: bool) -> None:
    """EvalPlus 0.3.1 fails them all, for its bookkeeping."""
    comparison = Comparison("humaneval", "find_zero", 1e-4)
    assert comparison.passes(out, 2.0, lambda: [[-4, 0, 1]]) is right


def test_what_would_take_for_ever_is_wrong() -> None:
    tolerant = Comparison("other", "f", 1e-4)
    sets = Comparison("mbpp", "Diff", 0)
    far = range(10**12)
    assert not sets.passes(far, [1, 2], list)
    assert not sets.passes([n * (2**61 - 1) for n in range(1, 10_000)], [1], list)
    assert not tolerant.passes([far] * 3, [1.0, 2.0, 3.0], list)
    tall = numpy.zeros((100_000, 1))
    row = [0.0] * 100_000
    tracemalloc.start()
    for wide in (numpy.zeros(100_000), row):
        for out, expected in ((tall, wide), ([tall], [wide]), ({1: [tall]}, {1: [wide]})):
            assert not tolerant.passes(out, expected, list)
    assert not tolerant.passes(numpy.zeros(100_000), [[zero] for zero in row], list)
    assert tracemalloc.get_traced_memory()[1] < 100 * 2**20
    tracemalloc.stop()
    assert not tolerant.passes([[0.0]] * 4_000, [0.0] * 4_000, list)


@pytest.mark.parametrize("case", table("recorded_results"), ids=lambda case: case["expected"])
def test_recorded_results_are_compared_part_by_part(case: dict[str, Any]) -> None:
    comparison = Comparison("other", "f", 1e-6, recorded=True)

    def passes(text: str) -> bool:
        return comparison.passes(eval(text), eval(case["expected"]), list)

    assert [text for text in case["right"] if not passes(text)] == []
    assert [text for text in case["wrong"] if passes(text)] == []
