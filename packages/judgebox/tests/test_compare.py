"""Our comparison is EvalPlus's, on thousands of pairs of values; and where it is special."""

import itertools
import json
import random
import subprocess
import sys
import tracemalloc
from collections.abc import Iterable, Iterator
from typing import Any

import numpy
import pytest

from boxed import table
from judgebox import compare
from judgebox.calls import _Results
from judgebox.codec import unpack
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


TABLE = table("compare_pairs")

PRELUDE, VALUES = TABLE["prelude"], TABLE["values"]
#: EvalPlus takes these for close to some numbers: `allclose` has nothing to compare. We do not.
HOLLOW = {"[[]]", "[()]", "[]", "()"}
#: Of some no canonical solution's outputs can be made.
EXPECTED = [text for text in VALUES if text not in TABLE["not_expected"]]
ANSWERS = [*VALUES, "33", "32.99999", "8", "6", "-1", "np.int64(33)"]


def _cases() -> Iterator[tuple[str, dict[str, Any]]]:
    """Names, and cases: a function, its outputs, and what they and its inputs should be."""
    pairs = list(itertools.product(VALUES, EXPECTED, ["[]"]))
    # In an order in which floats come early, so that the tolerance sticks.
    for atol in (0, 1e-6, 1e-4):
        random.Random(1).shuffle(pairs)
        yield "any function", _case("other", "f", atol, pairs)
    for before in TABLE["before"]:  # the later ones are equal but for rounding
        near, numbers = [before, *TABLE["near"]], [before, *TABLE["numbers"]]
        triples = zip(near, numbers, ["[]"] * 6, strict=True)
        yield "a tolerance that sticks", _case("other", "f", 0, triples)
    for dataset, atol in itertools.product(("mbpp", "other"), (0, 1e-4)):
        for name in compare.SET_EQUALITY:
            triples = itertools.product(TABLE["iterables"], TABLE["sets"], ["[]"])
            yield name, _case(dataset, name, atol, triples)
        for name, inputs in TABLE["oracles"].items():
            triples = itertools.product(ANSWERS, ["33", "7", "1", "6", "0"], inputs)
            yield name, _case(dataset, name, atol, triples)
    for name in compare.NOT_NONE:
        yield name, _case("mbpp", name, 0, itertools.product(VALUES, ["True", "False"], ["[]"]))


def _case(dataset: str, entry_point: str, atol: float, triples: Iterable[Any]) -> dict[str, Any]:
    case = {"dataset": dataset, "entry_point": entry_point, "atol": atol, "prelude": PRELUDE}
    outputs, expected, inputs = zip(*triples, strict=True)
    return case | {"outputs": outputs, "expected": expected, "inputs": inputs}


CASES = list(_cases())


@pytest.fixture(scope="module")
def theirs() -> list[list[bool]]:
    done = subprocess.run(
        [sys.executable, "-c", TABLE["evalplus"]],  # its own checker, a line of JSON each
        input="".join(json.dumps(case) + "\n" for _, case in CASES),
        capture_output=True,
        text=True,
        check=True,
    )
    return [json.loads(line) for line in done.stdout.splitlines()]


def ours(case: dict[str, Any]) -> Iterator[bool]:
    """What we say: values go through the codec, as from the box."""
    scope: dict[str, Any] = {}
    exec(PRELUDE, scope)
    comparison = Comparison(case["dataset"], case["entry_point"], case["atol"])
    results = _Results(None, False, comparison.iterates)  # type: ignore[arg-type]
    triples = (case["outputs"], case["expected"], case["inputs"])
    for output, expected, inputs in zip(*triples, strict=True):
        right = unpack(results.packed(eval(expected, scope)))
        arguments = eval(inputs, scope)
        try:
            value = unpack(results.packed(eval(output, scope)))
        except Exception:  # the harness says that the program failed
            yield False
            continue
        yield comparison.passes(value, right, lambda arguments=arguments: arguments)


@pytest.mark.parametrize("name", dict(CASES))
def test_we_say_what_evalplus_says(name: str, theirs: list[list[bool]]) -> None:
    for number, (of, case) in enumerate(CASES):
        if of == name:
            pairs = list(zip(case["outputs"], case["expected"], strict=True))
            differing = [
                (*pair, want)
                for pair, want, found in zip(pairs, theirs[number], ours(case), strict=True)
                if want != found and not (want and HOLLOW & {*pair})
            ]
            assert not differing, case["atol"]
            assert any(theirs[number])
            if name == "a tolerance that sticks":  # or does not, by what came before
                sticks = case["outputs"][0] in {"[1.0]", "np.array([1.0])"}
                assert theirs[number][1::2] == [sticks] * 3
