"""Ground truth of suites with unit tests: which problems' tests can judge, and which can't."""

from pathlib import Path
from typing import Any

import pytest

from evaluate_material import CODE
from judging_material import verdicts_of
from mixmerge.core.errors import UserError
from mixmerge.core.io import read_json, read_jsonl, write_json, write_jsonl
from mixmerge.evaluate.probes import runs_answers
from mixmerge.evaluate.settings import CodeJudging, GroundTruthSettings
from mixmerge.evaluate.unittruth import _examined, make_unit_truth
from mixmerge.evaluate.workers import WorkerDied

SOLUTION = """
class P:
    def __init__(self, x):
        self.x = x
    def __eq__(self, other):
        return self.x == other.x
"""
AGREES = "from solution import P\n\ndef test_a():\n    assert P(1) == P(1)\n"
ASKS = AGREES + "    assert P(1) != P(2) and P(3).x == 3\n"


def truth(directory: Path, tests: dict[str, str], solution: str = SOLUTION) -> Path:
    rows = [
        {
            "task_id": name,
            "prompt": "Write P.",
            "entry_point": "P",
            "names": ["P"],
            "canonical_solution": solution,
            "test": text,
        }
        for name, text in tests.items()
    ]
    write_jsonl(directory / "problems.jsonl", rows)
    settings = GroundTruthSettings(tests="pytest", plus=False, code=CODE)
    make_unit_truth(directory / "problems.jsonl", directory / "truth", settings)
    return directory / "truth"


def test_a_reference_that_varies_or_is_slow_is_dropped() -> None:
    def answer(verdict: str, passed: int, *interface: str) -> dict[str, Any]:
        found = {"verdicts": {"base": verdict}, "passed": passed, "seconds": float(passed)}
        return found | {"interface": list(interface)}

    good = answer("pass", 2, "f(): object")
    assert _examined(good, answer("fail", 0)).reason == "reference_varies"
    assert _examined(WorkerDied(), good).reason == "reference_varies"
    assert _examined(answer("timeout", 0), answer("timeout", 0)).reason == "reference_slow"
    assert _examined(WorkerDied(), WorkerDied()).reason == "reference_fails"
    both = _examined(good, answer("pass", 3, ".x: object"))
    assert both == (None, 2, [".x: object", "f(): object"], 3.0)


LOOPS = {
    "zip": "assert all(a == b for a, b in zip(P(1), [1]))",
    "map": "assert all(map(P, [1])) and not any(map(P, [2]))",
}


@pytest.mark.parametrize("loop", LOOPS)
def test_problems_whose_tests_loop_over_nothing_are_dropped(tmp_path: Path, loop: str) -> None:
    asks = "from solution import P\n\ndef test_a():\n    "
    found = truth(
        tmp_path,
        {"asks": asks + "assert P(1) == [1]\n", "loops": asks + LOOPS[loop] + "\n"},
        "def P(x):\n    return [x] if x == 1 else []\n",
    )
    assert [row["id"] for row in read_jsonl(found / "tasks.jsonl")] == ["asks"]
    assert [*read_jsonl(found / "dropped.jsonl")] == [{"id": "loops", "reason": "tests_nothing"}]


def test_problems_whose_tests_pass_whatever_agrees_are_dropped(tmp_path: Path) -> None:
    directory = truth(tmp_path, {"agrees": AGREES, "asks": ASKS})
    dropped = list(read_jsonl(directory / "dropped.jsonl"))
    assert dropped == [{"id": "agrees", "reason": "tests_nothing"}]


def test_what_the_reference_let_tests_do_is_kept(tmp_path: Path) -> None:
    directory = truth(tmp_path, {"asks": ASKS})
    (row,) = read_jsonl(directory / "tasks.jsonl")
    program = read_json(directory / row["tests"])
    assert program["interface"] == [
        "P(): object",
        "P: callable",
        "__eq__(object): data",
    ]
    tasks = {"asks": row}
    judging = CodeJudging(tests="pytest", plus=False)
    programs = {
        "right": SOLUTION,
        "under another name": SOLUTION.replace("class P:", "class Q:") + "P = Q\n",
        "made by a function": SOLUTION.replace("class P:", "class Q:")
        + "def P(x):\n    return Q(x)\n",
        "wrong": SOLUTION.replace("self.x = x", "self.x = 3"),
    }
    verdicts = verdicts_of(
        [("asks", code) for code in programs.values()], tasks, directory, judging, CODE
    )
    found = {name: verdicts["asks", code][0] for name, code in programs.items()}
    assert found == dict.fromkeys(programs, "pass") | {"wrong": "fail"}


def test_a_ground_truth_of_one_process_is_refused(tmp_path: Path) -> None:
    directory = truth(tmp_path, {"asks": ASKS})
    (row,) = read_jsonl(directory / "tasks.jsonl")
    content = read_json(directory / row["tests"])
    del content["interface"]
    write_json(directory / row["tests"], content)
    judging = CodeJudging(tests="pytest", plus=False)
    with pytest.raises(UserError, match=r"made by an older version.*ground_truth"):
        verdicts_of([("asks", SOLUTION)], {"asks": row}, directory, judging, CODE)


@pytest.mark.parametrize(
    ("test", "runs"),
    [
        ("assert eval(f(1)) == 2", True),
        ("import pickle", True),
        ("from importlib import reload", True),
        ("import builtins\nbuiltins.exec('x')", True),
        ("import re\nre.compile('x')\nassert f('eval') == 1", False),
        ("not python at all", False),
    ],
)
def test_tests_that_run_answers_are_seen(test: str, runs: bool) -> None:
    assert runs_answers(test) is runs
