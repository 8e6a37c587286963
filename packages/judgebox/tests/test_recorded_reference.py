"""Problems' own tests recorded as test cases: which can be, what is kept, and what passes by it."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from judgebox import codec
from judgebox.box import Box
from judgebox.codec import Raised
from judgebox.judging import FAIL, PASS, Program
from judgebox.reference import Recording, record_reference
from judgebox.testcases import open_cases
from judgebox.verdict import Clocks, judge

RIGHT = "def double(x):\n    if x is None:\n        raise ValueError(x)\n    return 2 * x\n"
HEAD = "import pytest\nfrom solution import double\n\n"
MEMORY = 2 * 2**30


@pytest.fixture(scope="module")
def box() -> Iterator[Box]:
    with Box(["numpy"]) as box:
        yield box


def recorded(
    box: Box, path: Path, tests: str, solution: str = RIGHT, names: str = "double"
) -> Recording:
    return record_reference(
        box, path, solution, HEAD + tests, names.split(), seconds=2, memory_bytes=MEMORY
    )


def verdict(box: Box, path: Path, code: str, **options: float) -> str:
    program = Program(code, "double", atol=1e-6, recorded=True)
    return judge(box, program, path, Clocks(0.5, 4.0, MEMORY)).verdicts["base"]


#: Tests of `RIGHT`, and the reason why they can't be recorded (None: they can).
TESTS = {
    "plain": ("def test_a():\n    assert double(1) == 2\n    assert double(x=2) == 4\n", None),
    "raises": (
        "def test_a():\n    with pytest.raises(ValueError):\n        double(None)\n"
        "    assert double(4) == 8\n",
        None,
    ),
    "approx": ("def test_a():\n    assert double(0.1) == pytest.approx(0.2)\n", None),
    "parametrized": (
        "@pytest.mark.parametrize('x', [1, 2])\ndef test_a(x):\n    assert double(x) == 2 * x\n",
        None,
    ),
    "own fixture": (
        "@pytest.fixture\ndef one():\n    return 1\n\n"
        "def test_a(one):\n    assert double(one) == 2\n",
        None,
    ),
    "a class of tests": (
        "class TestIt:\n    def test_a(self):\n        assert double(3) == 6\n",
        None,
    ),
    "draws": (
        "import random\ndef test_a():\n    x = random.random()\n    assert double(x) == 2 * x\n",
        None,
    ),
    "wrong": ("def test_a():\n    assert double(1) == 3\n", "reference_fails"),
    "needs a plugin": ("def test_a(mocker):\n    assert double(1) == 2\n", "reference_fails"),
    "no tests": ("def check():\n    assert double(1) == 2\n", "reference_fails"),
    "skipped": (
        "@pytest.mark.skip\ndef test_a():\n    assert double(1) == 2\n",
        "reference_fails",
    ),
    "leaves": ("import os\ndef test_a():\n    os._exit(0)\n", "reference_fails"),
    "calls nothing": ("def test_a():\n    assert double\n", "no_calls"),
    "asks nothing": (
        "def test_a():\n    pytest.raises(ValueError, double, None)\n    assert double([]) == []\n",
        "tests_nothing",
    ),
    "looks at the output": ("def test_a(capsys):\n    assert double(1) == 2\n", "fixtures"),
    "lends an object": (
        "class F:\n    __rmul__ = lambda self, n: 1\n\n"
        "def test_a():\n    assert double(F()) == 1\n",
        "argument_no_data",
    ),
    "varies": (
        "import time\ndef test_a():\n    assert double(time.time())\n",
        "reference_varies",
    ),
    "in a thread": (
        "import threading\ndef test_a():\n    assert double(1) == 2\n"
        "    one = threading.Thread(target=double, args=(1,))\n    one.start()\n    one.join()\n",
        "threads",
    ),
}


@pytest.mark.parametrize("name", TESTS)
def test_tests_are_recorded_or_refused(box: Box, tmp_path: Path, name: str) -> None:
    tests, reason = TESTS[name]
    assert recorded(box, tmp_path / "cases", tests).reason == reason


ONE = "def test_a():\n    assert double(1) == 2\n"
#: Solutions, their tests, and the reason why they can't be recorded.
SOLUTIONS = {
    "a class": (
        "class double:\n    def __init__(self, x): self.x = x\n",
        "def test_a():\n    assert double(1).x == 1\n",
        "classes",
    ),
    "a value": ("double = 4\n", "def test_a():\n    assert double == 4\n", "no_function"),
    "missing": ("twice = 4\n", "def test_a():\n    assert double == 4\n", "reference_fails"),
    "changes its argument": (
        "def double(x):\n    x.append(1)\n    return x\n",
        "def test_a():\n    assert double([]) == [1]\n",
        "mutates_arguments",
    ),
    "prints": ("def double(x):\n    print(x)\n    return 2 * x\n", ONE, "prints"),
    "yields": (
        "def double(x):\n    yield x\n    yield x\n",
        "def test_a():\n    assert [*double(1)] == [1, 1]\n",
        "result_no_data",
    ),
    "draws": (
        "import random\ndef double(x):\n    return random.choice(range(10**6))\n",
        "def test_a():\n    assert double(1) >= 0\n",
        "reference_varies",
    ),
    "has a state that tests set": (
        "STATE = []\ndef double(x):\n    return x + len(STATE)\n",
        "import solution\ndef test_a():\n    solution.STATE.append(1)\n    assert double(1) == 2\n",
        "reference_varies",
    ),
    "slow": ("def double(x):\n    while True: pass\n", ONE, "reference_slow"),
    "an array": (
        "import numpy\ndef double(x):\n    return 2 * numpy.array(x)\n",
        "def test_a():\n    assert list(double([1, 2])) == [2, 4]\n",
        None,
    ),
}


@pytest.mark.parametrize("name", SOLUTIONS)
def test_solutions_are_recorded_or_refused(box: Box, tmp_path: Path, name: str) -> None:
    solution, tests, reason = SOLUTIONS[name]
    assert recorded(box, tmp_path / "cases", tests, solution).reason == reason


def test_only_outermost_calls_are_kept_with_what_tests_accept(box: Box, tmp_path: Path) -> None:
    solution = """
