"""Ground truth of code suites: made of inputs or recorded from unit tests, judged by, refused."""

from pathlib import Path
from typing import Any

import pytest
import yaml

from fixtures.code_suites import (
    CODE,
    judged,
    problem,
    truth,
    write_completions,
    write_items,
    write_problems,
)
from fixtures.data import read
from fixtures.forks import run_script
from judgebox.codec import Raised, open_cases, unpack
from mixmerge.artifacts.manifest import read_manifest
from mixmerge.core.errors import UserError
from mixmerge.core.io import read_json, read_jsonl, write_jsonl
from mixmerge.data.problems import human_eval_problems
from mixmerge.evaluate.groundtruth import read_ground_truth
from mixmerge.evaluate.scoring import programs_of, score
from mixmerge.evaluate.settings import CodeJudging, GroundTruthSettings, ScoreSettings
from mixmerge.evaluate.suite import Completion

CASES = yaml.safe_load(Path(__file__).with_name("unit_test_completions.yaml").read_text("utf-8"))

pytestmark = pytest.mark.slow


def test_the_same_bytes_each_time(tmp_path: Path) -> None:
    """Also of sets, and of numbers drawn: a program that draws the same ones passes."""
    drawn = "    return {str(n) for n in numbers}, 1j, [1.5], random.random()\n"
    own = problem(0, prompt="import random\ndef total_0(numbers):\n", canonical_solution=drawn)
    suite = write_problems(tmp_path / "suite", [own])
    made, again = (truth(suite, tmp_path / name) for name in "ab")
    assert read_manifest(again.directory) == read_manifest(made.directory)
    with open_cases(made.directory / "tests/00000.tests") as sets:
        base = sets["base"]
        first, second = (unpack(base.expected(number))[:3] for number in (0, 1))
        assert (first, second) == (({"1", "2"}, 1j, [1.5]), ({"3"}, 1j, [1.5]))
        assert base.times == [0.0, 0.0]
    other = f"import random\nrandom.random()\ndef total_0(numbers):\n{drawn}"
    programs = [("t/0", own["prompt"] + drawn), ("t/0", other)]
    assert [row.base for row in judged(programs, made)] == ["pass", "fail"]


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
    heads = [f"def find_zero(xs):\n    return {text}" for text in ("-2.00001", "1.99")]
    assert [row.base for row in judged([("t/0", text) for text in heads], made)] == ["pass", "fail"]


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"canonical_solution": "    return numbers.x\n"}, r"t/1: the canonical solution failed"),
        (
            {"canonical_solution": "    import time\n    return time.time_ns()\n"},
            r"t/1: the canonical solution does not pass its own base tests",
        ),
        ({"base_input": []}, r"problems.jsonl: problem 't/1': base_input is empty"),
    ],
)
def test_a_bad_problem_is_named(changed: dict[str, Any], message: str, tmp_path: Path) -> None:
    suite = write_problems(tmp_path / "suite", [problem(0), problem(1, **changed)])
    with pytest.raises(UserError, match=message):
        truth(suite, tmp_path / "truth")
    assert not (tmp_path / "truth").exists()


RIGHT = "def double(x):\n    if x is None:\n        raise ValueError(x)\n    return 2 * x\n"
HEAD = "import pytest\nfrom solution import double\n\ndef test_a():\n"
#: Name -> unit tests and why they are dropped (None: they judge).
PROGRAMS: dict[str, tuple[str, str | None]] = {
    "plain": (f"{HEAD}    assert double(1) == 2\n    assert double(2) == 4\n", None),
    "raises": (
        f"{HEAD}    with pytest.raises(ValueError):\n        double(None)\n"
        "    assert double(4) == 8\n",
        None,
    ),
    "wrong": (f"{HEAD}    assert double(1) == 3\n", "reference_fails"),
    "no question": (f"{HEAD}    assert double\n", "no_calls"),
}
JUDGING = CodeJudging(tests="pytest", plus=False)

#: Completion -> verdict on "plain".
COMPLETIONS = CASES["completions"]


def unit_tested(directory: Path, programs: dict[str, str]) -> Path:
    """A suite of problems with unit tests."""
    own = {"prompt": "Write double.", "entry_point": "double", "names": ["double"]}
    rows = [
        {"task_id": name, "canonical_solution": RIGHT, "test": text, **own}
        for name, text in programs.items()
    ]
    return write_problems(directory, rows)


