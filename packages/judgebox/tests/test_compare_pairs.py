"""Our comparison of outputs is EvalPlus's: the same verdicts on thousands of pairs of values."""

import itertools
import json
import random
import subprocess
import sys
from collections.abc import Iterable, Iterator
from typing import Any

import pytest

from judgebox import compare
from judgebox.calls import _Results
from judgebox.codec import CodecError, unpack
from judgebox.compare import Comparison, equals_its_like

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
#: EvalPlus takes these for close to some numbers: `allclose` has nothing to compare. We do not.
HOLLOW = {"[[]]", "[()]", "[]", "()"}
#: Of these no canonical solution's outputs can be made.
NOT_EXPECTED = {
    "Thing()", "Thing", "print", "iter([1])", "(n for n in [1])", "zip()", "...", "E.A", "S('a')",
    "P(1, 2)", "P(1.0, 2.0000001)",
}  # fmt: skip
EXPECTED = [text for text in VALUES if text not in NOT_EXPECTED]

ITERABLES = [
    "[1, 2]", "(2, 1)", "{1, 2}", "[1, 2, 2]", "{1: 0, 2: 0}", "(n for n in [2, 1])",
    "iter([1, 2])",
    "map(int, '12')", "[1.0, 2.0]", "(1.0, 2.0)", "[1.0000001, 2.0]", "(1.0000001, 2.0)",
    "range(1, 3)",
    "range(9)", "[3]", "[]", "None", "5", "'12'", "['1', '2']", "[[1], [2]]", "[(1,), (2,)]",
    "deque([1, 2])", "np.array([1, 2])", "{1: 0, 2: 0}.keys()", "zip([1, 2])", "Thing()",
    "filter(None, [1, 2])", "frozenset({1, 2})", "[True, 2]", "[Decimal(1), 2]",
]  # fmt: skip
SETS = ["[1, 2]", "(1, 2)", "[1.0, 2.0]", "(1.0, 2.0)", "[]", "['1', '2']", "[(1,), (2,)]"]
#: Functions with oracles of their own, and what they are called with.
ORACLES = {
    "are_equivalent": ["[36, 57]", "[23, 47]"],
    "sum_div": ["[8]", "[7]"],
    "surface_Area": ["[3, 4]", "[0.5, 7]"],
    "digit_distance_nums": ["[1, 2]", "[23, 56]"],
}
ANSWERS = [*VALUES, "33", "32.99999", "8", "6", "-1", "np.int64(33)"]
#: Pairs of which the later ones are equal but for rounding.
BEFORE = ["1", "[1.0]", "'a'", "np.array([1.0])", "[]", "[1, 1.0]"]
NUMBERS = ["[1, 2.0]", "{'a': 1.0}", "[[1.0]]", "1", "(1.0, 2)"]
NEAR = ["[1, 2.0000001]", "{'a': 1.0000001}", "[[1.0000001]]", "1.0000001", "(1, 2.0000001)"]


def _cases() -> Iterator[tuple[str, dict[str, Any]]]:
    """Names, and cases: a function, its outputs, and what they and its inputs should be."""
    pairs = list(itertools.product(VALUES, EXPECTED, ["[]"]))
    # In an order in which floats come early, so that the tolerance sticks.
    for atol in (0, 1e-6, 1e-4):
        random.Random(1).shuffle(pairs)
        yield "any function", _case("other", "f", atol, pairs)
    for before in BEFORE:
        triples = zip([before, *NEAR], [before, *NUMBERS], ["[]"] * 6, strict=True)
        yield "a tolerance that sticks", _case("other", "f", 0, triples)
    for dataset, atol in itertools.product(("mbpp", "other"), (0, 1e-4)):
        for name in compare.SET_EQUALITY:
            yield name, _case(dataset, name, atol, itertools.product(ITERABLES, SETS, ["[]"]))
        for name, inputs in ORACLES.items():
            triples = itertools.product(ANSWERS, ["33", "7", "1", "6", "0"], inputs)
            yield name, _case(dataset, name, atol, triples)
    for name in compare.NOT_NONE:
        yield name, _case("mbpp", name, 0, itertools.product(VALUES, ["True", "False"], ["[]"]))


def _case(dataset: str, entry_point: str, atol: float, triples: Iterable[Any]) -> dict[str, Any]:
    case = {"dataset": dataset, "entry_point": entry_point, "atol": atol, "prelude": PRELUDE}
    return case | dict(
        zip(("outputs", "expected", "inputs"), zip(*triples, strict=True), strict=True)
    )


CASES = list(_cases())


@pytest.fixture(scope="module")
def theirs() -> list[list[bool]]:
    """What EvalPlus says of each triple of each case."""
    done = subprocess.run(
        [sys.executable, "-c", EVALPLUS],
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
    for output, expected, inputs in zip(
        case["outputs"], case["expected"], case["inputs"], strict=True
    ):
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


def test_what_the_cases_are_about(theirs: list[list[bool]]) -> None:
    """Many pairs are equal and many are not; some tolerances stick."""
    for (name, case), row in zip(CASES, theirs, strict=True):
        if name == "any function":
            assert 100 < sum(row) < len(row) / 2 > 3500
        if name == "a tolerance that sticks":
            sticks = case["outputs"][0] in {"[1.0]", "np.array([1.0])"}
            assert row[0] is True
            assert row[1] is sticks and row[3] is sticks and row[5] is sticks


def test_an_opaque_value_is_never_expected() -> None:
    scope: dict[str, Any] = {}
    exec(PRELUDE, scope)
    for text in ("Thing()", "print", "iter([1])"):
        with pytest.raises(CodecError):
            equals_its_like([eval(text, scope)])
