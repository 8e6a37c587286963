"""Problems out of held-out training rows: the join, the twins, the sample, the tests that judge."""

from pathlib import Path
from typing import Any

import pytest
import yaml

from fixtures.data import prepared, read
from mixmerge.artifacts.manifest import read_manifest
from mixmerge.core.errors import UserError
from mixmerge.core.io import read_json
from mixmerge.data.decontaminate import decontaminate
from mixmerge.data.problems import Unusable, read_tests
from mixmerge.data.settings import Decontamination, SuiteSettings
from mixmerge.data.split import split
from mixmerge.data.suites import hold_out_validation, make_suite

CASES = yaml.safe_load(Path(__file__).with_name("unit_test_programs.yaml").read_text("utf-8"))

TEMPLATES = {"prompt": "{problem}", "answer": "{solution}"}
FIELDS = {"problem": "question", "tests": "test_code", "solution": "solution"}
COLUMNS = {"columns": {"problem": "question"}, "id_column": "name"}


def row(number, **changes):
    return {
        "name": f"r{number}",
        "question": f"Write f{number}(x) that adds {number}.",
        "solution": f"def f{number}(x):\n    return x + {number}\n",
        "test_code": f"def test_f():\n    assert f{number}(1) == {number + 1}\n",
    } | changes


def halved(root, rows, columns=COLUMNS, fraction=0.3):
    """A source and its task's split, through the stages."""
    task = prepared(root, "codegen", {"kod": rows}, TEMPLATES, columns)
    decontaminate("codegen", Decontamination(enabled=False), task, {}, root / "clean")
    split("codegen", fraction, root / "clean", root / "split/codegen", 3)
    return root / "sources/kod", root / "split/codegen"


def settings(columns=COLUMNS, **suite: Any) -> SuiteSettings:
    entry = {"kind": "code", "problems": "held-out", "source": "kod", "fields": FIELDS, **suite}
    value = {"suite": entry, "templates": TEMPLATES, "columns": columns}
    return SuiteSettings.model_validate(value)


@pytest.mark.parametrize("id_column", ["name", None])
def test_problems_are_held_out_rows_and_nothing_that_was_trained_on(tmp_path, id_column):
    rows = [row(number) for number in range(40)]
    # The same problem in other words, with the same tests, as KodCode has it; a copy of a row,
    # which `prepare` drops; and rows whose tests cannot judge.
    rows += [row(n, name=f"twin{n}", question=f"In other words: f{n}.") for n in range(20)]
    rows += [row(n, name=f"copy{n}") for n in range(5)]
    hurried = "from solution import f\nimport time\n"
    rows += [row(n, question=f"Hurry, {n}.", test_code=hurried) for n in range(60, 80)]
    columns = {"columns": {"problem": "question"}, "id_column": id_column}
    source, halves = halved(tmp_path, rows, columns)
    out = tmp_path / "heldout/val"
    report = hold_out_validation("val", settings(columns), source, halves, out)
    problems = read(out / "problems.jsonl")
    validation = {row["id"]: row for row in read(halves / "validation.jsonl")}
    trained = {row["messages"][-1]["content"] for row in read(halves / "train.jsonl")}
    assert problems
    for problem in problems:
        asked, answer = (turn["content"] for turn in validation[problem["task_id"]]["messages"])
        assert (asked, answer) == (problem["prompt"], problem["canonical_solution"].strip())
        assert answer not in trained
        assert problem["test"].startswith(f"from solution import {problem['entry_point']}\n")
    assert len({problem["test"] for problem in problems}) == len(problems)
    texts = {"problem": problems[0]["prompt"], "solution": problems[0]["canonical_solution"]}
    assert read(out / "texts.jsonl")[0] == {"id": problems[0]["task_id"], "texts": texts}
    reasons = report["left_out"]
    assert set(reasons) >= {"clock", "trained_twin"}
    assert report["held_out"] == len(validation) == report["problems"] + sum(reasons.values())
    asked = [row["messages"][0]["content"] for row in validation.values()]
    assert reasons["clock"] == sum(text.startswith("Hurry") for text in asked)
    assert read_json(out / "report.json") == report
    facts = {"items": len(problems), "origin": "held-out", "left_out": reasons}
    assert read_manifest(out, "heldout")["facts"] == facts


def test_rows_that_do_not_fit_together_are_refused(tmp_path):
    source, halves = halved(tmp_path, [row(number) for number in range(20)])
    other, _ = halved(tmp_path / "other", [row(number) for number in range(5)])
    out = tmp_path / "heldout/val"
    with pytest.raises(UserError, match="run the rules fetch and split again"):
        hold_out_validation("val", settings(), other, halves, out)
    slip = settings(fields=FIELDS | {"tests": "test_cod"})
    with pytest.raises(UserError, match=r"suites\.val\.fields\.tests: .*; did you mean 'test_code"):
        hold_out_validation("val", slip, source, halves, out)
    blank = [row(number, test_code="") for number in range(9)]
    with pytest.raises(UserError, match=r"3 of 3 held-out rows .*'no_tests': 3.* larger"):
        hold_out_validation("val", settings(), *halved(tmp_path / "blank", blank), out)
    assert not out.exists()


def test_problems_whose_prompt_hides_a_tested_name_are_left_out(tmp_path):
    rows = [row(n, question=f"Add {n}." if n % 2 else f"Let f{n} add {n}.") for n in range(40)]
    source, halves = halved(tmp_path, rows, fraction=0.4)
    held, out = tmp_path / "heldout/val", tmp_path / "suites/val"
    hold_out_validation("val", settings(), source, halves, held)
    count = make_suite("val", settings(), held, out)
    facts = read_manifest(out, "suite")["facts"]
    assert 0 < facts["items"] == count < 16 == count + facts["unnamed"]
    assert all("Let f" in item["messages"][0]["content"] for item in read(out / "items.jsonl"))
    assert make_suite("val", settings(prompt="{problem}\nCall {entry_point}."), held, out) == 16
    assert read_manifest(out, "suite")["facts"]["unnamed"] == 0
    hidden = [row(n, question=f"Add {n}.") for n in range(9)]
    hold_out_validation("val", settings(), *halved(tmp_path / "x", hidden), held)
    with pytest.raises(UserError, match=r"let it say so with \{entry_point\}"):
        make_suite("val", settings(), held, out)


SOLUTION = """
LIMIT = 3
class Node: ...
def area(r):
    return LIMIT * r
def helper():
    return Node()
"""


@pytest.mark.parametrize(
    ("tests", "names", "added"),
    CASES["judge"],
)
def test_programs_get_the_import_that_they_lack_and_stay_as_they_are(tests, names, added):
    assert read_tests(tests, SOLUTION) == (added + tests, names)


@pytest.mark.parametrize(
    ("tests", "solution", "reason"),
    CASES["cannot"],
)
def test_programs_that_cannot_judge(tests, solution, reason):
    with pytest.raises(Unusable, match=f"^{reason}$"):
        read_tests(tests, solution)
