"""Our comparison of outputs is EvalPlus's: the same verdicts on thousands of pairs of values."""

import itertools
import json
import random
import subprocess
import sys
from typing import Any

import numpy
import pytest

from mixmerge.evaluate import compare
from mixmerge.evaluate.compare import Comparison
from mixmerge.sandbox.codec import CodecError, unpack
from mixmerge.sandbox.harness.calls import _Results

#: Runs EvalPlus's own checker over expressions; one line of JSON each in and out.
EVALPLUS = """
import json, os, sys
from evalplus.eval import unsafe_execute

class Value:
    value = 3

for line in sys.stdin:
    case = json.loads(line)
    inner, outer = os.pipe()
    if os.fork() == 0:
        leave, write = os._exit, os.write
        scope = {}
        exec(case["prelude"], scope)
        inputs = [eval(text, scope) for text in case["inputs"]]
        expected = [eval(text, scope) for text in case["expected"]]
        code = case["prelude"] + "\\nCALLS = iter([" + ", ".join(
            "lambda: " + text for text in case["outputs"]
        ) + "])\\ndef " + case["entry_point"] + "(*given):\\n    return next(CALLS)()\\n"
        details = [False] * len(inputs)
        unsafe_execute(
            case["dataset"], case["entry_point"], code, inputs, expected, [9.0] * len(inputs),
            case["atol"], False, Value(), details, Value(),
        )
        write(outer, bytes(details))
        leave(0)
    os.close(outer)
    with open(inner, "rb") as pipe:
        print(json.dumps([bool(one) for one in pipe.read()]), flush=True)
    os.wait()
"""

PRELUDE = """
import enum, math, datetime
from collections import *
from decimal import Decimal
from fractions import Fraction
import numpy as np
P = namedtuple("P", "x y")
class E(enum.IntEnum):
    A = 1
class S(str):
    pass
class Thing:
    pass
"""

VALUES = [
    "None", "True", "False", "0", "1", "2", "10**30", "1.0", "1.0000001", "1.00001", "1.001",
    "float('nan')", "float('inf')", "-float('inf')", "1j", "1+0j", "''", "'a'", "'b'", "b'a'",
    "[]", "()", "{}", "set()", "[1]", "(1,)", "[True]", "[1.0]", "(1.0,)", "[1.0000001]",
    "(1.0000001,)", "[1, 1.0000001]", "[1.0, 2.0]", "[1.0, 2.0000001]", "[[1.0], [2.0]]",
    "[[1.0], [2.0000001]]", "[[1.0, 2.0]]", "[float('nan')]", "['a', 1.0]", "['a', 1.0000001]",
    "{1}", "{1.0}", "frozenset({1})", "{'a': 1.0}", "{'a': 1.0000001}", "OrderedDict(a=1.0)",
    "defaultdict(int, a=1.0)", "Counter('a')", "deque([1.0])", "deque([1.0000001])", "range(3)",
    "range(0)", "[0, 1, 2]", "[range(3)]", "[[0, 1, 2]]", "[[0, 1.0000001, 2]]", "{'a': 1}.keys()",
    "{'a'}", "{'a': 1}.values()", "{'a': 1}.items()", "Decimal('1')", "Decimal('1.0000001')",
    "Decimal('sNaN')", "Fraction(1)", "Fraction(1, 3)", "1/3", "np.float64(1)", "np.float32(1)",
    "np.float64(1.0000001)", "np.int64(1)", "np.bool_(True)", "np.array([1.0])", "np.array([1, 2])",
    "np.array([1.0, 2.0])", "np.array(1.0)", "np.array([1.0, 2.0000001])", "P(1, 2)", "(1, 2)",
    "P(1.0, 2.0000001)", "(1.0, 2.0)", "E.A", "S('a')", "Thing()", "Thing", "print", "iter([1])",
    "(n for n in [1])", "zip()", "slice(1)", "datetime.date(2020, 1, 2)", "bytearray(b'a')",
    "complex('nan')", "[None]", "[[]]", "[()]", "1.5e308", "[10**400]", "[1.5e308]", "...",
]  # fmt: skip
#: Of these no canonical solution's outputs can be made.
NOT_EXPECTED = {
    "Thing()", "Thing", "print", "iter([1])", "(n for n in [1])", "zip()", "...", "E.A", "S('a')",
    "P(1, 2)", "P(1.0, 2.0000001)",
}  # fmt: skip
EXPECTED = [text for text in VALUES if text not in NOT_EXPECTED]


