"""Our comparison of outputs is EvalPlus's: the same verdicts on thousands of pairs of values."""

import itertools
import json
import random
import subprocess
import sys
from collections.abc import Iterable, Iterator
from typing import Any

import pytest

from boxed import table
from judgebox import compare
from judgebox.calls import _Results
from judgebox.codec import CodecError, unpack
from judgebox.compare import Comparison, equals_its_like

TABLE = table("compare_pairs")

#: Runs EvalPlus's own checker over expressions; one line of JSON each in and out.
EVALPLUS = TABLE["evalplus"]

PRELUDE = TABLE["prelude"]

VALUES = TABLE["values"]
#: EvalPlus takes these for close to some numbers: `allclose` has nothing to compare. We do not.
HOLLOW = {"[[]]", "[()]", "[]", "()"}
#: Of these no canonical solution's outputs can be made.
NOT_EXPECTED = TABLE["not_expected"]
EXPECTED = [text for text in VALUES if text not in NOT_EXPECTED]

ITERABLES = TABLE["iterables"]
SETS = TABLE["sets"]
#: Functions with oracles of their own, and what they are called with.
ORACLES = TABLE["oracles"]
ANSWERS = [*VALUES, "33", "32.99999", "8", "6", "-1", "np.int64(33)"]
#: Pairs of which the later ones are equal but for rounding.
BEFORE = TABLE["before"]
NUMBERS = TABLE["numbers"]
NEAR = TABLE["near"]


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