class Bad(ValueError): pass
def double(x, deep=False):
    if x is None: raise Bad
    if x == "?": raise KeyError(x)
    return x and 2 + double(x - 1)
"""
    tests = """
from solution import Bad
def test_a():
    assert double(3, deep=True) == 6
    pytest.raises(Bad, double, None)
    with pytest.raises((TypeError, LookupError)):
        double("?")
    try:
        double("?")
    except Exception:
        pass
"""
    path = tmp_path / "cases"
    assert recorded(box, path, tests, solution, "double Bad") == Recording(None, 0.0, 4)
    with open_cases(path) as sets:
        calls = sets["base"]
        assert codec.unpack(calls.input(0)) == ["double", [3], {"deep": True}]
        expected = [codec.unpack(calls.expected(number)) for number in range(4)]
    assert expected[0] == 6
    names = [one.names for one in expected[1:]]
    assert names == [["Bad"], ["TypeError", "LookupError"], ["KeyError"]]
    assert verdict(box, path, solution) == PASS
    other = solution.replace("raise KeyError(x)", "raise IndexError(x)")
    assert verdict(box, path, other) == FAIL  # the third call's would do, the fourth's not


#: Programs, and their verdicts by doubles of 1, 0.1 and None.
PROGRAMS = {
    RIGHT: PASS,
    RIGHT.replace("2 * x", "2 * x if type(x) is int else 2 * x + 1e-9"): PASS,
    RIGHT.replace("2 * x", "2 * x if type(x) is int else 2 * x + 1e-3"): FAIL,
    RIGHT.replace("2 * x", "2 * x + 1e-9"): FAIL,  # no rounding makes an integer of floats
    RIGHT.replace("ValueError", "UnicodeError"): PASS,  # a ValueError, too
    RIGHT.replace("ValueError", "Exception"): FAIL,
    RIGHT.replace("raise ValueError(x)", "return ValueError(x)"): FAIL,
    "class double(int): pass": FAIL,
    "def double(*a): raise ValueError": FAIL,
    "def twice(x): return 2 * x": FAIL,
    "double = 4": FAIL,
    "def double(x):\n    while x is None: pass\n    return 2 * x": FAIL,
    "import sys\ndef double(x):\n    return 2 * x if x else sys.exit(0)": FAIL,
}


@pytest.fixture(scope="module")
def cases(box: Box, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("record") / "cases"
    tests = "def test_a():\n    assert double(1) == 2\n    assert double(0.1) == 0.2\n"
    tests += "    pytest.raises(ValueError, double, None)\n"
    assert recorded(box, path, tests).calls == 3
    return path


@pytest.mark.parametrize("code", PROGRAMS)
def test_programs_are_judged_by_recorded_calls(box: Box, cases: Path, code: str) -> None:
    assert verdict(box, cases, code) == PROGRAMS[code]


def test_a_time_out_is_no_exception_that_tests_expect(box: Box, tmp_path: Path) -> None:
    tests = "def test_a():\n    pytest.raises(Exception, double, None)\n    assert double(1) == 2\n"
    assert recorded(box, tmp_path / "cases", tests).reason is None
    stuck = "def double(x):\n    while x is None: pass\n    return 2 * x\n"
    assert verdict(box, tmp_path / "cases", stuck) == FAIL
    missing = "def twice(x): pass"
    assert verdict(box, tmp_path / "cases", missing) == FAIL


def test_humanevals_form(box: Box, tmp_path: Path) -> None:
    """Its tests use a helper of the prompt; a solution may use it, and its imports."""
    prelude = (
        "from typing import List\ndef helper(x: List[int]):\n    return [n + 1 for n in x]\n"
        'def double(x):\n    """Undo it."""\n'
    )
    tests = "def check(candidate):\n    assert candidate(helper([1, 2])) == [1, 2]\n"
    path = tmp_path / "cases"
    solution = prelude + "    return [n - 1 for n in x]\n"
    recording = record_reference(
        box, path, solution, tests, ["double"], form="check", prelude=prelude
    )
    assert recording == Recording(None, 0.0, 1)
    with open_cases(path) as sets:
        assert codec.unpack(sets["base"].input(0)) == ["double", [[2, 3]], {}]
    answer = "def double(x):\n    return [n - 2 for n in helper(x)]\n"
    assert verdict(box, path, prelude + answer) == PASS


def test_exceptions_equal_where_a_type_is_the_same() -> None:
    assert Raised.of(UnicodeError("x")) == Raised(["ValueError"]) != Raised(["KeyError"])
    assert Raised(["ValueError"]) != "ValueError"
