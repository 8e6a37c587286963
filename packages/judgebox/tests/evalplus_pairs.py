"""Our comparison of outputs and EvalPlus's, over the same pairs of values, for tests of that."""

import json
import subprocess
import sys
from typing import Any

from judgebox.codec import unpack
from judgebox.compare import Comparison
from judgebox.harness.calls import _Results

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
            if want != got and not (want and HOLLOW & {output, expected})
        ]
        assert not differing, (case["dataset"], case["entry_point"], case["atol"], differing)
    return theirs
