"""Programs called in a real box: what they return is what is judged, as EvalPlus would see it."""

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from boxed import table
from judgebox import codec, reference
from judgebox.box import Box
from judgebox.codec import CaseWriter, open_cases
from judgebox.judging import FAIL, PASS, TIMEOUT, Clocks, Program, judge

MEMORY = 2 * 2**30


@pytest.fixture(scope="module")
def bench() -> Iterator[Box]:
    with Box(["numpy"]) as box:
        yield box


def made_by(bench: Box, path: Path, code: str, inputs: list[Any], not_none: bool = False) -> Path:
    with CaseWriter(path / "tests") as writer:
        writer.begin("base", map(codec.pack, inputs))
    program = Program(code, "f")
    recording = reference.expect(bench, path / "tests", program, MEMORY, not_none)
    assert recording.reason is None, recording.reason
    return path / "tests"


def verdict(
    bench: Box,
    tests: Path,
    code: str,
    dataset: str = "other",
    entry_point: str = "f",
    seconds: float = 2.0,
    alone: bool = False,
) -> str:
    program = Program(code, entry_point, dataset)
    outcome = judge(bench, program, tests, Clocks(seconds, 4.0, MEMORY), alone=alone)["base"]
    assert not outcome.starved
    return outcome.verdict


#: Program -> verdict, where the squares of a list's numbers are wanted, as a list.
SQUARES = {code: verdict for verdict, codes in table("calls").items() for code in codes}


@pytest.fixture(scope="module")
def squares(bench: Box, tmp_path_factory: pytest.TempPathFactory) -> Path:
    inputs = [[list(range(number))] for number in range(40)]
    code = "def f(x): return [n * n for n in x]"
    return made_by(bench, tmp_path_factory.mktemp("squares"), code, inputs)


@pytest.mark.parametrize("alone", [False, True])
@pytest.mark.parametrize("code", SQUARES)
def test_each_program_gets_its_verdict(bench: Box, squares: Path, code: str, alone: bool) -> None:
    assert verdict(bench, squares, code, alone=alone) == SQUARES[code]


@pytest.mark.slow
def test_what_never_comes_back_times_out(bench: Box, tmp_path: Path) -> None:
    one = made_by(bench, tmp_path, "def f(x): return x", [[5]])
    stuck = "def f(x):\n    return sum(range(10**12))"  # no signal is looked at in there
    assert verdict(bench, one, stuck, seconds=0.5) == TIMEOUT
    asleep = Program("import time\ndef f(x):\n    time.sleep(1000)", "f")
    outcomes = judge(bench, asleep, one, Clocks(0.5, 4.0, MEMORY), alone=False)
    assert outcomes == {"base": (TIMEOUT, True, True, 0)}  # by the clock: to be run again, alone


@pytest.mark.slow
def test_large_outputs(bench: Box, tmp_path: Path) -> None:
    code = "def f(n): return [(i, str(i)) for i in range(n)]"
    tests = made_by(bench, tmp_path, code, [[10], [100_000], [1000], [150_000]])
    with open_cases(tests) as sets:
        one = sets["base"]
        digests = [one.digests.get(number) for number in range(4)]
        assert [bool(found) for found in digests] == [False, True, True, True]
    assert verdict(bench, tests, code) == PASS
    # Equal, though not to the bit: those are sent whole.
    assert verdict(bench, tests, code.replace("(i, str", "(float(i), str")) == PASS
    assert verdict(bench, tests, code.replace("str(i)", "str(min(i, 149_998))")) == FAIL
    assert verdict(bench, tests, "def f(n): return []") == FAIL
    assert verdict(bench, tests, code + " if n < 99_999 else 'x' * 10**8") == FAIL
    assert verdict(bench, tests, code + " if n < 99_999 else [{}] * 10**7") == FAIL
    # By what does not equal itself, nothing passes.
    nan = made_by(bench, tmp_path, "def f(n): return [float('nan')] * n", [[1000]])
    assert verdict(bench, nan, "def f(n): return [float('nan')] * n") == FAIL


def test_oracles_in_the_box(bench: Box, tmp_path: Path) -> None:
    inputs = [[[1, 2, 3], [2]], [[5], []]]
    code = "def f(a, b): return [n for n in a if n not in b]"
    tests = made_by(bench, tmp_path, code, inputs)
    for out, right in {
        "(n for n in set(a) - set(b))": True, "iter(set(a) - set(b))": True,
        "dict.fromkeys(set(a) - set(b))": True, "range(9)": False, "None": False,
    }.items():  # fmt: skip
        diff = f"def Diff(a, b): return {out}"
        assert verdict(bench, tests, diff, "mbpp", "Diff") == (PASS if right else FAIL)
        assert verdict(bench, tests, diff, "other", "Diff") == FAIL
    code = "import re\ndef f(text): return re.search('a', text)"
    some = made_by(bench, tmp_path, code, [["abc"], ["xyz"]], not_none=True)
    code = code.replace("def f", "def check_str")
    assert verdict(bench, some, code, "mbpp", "check_str") == PASS
    assert verdict(bench, some, code.replace("'a'", "'x'"), "mbpp", "check_str") == FAIL
    bools = "def check_str(text): return 'a' in text"
    assert verdict(bench, some, bools, "mbpp", "check_str") == PASS


def test_a_reference_that_has_no_outputs(bench: Box, tmp_path: Path) -> None:
    for code, error in {
        "def f(x): return 1 / 0": "ZeroDivisionError: division by zero",
        "def f(x): raise SystemExit": "SystemExit",
        "oops(": "SyntaxError",
        "def g(x): pass": "KeyError: 'f'",
        "def f(x): return print": "builtins.builtin_function_or_method is not plain data",
        "import os\ndef f(x): os._exit(3)": "ended early: exit 3",
        "import os\nos.write(4, b'nonsense')": "ended early",
    }.items():
        with pytest.raises(AssertionError) as caught:
            made_by(bench, tmp_path, code, [[1]])
        assert error in str(caught.value)


def test_a_function_can_call_itself_as_often_as_under_evalplus(bench: Box, tmp_path: Path) -> None:
    tests = made_by(bench, tmp_path, "def f(x): return 969", [[0]])
    left = """
import sys
def f(x):
    frame, depth = sys._getframe(), 0
    while frame:
        frame, depth = frame.f_back, depth + 1
    return sys.getrecursionlimit() - depth
"""
    assert verdict(bench, tests, left) == PASS


TAKEN = """
import builtins, json, os, shutil, subprocess, sys
{guard}
holders = {{"os": os, "builtins": builtins, "shutil": shutil, "subprocess": subprocess}}
taken = [f"{{name}}.{{key}}" for name, one in holders.items() for key, value in vars(one).items()
         if value is None and not key.startswith("__")]
taken += [name for name, one in sys.modules.items() if one is None]
os.write(1, json.dumps(sorted(taken)).encode())
"""


def test_the_guard_takes_what_evalpluss_takes() -> None:
    theirs, ours = (
        subprocess.run(
            [sys.executable, "-c", TAKEN.format(guard=f"import evalplus.eval.utils\n{guard}()")],
            capture_output=True,
            check=True,
        ).stdout
        for guard in (
            "from evalplus.eval.utils import reliability_guard as guard\nguard",
            "from judgebox.calls import guard\nguard",
        )
    )
    assert len(json.loads(theirs)) > 30
    assert json.loads(ours) == json.loads(theirs)
