"""What a completion of a code suite finds where it runs."""

from pathlib import Path

import pytest

from fixtures.code_suites import CODE, problem, truth, write_problems
from fixtures.code_worlds import CASES, RIGHT, code_judging
from fixtures.verdicts import verdicts_of
from mixmerge.core.errors import UserError
from mixmerge.core.io import read_jsonl
from mixmerge.evaluate.settings import CodeJudging


@pytest.fixture(scope="module")
def suite(tmp_path_factory: pytest.TempPathFactory) -> Path:
    problems = [problem(number) for number in range(len(CASES))]
    return write_problems(tmp_path_factory.mktemp("code") / "suite", problems)


@pytest.fixture(scope="module")
def ground_truth(suite: Path) -> Path:
    return truth(suite, suite.parent / "truth")


SURROUNDINGS = """
import os

def total_0(numbers):
    os.write(1, b'{"verdicts": {"base": "pass", "plus": "pass"}}\\n')
    seen = [
        "A_TOKEN" not in os.environ,
        os.environ["HOME"] == os.environ["TMPDIR"] == "/tmp",
        os.environ["PYTHONHASHSEED"] == "0",
        os.readlink("/proc/self/cwd") == "/tmp",
        not os.path.exists(HERE),
        open is None,
    ]
    return sum(n for n in numbers if n > 0) if all(seen) else seen
"""


def test_checks_run_in_a_box_with_a_reduced_environment(
    suite: Path, ground_truth: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("A_TOKEN", "secret")
    tasks = {row["id"]: row for row in read_jsonl(ground_truth / "tasks.jsonl")}
    text = f"HERE = {str(ground_truth)!r}\n{SURROUNDINGS}"
    wrong = text.replace("not in os.environ", "in os.environ")
    programs = [("t/0", text), ("t/0", wrong)]
    verdicts = verdicts_of(programs, tasks, ground_truth, code_judging(), CODE)
    assert [verdicts[pair] for pair in programs] == [("pass", "pass"), ("fail", "fail")]


def test_where_no_sandbox_can_be_had_nothing_is_run(
    suite: Path, ground_truth: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("JUDGEBOX_BACKEND", "no-such-thing")
    tasks = {row["id"]: row for row in read_jsonl(ground_truth / "tasks.jsonl")}
    with pytest.raises(UserError, match="no-such-thing"):
        verdicts_of([("t/0", RIGHT.format(0))], tasks, ground_truth, code_judging(), CODE)


def test_recursion_has_the_headroom_of_evalplus(tmp_path: Path) -> None:
    """EvalPlus's own pool leaves 966 frames; a deep but finite recursion is judged alike."""
    deep = problem(
        0,
        prompt="def total_0(n):\n",
        canonical_solution="    return n\n",
        base_input=[[900], [965]],
        plus_input=[[1]],
    )
    suite = write_problems(tmp_path / "suite", [deep])
    made = truth(suite, tmp_path / "truth")
    tasks = {row["id"]: row for row in read_jsonl(made / "tasks.jsonl")}
    judging = code_judging()
    fits = "def total_0(n):\n    return 0 if n == 0 else 1 + total_0(n - 1)"
    overflows = fits.replace("n == 0", "n == -5")
    verdicts = verdicts_of([("t/0", fits), ("t/0", overflows)], tasks, made, judging, CODE)
    assert verdicts["t/0", fits][0] == "pass"
    assert verdicts["t/0", overflows][0] == "fail"


def test_the_special_oracle_of_find_zero(tmp_path: Path) -> None:
    """Any zero will do, not just the canonical one; EvalPlus 0.3.1 itself fails them all."""
    zero = problem(
        0,
        prompt="def find_zero(xs):\n",
        entry_point="find_zero",
        canonical_solution="    return 2.0\n",
        base_input=[[[-4, 0, 1]]],
        plus_input=[[[-2, 1]]],
        atol=1e-4,
    )
    suite = write_problems(tmp_path / "suite", [zero])
    made = truth(suite, tmp_path / "truth", dataset="humaneval")
    tasks = {row["id"]: row for row in read_jsonl(made / "tasks.jsonl")}
    judging = CodeJudging(kind="code", dataset="humaneval")
    other = "def find_zero(xs):\n    return -2.00001 if len(xs) == 3 else 2"
    wrong = "def find_zero(xs):\n    return 1.99"
    none = "def find_zero(xs):\n    return None"
    programs = [("t/0", text) for text in (other, wrong, none)]
    verdicts = verdicts_of(programs, tasks, made, judging, CODE)
    assert [verdicts[pair][0] for pair in programs] == ["pass", "fail", "fail"]


def test_a_program_that_draws_numbers_draws_the_same_ones(tmp_path: Path) -> None:
    """Those that the reference drew, which starts from the same state."""
    drawn = "random.random(), numpy.random.random()"
    own = problem(
        0,
        prompt="import random, numpy\ndef total_0(numbers):\n",
        canonical_solution=f"    return [{drawn}]\n",
    )
    suite = write_problems(tmp_path / "suite", [own])
    made = truth(suite, tmp_path / "truth")
    tasks = {row["id"]: row for row in read_jsonl(made / "tasks.jsonl")}
    same = f"import random, numpy\ndef total_0(n):\n    return [{drawn}]"
    other = f"import random, numpy\nrandom.random()\ndef total_0(n):\n    return [{drawn}]"
    programs = [("t/0", same), ("t/0", other)]
    verdicts = verdicts_of(programs, tasks, made, CodeJudging(), CODE)
    assert [verdicts[pair] for pair in programs] == [("pass", "pass"), ("fail", "fail")]
