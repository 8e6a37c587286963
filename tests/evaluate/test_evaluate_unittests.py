"""Suites judged by recorded unit tests: which can be recorded, and each kind of completion."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from fixtures.code_suites import CODE, write_completions
from fixtures.verdicts import verdicts_of
from judgebox.codec import Raised
from judgebox.testcases import TestCases
from mixmerge.artifacts.manifest import read_manifest, write_manifest
from mixmerge.core.errors import UserError
from mixmerge.core.io import read_json, read_jsonl, write_jsonl
from mixmerge.data.problems import human_eval_problems
from mixmerge.data.rows import read_rows
from mixmerge.evaluate.extraction import module_of
from mixmerge.evaluate.groundtruth import make_recorded_truth
from mixmerge.evaluate.scoring import score
from mixmerge.evaluate.settings import CodeJudging, CodeScoring, GroundTruthSettings, ScoreSettings
from mixmerge.evaluate.suite import Completion
from mixmerge.evaluate.verdicts import CodeSuite, judge_suites

SCRIPT = Path(__file__).parents[2] / "workflow/scripts/ground_truth.py"
RIGHT = "def double(x):\n    if x is None:\n        raise ValueError(x)\n    return 2 * x\n"
HEAD = "import pytest\nfrom solution import double\n\n"
PLAIN = (
    HEAD
    + "def test_one():\n    assert double(1) == 2\n\ndef test_two():\n    assert double(2) == 4\n"
)

#: Name -> test program and why it is dropped (None: it judges).
PROGRAMS: dict[str, tuple[str, str | None]] = {
    "plain": (PLAIN, None),
    "raises": (
        HEAD + "def test_a():\n    with pytest.raises(ValueError):\n        double(None)\n"
        "    assert double(4) == 8\n",
        None,
    ),
    "class": (HEAD + "class TestIt:\n    def test_a(self):\n        assert double(3) == 6\n", None),
    "wrong": (HEAD + "def test_a():\n    assert double(1) == 3\n", "reference_fails"),
    "no tests": (HEAD + "def check():\n    assert double(1) == 2\n", "reference_fails"),
    "no question": (HEAD + "def test_a():\n    assert double\n", "no_calls"),
}

KEPT = [name for name, (_, reason) in PROGRAMS.items() if reason is None]
JUDGING = CodeJudging(tests="pytest", plus=False)

#: Completion -> verdict on `PLAIN`.
COMPLETIONS = {
    "right": (RIGHT, "pass"),
    "fenced, with chatter, example and main block": (
        "Sure:\n```python\n" + RIGHT + "print(double('a'), undefined)\n"
        "if __name__ == '__main__':\n    double(1)\n```\nDone.",
        "pass",
    ),
    "with a helper that returns nothing": (
        "OUT = []\ndef note(x):\n    OUT.append(x)\n\n"
        "def double(x):\n    note(2 * x)\n    return OUT[-1]\n",
        "pass",
    ),
    "prints": ("def double(x):\n    print('1 passed')\n    return 2 * x\n", "pass"),
    "wrong": ("def double(x):\n    return 2\n", "fail"),
    "other name": ("def twice(x):\n    return 2 * x\n", "fail"),
    "no code": ("I cannot help with that.", "fail"),
    "empty": ("", "fail"),
    "null byte": ("def double(x):\n    return '\0'\n", "fail"),
    "exits": ("import sys\ndef double(x):\n    sys.exit(0)\n", "fail"),
    "ends the process": ("import os\ndef double(x):\n    os._exit(0)\n", "fail"),
    "dies": ("import ctypes\ndef double(x):\n    return ctypes.string_at(0)\n", "fail"),
    "skips its judge": ("import pytest\ndef double(x):\n    pytest.skip()\n", "fail"),
    "ends its judge": ("import pytest\ndef double(x):\n    pytest.exit('', 0)\n", "fail"),
    "brings its own tests": ("def test_it():\n    assert True\n", "fail"),
    "reads": ("def double(x):\n    return input()\n", "fail"),
    "loops": ("def double(x):\n    while True:\n        pass\n", "fail"),
    "too much memory": ("def double(x):\n    return len('x' * 10**10) and 2 * x\n", "fail"),
}


def problems(programs: dict[str, str]) -> list[dict[str, Any]]:
    return [
        {
            "task_id": name,
            "prompt": "Write double.",
            "entry_point": "double",
            "names": ["double"],
            "canonical_solution": RIGHT,
            "test": text,
        }
        for name, text in programs.items()
    ]


def truth(directory: Path, rows: list[dict[str, Any]], tests: str) -> Path:
    """The ground truth, made by the real script."""
    write_jsonl(directory / "problems.jsonl", rows)
    settings = {"tests": tests, "plus": False, "code": CODE.model_dump()}
    command = [sys.executable, "-P", SCRIPT, "--problems", directory / "problems.jsonl"]
    command += ["--out", directory / "truth", "--settings", json.dumps(settings)]
    subprocess.run(command, check=True, capture_output=True)
    return directory / "truth"


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("unit")
    rows = problems({name: text for name, (text, _) in PROGRAMS.items()})
    truth(directory, rows, "pytest")
    items = [{"id": row["task_id"], "messages": [], "reference": None} for row in rows]
    write_jsonl(directory / "items.jsonl", items)
    write_manifest(directory, "suite")
    return directory


def test_problems_that_cannot_judge_are_dropped_and_counted(made: Path) -> None:
    expected = {name: reason for name, (_, reason) in PROGRAMS.items() if reason}
    found = {row["id"]: row["reason"] for row in read_jsonl(made / "truth/dropped.jsonl")}
    assert found == expected
    judged = {row["id"]: row for row in read_jsonl(made / "truth/tasks.jsonl")}
    assert list(judged) == KEPT
    counts = {reason: list(expected.values()).count(reason) for reason in expected.values()}
    report = read_json(made / "truth/report.json")
    assert report == {"problems": len(PROGRAMS), "judged": len(KEPT), "dropped": counts}
    facts = read_manifest(made / "truth", "groundtruth")["facts"]
    assert (facts["n"], facts["dropped"]) == (len(KEPT), counts)
    with TestCases(made / "truth" / judged["raises"]["tests"]) as sets:
        calls = sets.read("base")
        assert [calls.arguments(n) for n in (0, 1)] == [["double", [None], {}], ["double", [4], {}]]
        assert [*calls.expected(0, 2)] == [Raised(["ValueError"]), 8]


def test_each_kind_of_completion_gets_its_verdict(made: Path) -> None:
    tasks = {row["id"]: row for row in read_jsonl(made / "truth/tasks.jsonl")}
    programs = {name: ("plain", module_of(text) or "") for name, (text, _) in COMPLETIONS.items()}
    code = CODE.model_copy(update={"memory_bytes": 2 * 1024**3})
    verdicts = verdicts_of(list(programs.values()), tasks, made / "truth", JUDGING, code)
    found = {name: verdicts[pair][0] for name, pair in programs.items()}
    assert found == {name: verdict for name, (_, verdict) in COMPLETIONS.items()}
    assert {plus for _, plus in verdicts.values()} == {None}


def test_dropped_problems_have_no_row_in_the_scores(made: Path, tmp_path: Path) -> None:
    answers = dict.fromkeys(PROGRAMS, RIGHT) | {
        "class": "",
        "raises": RIGHT.replace("Value", "Type"),
    }
    completions = write_completions(tmp_path / "completions", {"s": answers})
    settings = ScoreSettings(code=CODE, suites={"s": JUDGING})
    score(completions, {"s": made}, {"s": made / "truth"}, None, tmp_path / "out", settings)
    rows = {row["id"]: row["base"] for row in read_jsonl(tmp_path / "out/s.jsonl")}
    assert rows == dict.fromkeys(KEPT, "pass") | {"class": "fail", "raises": "fail"}
    summary = read_json(tmp_path / "out/scores.json")["s"]
    assert summary["n"] == len(KEPT)
    assert summary["metrics"] == {"base": pytest.approx(1 - 2 / len(KEPT))}


def test_the_ground_truth_has_the_same_bytes_every_time(tmp_path: Path) -> None:
    write_jsonl(tmp_path / "problems.jsonl", problems({"plain": PLAIN, "none": "x = 1"}))
    settings = GroundTruthSettings(tests="pytest", plus=False, code=CODE)
    for name in ("one", "two"):
        make_recorded_truth(tmp_path / "problems.jsonl", tmp_path / name, settings)
    assert read_manifest(tmp_path / "one") == read_manifest(tmp_path / "two")


def test_a_suite_without_a_usable_problem_is_refused(tmp_path: Path) -> None:
    write_jsonl(tmp_path / "problems.jsonl", problems({"wrong": PROGRAMS["wrong"][0]}))
    settings = GroundTruthSettings(tests="pytest", plus=False, code=CODE)
    with pytest.raises(UserError, match=r"none of 1 problems can be judged .*reference_fails"):
        make_recorded_truth(tmp_path / "problems.jsonl", tmp_path / "truth", settings)
    assert not (tmp_path / "truth").exists()


def test_human_eval_problems_through_its_own_tests(tmp_path: Path) -> None:
    """The second's tests use a helper of its prompt, `encode_cyclic`."""
    wanted = {"HumanEval/0", "HumanEval/38"}
    path, _ = human_eval_problems(None)
    rows = [row for _, row in read_rows(path) if row["task_id"] in wanted]
    directory = truth(tmp_path, rows, "check")
    assert read_json(directory / "report.json")["dropped"] == {}
    tasks = {row["id"]: row for row in read_jsonl(directory / "tasks.jsonl")}
    assert set(tasks) == wanted
    programs = []
    for row in rows:
        alone = f"def {row['entry_point']}(*a):\n    pass\n"
        programs += [(row["task_id"], row["prompt"] + row["canonical_solution"])]
        programs += [(row["task_id"], alone)]
    judging = CodeJudging(tests="check", plus=False)
    verdicts = verdicts_of(programs, tasks, directory, judging, CodeScoring(workers=1))
    found = [verdicts[pair] for pair in programs]
    assert found == [("pass", None), ("fail", None)] * 2
    # A model that completes writes the body alone.
    answers = [Completion(row["task_id"], row["canonical_solution"], "stop", 1, 1) for row in rows]
    suite = CodeSuite(answers, tmp_path / "problems.jsonl", directory, judging)
    judged = judge_suites({"s": suite}, CODE)["s"]
    assert [row.base for row in judged.rows] == ["pass", "pass"]


@pytest.mark.parametrize(
    ("completion", "module"),
    [
        ("x = 1", "x = 1"),
        ("import os\nf()", ""),
        ("Text.\n```\nx = 1\n```\nMore:\n```py\ndef f():\n    pass\n```", "def f():\n    pass"),
        ("```python\ndef f():\n    pass", "def f():\n    pass"),
        ("Here it is\ndef f():\n    return 1\nthat was it", "def f():\n    return 1"),
        ("@cache\ndef f(): return 1", "@cache\ndef f():\n    return 1"),
        ("", ""),
        ("no code here", ""),
    ],
)
def test_modules_are_found_in_completions(completion: str, module: str) -> None:
    assert module_of(completion) == module