def evalplus(cases: list[dict[str, Any]]) -> list[list[bool]]:
    """What EvalPlus says of each pair of each case."""
    done = subprocess.run(
        [sys.executable, "-c", EVALPLUS],
        input="".join(json.dumps({"prelude": PRELUDE} | case) + "\n" for case in cases),
        capture_output=True,
        text=True,
        check=True,
    )
    return [json.loads(line) for line in done.stdout.splitlines()]


def ours(case: dict[str, Any]) -> list[bool]:
    """What we say: values go through the codec, as from the box."""
    scope: dict[str, Any] = {}
    exec(PRELUDE, scope)
    comparison = Comparison(case["dataset"], case["entry_point"], case["atol"])
    results = _Results(None, False, comparison.iterates)  # type: ignore[arg-type]
    found = []
    for output, expected, given in zip(
        case["outputs"], case["expected"], case["inputs"], strict=True
    ):
        right = unpack(results._packed(eval(expected, scope)), opaque=True)
        arguments = eval(given, scope)
        try:
            value = unpack(results._packed(eval(output, scope)))
        except Exception:  # the harness says that the program failed
            found.append(False)
            continue
        found.append(comparison.passes(value, right, lambda arguments=arguments: arguments))
    return found


def agree(cases: list[dict[str, Any]]) -> list[list[bool]]:
    """Assert that both say the same; what they say."""
    for case in cases:
        case.setdefault("inputs", ["[]"] * len(case["outputs"]))
    theirs = evalplus(cases)
    assert [len(row) for row in theirs] == [len(case["outputs"]) for case in cases]
    for case, wanted in zip(cases, theirs, strict=True):
        found = ours(case)
        differing = [
            (output, expected, want)
            for output, expected, want, got in zip(
                case["outputs"], case["expected"], wanted, found, strict=True
            )
            if want != got
        ]
        assert not differing, (case["dataset"], case["entry_point"], case["atol"], differing)
    return theirs


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


@pytest.mark.parametrize("before", ["1", "[1.0]", "'a'", "np.array([1.0])", "[]", "[1, 1.0]"])
def test_the_tolerance_sticks_from_the_first_float_on(before: str) -> None:
    numbers = ["[1, 2.0]", "{'a': 1.0}", "[[1.0]]", "1", "(1.0, 2)"]
    near = ["[1, 2.0000001]", "{'a': 1.0000001}", "[[1.0000001]]", "1.0000001", "(1, 2.0000001)"]
    case = {"dataset": "other", "entry_point": "f", "atol": 0}
    (found,) = agree([case | {"outputs": [before, *near], "expected": [before, *numbers]}])
    sticks = before in {"[1.0]", "np.array([1.0])"}
    assert found[0] is True
    assert found[1] is sticks and found[3] is sticks and found[5] is sticks


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
    assert not sets.passes([n * (2**61 - 1) for n in range(1, 200_000)], [1], list)
    assert not tolerant.passes([far] * 3, [1.0, 2.0, 3.0], list)
    tall = numpy.zeros((100_000, 1))
    assert not tolerant.passes(tall, numpy.zeros(100_000), list)
    assert not tolerant.passes([[0.0]] * 100_000, [0.0] * 100_000, list)


def test_an_output_that_is_too_small_is_not_compared() -> None:
    plain, sets = Comparison("other", "f", 0), Comparison("mbpp", "Diff", 0)
    assert plain.hopeless(10, 2**21) and not plain.hopeless(10, 2**20)
    assert not plain.hopeless(2**20, 2**25)
    assert not sets.hopeless(10, 2**30)


def test_an_opaque_value_is_never_expected() -> None:
    scope: dict[str, Any] = {}
    exec(PRELUDE, scope)
    results = _Results(None, False, False)  # type: ignore[arg-type]
    for text in ("Thing()", "print", "iter([1])"):
        with pytest.raises(CodecError):
            unpack(results._packed([eval(text, scope)]), opaque=False)