def test_recorded_unit_tests_judge(tmp_path: Path) -> None:
    """Problems whose tests can't be recorded are dropped and counted, and have no score."""
    suite = unit_tested(tmp_path / "suite", {name: text for name, (text, _) in PROGRAMS.items()})
    settings = GroundTruthSettings(tests="pytest", plus=False, code=CODE).model_dump_json()
    arguments = ["--problems", suite / "problems.jsonl", "--settings", settings]
    for name in ("truth", "again"):
        done = run_script("ground_truth.py", *arguments, "--out", tmp_path / name)
        assert done.returncode == 0, done.stderr
        assert "2 of 4 problems are not judged" in done.stderr
    assert read_manifest(tmp_path / "truth") == read_manifest(tmp_path / "again")
    made = read_ground_truth(tmp_path / "truth", suite / "problems.jsonl", JUDGING)
    reasons = {name: reason for name, (_, reason) in PROGRAMS.items() if reason}
    rows = {row["id"]: row["reason"] for row in read_jsonl(made.directory / "dropped.jsonl")}
    assert rows == reasons and made.dropped == {*reasons}
    assert list(made.tasks) == ["plain", "raises"]
    counts = {"no_calls": 1, "reference_fails": 1}
    report = read_json(made.directory / "report.json")
    assert report == {"problems": 4, "judged": 2, "dropped": counts}
    facts = read_manifest(made.directory, "groundtruth")["facts"]
    assert (facts["n"], facts["dropped"]) == (2, counts)
    with open_cases(made.directory / made.tasks["raises"]["tests"]) as sets:
        calls = sets["base"]
        inputs = [unpack(calls.input(number)) for number in (0, 1)]
        assert inputs == [["double", [None], {}], ["double", [4], {}]]
        assert [unpack(calls.expected(number)) for number in (0, 1)] == [Raised(["ValueError"]), 8]

    completions = [Completion("plain", text, "stop", 1, 1) for text, _ in COMPLETIONS.values()]
    code = CODE.model_copy(update={"memory_bytes": 2 * 1024**3})
    verdicts = judged(programs_of(completions, made, code)["whole"], made, code)
    ends = {name: (row.base, row.plus) for name, row in zip(COMPLETIONS, verdicts, strict=True)}
    assert ends == {name: (verdict, None) for name, (_, verdict) in COMPLETIONS.items()}

    answers = dict.fromkeys(PROGRAMS, RIGHT) | {"raises": RIGHT.replace("Value", "Type")}
    given = write_completions(tmp_path / "completions", {"s": answers})
    own = ScoreSettings(code=CODE, suites={"s": JUDGING})
    score(given, {"s": suite}, {"s": made.directory}, None, tmp_path / "out", own)
    bases = {row["id"]: row["base"] for row in read_jsonl(tmp_path / "out/s.jsonl")}
    assert bases == {"plain": "pass", "raises": "fail"}
    assert read_json(tmp_path / "out/scores.json")["s"]["metrics"] == {"base": 0.5}


def test_a_suite_without_a_usable_problem_is_refused(tmp_path: Path) -> None:
    suite = unit_tested(tmp_path / "suite", {"wrong": PROGRAMS["wrong"][0]})
    with pytest.raises(UserError, match=r"1 of 1 problems are not judged: .*reference_fails"):
        truth(suite, tmp_path / "truth", tests="pytest", plus=False)
    assert not (tmp_path / "truth").exists()


def test_human_eval_problems_through_its_own_tests(tmp_path: Path) -> None:
    """The second's tests use a helper of its prompt; the last takes any zero of a polynomial."""
    wanted = ["HumanEval/0", "HumanEval/38", "HumanEval/32"]
    path, _ = human_eval_problems(None)
    rows = {row["task_id"]: row for row in read(path) if row["task_id"] in wanted}
    write_jsonl(tmp_path / "suite/problems.jsonl", [rows[task] for task in wanted])
    suite = write_items(tmp_path / "suite", {task: rows[task]["prompt"] for task in wanted})
    made = truth(suite, tmp_path / "truth", tests="check", plus=False)
    assert list(made.tasks) == wanted
    # A model that completes writes the body alone.
    bodies = [Completion(task, rows[task]["canonical_solution"], "stop", 1, 1) for task in wanted]
    programs = [*programs_of(bodies, made, CODE)["whole"]]
    programs += [(task, f"def {rows[task]['entry_point']}(*a):\n    pass\n") for task in wanted]
    assert [row.base for row in judged(programs, made)] == ["pass"] * 3 + ["fail"] * 3
