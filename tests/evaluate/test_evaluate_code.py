"""Code suites judged: what becomes of completions."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from fixtures.code_suites import CODE, problem, truth, write_completions, write_problems
from fixtures.code_worlds import (
    CASES,
    RIGHT,
    code_judging,
    noted_requests,
    settings,
    texts,
    write_suite,
)
from fixtures.verdicts import verdicts_of
from mixmerge.artifacts.manifest import read_manifest, write_manifest
from mixmerge.core.io import read_json, read_jsonl
from mixmerge.evaluate.scoring import score
from mixmerge.evaluate.verdicts import Programs, judge


@pytest.fixture(scope="module")
def suite(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_suite(tmp_path_factory.mktemp("code") / "suite")


@pytest.fixture(scope="module")
def ground_truth(suite: Path) -> Path:
    return truth(suite, suite.parent / "truth")


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    return noted_requests(monkeypatch)


def test_each_kind_of_completion_gets_its_verdict(
    suite: Path, ground_truth: Path, tmp_path: Path
) -> None:
    answers = texts()
    surrogate = [id_ for id_, text in answers.items() if "\ud800" in text]
    encoded = {id_: text for id_, text in answers.items() if id_ not in surrogate}
    completions = write_completions(tmp_path / "completions", {"s": encoded})
    with (completions / "s.jsonl").open("a", encoding="ascii") as file:
        for id_ in surrogate:
            row = {"id": id_, "completion": answers[id_], "stop_reason": "stop"}
            file.write(json.dumps(row | {"prompt_tokens": 9, "completion_tokens": 9}) + "\n")
    write_manifest(completions, "completions")
    judging = {"kind": "code", "plus": True, "dataset": "other"}
    score(
        completions, {"s": suite}, {"s": ground_truth}, None, tmp_path / "out",
        settings(s=judging),
    )  # fmt: skip

    rows = list(read_jsonl(tmp_path / "out/s.jsonl"))
    assert [row["id"] for row in rows] == list(answers)
    found = {name: (row["base"], row["plus"]) for name, row in zip(CASES, rows, strict=True)}
    assert found == {name: verdicts for name, (_, verdicts) in CASES.items()}
    assert "positive" in rows[1]["solution"] and "Sure" not in rows[1]["solution"]
    assert "__main__" not in rows[1]["solution"]

    scores = read_json(tmp_path / "out/scores.json")["s"]
    n = len(CASES)
    assert scores["n"] == n
    assert scores["metrics"] == {"base": pytest.approx(3 / n), "plus": pytest.approx(2 / n)}
    assert scores["stopped"] == pytest.approx((n - 1) / n)
    assert scores["not_extracted"] == []
    assert scores["timeouts"] == 2
    timed_out = [name for name, row in zip(CASES, rows, strict=True) if row["timed_out"]]
    assert timed_out == ["loops", "catches every time-out"]
    facts = {"suites": {"s": n}, "releases": {"s": None}}
    assert read_manifest(tmp_path / "out", "scores")["facts"] == facts


def test_without_plus_tests(tmp_path: Path) -> None:
    bare = problem(0)
    del bare["plus_input"]
    suite = write_problems(tmp_path / "suite", [bare])
    made = truth(suite, tmp_path / "truth", plus=False)
    completions = write_completions(tmp_path / "completions", {"s": {"t/0": RIGHT.format(0)}})
    judging = {"kind": "code", "plus": False, "dataset": "other"}
    score(completions, {"s": suite}, {"s": made}, None, tmp_path / "out", settings(s=judging))
    (row,) = read_jsonl(tmp_path / "out/s.jsonl")
    assert (row["base"], row["plus"]) == ("pass", None)
    assert read_json(tmp_path / "out/scores.json")["s"]["metrics"] == {"base": 1.0}


def test_equal_solutions_are_judged_once(
    suite: Path, ground_truth: Path, asked: list[dict[str, Any]]
) -> None:
    tasks = {row["id"]: row for row in read_jsonl(ground_truth / "tasks.jsonl")}
    text = RIGHT.format(0)
    verdicts = verdicts_of([("t/0", text)] * 3, tasks, ground_truth, code_judging(), CODE)
    assert verdicts == {("t/0", text): ("pass", "pass")}
    assert len(asked) == 1


def test_suites_are_judged_together(
    suite: Path, ground_truth: Path, asked: list[dict[str, Any]]
) -> None:
    rows = {row["id"]: row for row in read_jsonl(ground_truth / "tasks.jsonl")}
    slow = {id_: row | {"seconds": 100.0 * (id_ == "t/1")} for id_, row in rows.items()}
    wrong = "def total_{}(numbers): return None"
    given = {
        "a": Programs([("t/0", RIGHT.format(0))], rows, ground_truth, code_judging()),
        "b": Programs([("t/0", wrong.format(0)), ("t/1", RIGHT.format(1)), ("t/2", " ")],
                      slow, ground_truth, code_judging()),
    }  # fmt: skip
    found = judge(given, CODE)
    assert found["a"].verdicts == {("t/0", RIGHT.format(0)): ("pass", "pass")}
    assert found["b"].verdicts == {
        ("t/0", wrong.format(0)): ("fail", "fail"),
        ("t/1", RIGHT.format(1)): ("pass", "pass"),
        ("t/2", " "): ("fail", "fail"),
    }
    assert asked[0]["program"]["code"] == RIGHT.format(1)  # the slowest of all
    assert len(asked) == 3


SCORE = Path(__file__).parents[2] / "workflow/scripts/score.py"


def by_script(
    suite: Path, ground_truth: Path, completions: Path, out: Path
) -> "subprocess.CompletedProcess[str]":
    """`score.py` as the rule calls it."""
    judging = {"kind": "code", "dataset": "other"}
    return subprocess.run(
        [
            *(sys.executable, str(SCORE), "--completions", str(completions)),
            *("--suites", f"s={suite}", "--groundtruth", f"s={ground_truth}", "--out", str(out)),
            *("--settings", settings(s=judging).model_dump_json(), "--processes", "2"),
        ],
        capture_output=True,
        text=True,
        check=False,
    )


def test_bad_completions_through_the_script(
    suite: Path, ground_truth: Path, tmp_path: Path
) -> None:
    answers = dict.fromkeys(texts(), "x")
    row = {"completion": "", "stop_reason": "stop", "prompt_tokens": 1, "completion_tokens": 1}
    cases = {
        "not have: q/1": (answers, "q/1"),
        "that come twice: t/0": (answers, "t/0"),
        "missing: t/2": ({id_: text for id_, text in answers.items() if id_ != "t/2"}, None),
    }
    for number, (message, (given, extra)) in enumerate(cases.items()):
        completions = write_completions(tmp_path / str(number), {"s": given})
        if extra:
            with (completions / "s.jsonl").open("a", encoding="utf-8") as file:
                file.write(json.dumps(row | {"id": extra}) + "\n")
            write_manifest(completions, "completions")
        done = by_script(suite, ground_truth, completions, tmp_path / "out")
        assert done.returncode == 1
        assert f"{completions / 's.jsonl'}: 1 completions " in done.stderr
        assert message in done.stderr
        assert "Traceback" not in done.stderr
        assert not (tmp_path / "out").exists()


def test_empty_and_endless_completions_count_as_failed(tmp_path: Path) -> None:
    """None is dropped; the one in which no program is found in time is named."""
    problems = [problem(number) for number in range(4)]
    suite = write_problems(tmp_path / "suite", problems)
    made = truth(suite, tmp_path / "truth")
    body = "    return sum(n for n in numbers if n > 0) + 3\n"
    given = {"t/0": "", "t/1": " \n\t\n", "t/2": "(\n" * 3000, "t/3": body}
    completions = write_completions(tmp_path / "completions", {"s": given})
    done = by_script(suite, made, completions, tmp_path / "out")
    assert done.returncode == 0, done.stderr
    rows = list(read_jsonl(tmp_path / "out/s.jsonl"))
    assert [row["id"] for row in rows] == list(given)
    assert [(row["base"], row["plus"]) for row in rows[:3]] == [("fail", "fail")] * 3
    assert (rows[3]["base"], rows[3]["plus"]) == ("pass", "pass")  # a body below its prompt
    assert rows[2]["solution"] == ""
    scores = read_json(tmp_path / "out/scores.json")["s"]
    assert scores["n"] == 4
    assert scores["metrics"] == {"base": 0.25, "plus": 0.25}
    assert scores["not_extracted"] == ["t/2"]
    assert "in the completions of t/2; they count as failed" in done.stderr
