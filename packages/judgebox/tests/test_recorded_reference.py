"""Problems' own tests recorded as test cases: which can be, what is kept, and what passes by it."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from boxed import table
from judgebox import codec
from judgebox.box import Box
from judgebox.codec import Raised, open_cases
from judgebox.judging import FAIL, PASS, Clocks, Program, judge
from judgebox.reference import Recording, record_reference

#: ``tests`` and ``solutions`` with the reason why they can't be recorded (null: they can), and
#: ``programs`` with their verdicts by doubles of 1, 0.1 and None.
TABLE = table("recorded_reference")
RIGHT = TABLE["right"]
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


def verdict(box: Box, path: Path, code: str) -> str:
    program = Program(code, "double", atol=1e-6, recorded=True)
    return judge(box, program, path, Clocks(0.5, 4.0, MEMORY))["base"].verdict


@pytest.mark.parametrize("name", TABLE["tests"])
def test_tests_are_recorded_or_refused(box: Box, tmp_path: Path, name: str) -> None:
    case = TABLE["tests"][name]
    assert recorded(box, tmp_path / "cases", case["tests"]).reason == case["reason"]


ONE = "def test_a():\n    assert double(1) == 2\n"


@pytest.mark.parametrize("name", TABLE["solutions"])
def test_solutions_are_recorded_or_refused(box: Box, tmp_path: Path, name: str) -> None:
    case = TABLE["solutions"][name]
    recording = recorded(box, tmp_path / "cases", case["tests"], case["solution"])
    assert recording.reason == case["reason"]


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


@pytest.fixture(scope="module")
def cases(box: Box, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("record") / "cases"
    tests = "def test_a():\n    assert double(1) == 2\n    assert double(0.1) == 0.2\n"
    tests += "    pytest.raises(ValueError, double, None)\n"
    assert recorded(box, path, tests).calls == 3
    return path


@pytest.mark.parametrize("case", TABLE["programs"], ids=lambda case: case["code"])
def test_programs_are_judged_by_recorded_calls(box: Box, cases: Path, case: dict[str, str]) -> None:
    assert verdict(box, cases, case["code"]) == case["verdict"]


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


def test_a_check_may_look_at_what_is_printed(box: Box, tmp_path: Path) -> None:
    tests = (
        "import contextlib, io\ndef check(candidate):\n"
        "    with contextlib.redirect_stdout(io.StringIO()) as out:\n"
        "        assert candidate(1) == 2\n    assert out.getvalue() == '1\\n'\n"
    )
    solution = "def double(x):\n    print(x)\n    return 2 * x\n"
    path = tmp_path / "cases"
    assert record_reference(box, path, solution, tests, ["double"], form="check").reason is None


def test_exceptions_equal_where_a_type_is_the_same() -> None:
    bad = [number * (2**61 - 1) for number in range(1, 100_000)]  # of the same hash
    assert Raised(bad) != Raised(["KeyError"])  # type: ignore[arg-type]
    assert Raised.of(UnicodeError("x")) == Raised(["ValueError"]) != Raised(["KeyError"])
    assert Raised(["ValueError"]) != "ValueError"
