"""Problems out of held-out training rows: the join, the twins, the sample, the tests that judge."""

from typing import Any

import pytest

from fixtures.data import fetched, read, run_script
from mixmerge.artifacts.manifest import read_manifest
from mixmerge.core.errors import UserError
from mixmerge.core.io import read_json
from mixmerge.data.decontaminate import decontaminate
from mixmerge.data.heldout_rows import Unusable, hold_out_validation, read_tests
from mixmerge.data.prepare import prepare
from mixmerge.data.settings import Decontamination, PrepareSettings
from mixmerge.data.split import split
from mixmerge.data.suite_settings import SuiteSettings
from mixmerge.data.suites import code_suite

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


def prepared(root, rows, columns=COLUMNS, fraction=0.3):
    """A source and its task's split, through the stages."""
    source, stages = fetched(root, "kod", rows), root / "stages"
    settings = PrepareSettings.model_validate({"templates": TEMPLATES, "columns": {"kod": columns}})
    prepare("codegen", settings, {"kod": source}, stages / "tasks")
    off = Decontamination(enabled=False)
    decontaminate("codegen", off, stages / "tasks", {}, stages / "clean")
    split("codegen", fraction, stages / "clean", stages / "codegen", 3)
    return source, stages / "codegen"


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
    source, halves = prepared(tmp_path, rows, columns)
    out = tmp_path / "heldout/val"
    report = hold_out_validation("val", settings(columns), source, halves, out)
    problems = read(out / "problems.jsonl")
    validation = {one["id"]: one for one in read(halves / "validation.jsonl")}
    trained = read(halves / "train.jsonl")
    answers = {one["messages"][-1]["content"] for one in trained}
    assert problems
    for problem in problems:
        held = validation[problem["task_id"]]
        assert held["messages"][0]["content"] == problem["prompt"]
        assert held["messages"][-1]["content"] == problem["canonical_solution"].strip()
        assert problem["canonical_solution"].strip() not in answers
        assert problem["test"].startswith(f"from solution import {problem['entry_point']}\n")
    assert not {one["id"] for one in trained} & {problem["task_id"] for problem in problems}
    assert len({problem["test"] for problem in problems}) == len(problems)

    assert report["held_out"] == len(validation)
    assert report["problems"] == len(problems)
    reasons = report["left_out"]
    assert set(reasons) >= {"clock", "trained_twin"}
    assert len(validation) == len(problems) + sum(reasons.values())
    asked = [one["messages"][0]["content"] for one in validation.values()]
    clocks = [text for text in asked if text.startswith("Hurry")]
    assert reasons["clock"] == len(clocks)
    assert read_manifest(out, "heldout")["facts"]["left_out"] == reasons


def test_rows_that_do_not_belong_together_are_refused(tmp_path):
    rows = [row(number) for number in range(20)]
    source, halves = prepared(tmp_path, rows)
    other, _ = prepared(tmp_path / "other", rows[:5])
    out = tmp_path / "heldout/val"
    with pytest.raises(UserError, match="run the rules fetch and split again"):
        hold_out_validation("val", settings(), other, halves, out)
    slip = settings(fields=FIELDS | {"tests": "test_cod"})
    with pytest.raises(
        UserError, match=r"\(suites\.val\.fields\.tests\); did you mean 'test_code'"
    ):
        hold_out_validation("val", slip, source, halves, out)
    given = settings().model_dump(mode="json")
    message = run_script("heldout", "--source", source, "--out", out, settings=given)
    assert "needs --source and --split" in message
    assert not out.exists()


def test_problems_whose_prompt_hides_a_tested_name_are_left_out(tmp_path):
    rows = [row(n, question=f"Add {n}." if n % 2 else f"Let f{n} add {n}.") for n in range(40)]
    source, halves = prepared(tmp_path, rows, fraction=0.4)
    held, out = tmp_path / "heldout/val", tmp_path / "suites/val"
    hold_out_validation("val", settings(), source, halves, held)
    count = code_suite("val", settings(), held, out)
    facts = read_manifest(out, "suite")["facts"]
    assert 0 < facts["items"] == count < 16 == count + facts["unnamed"]
    assert all("Let f" in item["messages"][0]["content"] for item in read(out / "items.jsonl"))
    assert code_suite("val", settings(prompt="{problem}\nCall {entry_point}."), held, out) == 16
    assert read_manifest(out, "suite")["facts"]["unnamed"] == 0
    source, halves = prepared(tmp_path / "x", [row(n, question=f"Add {n}.") for n in range(9)])
    hold_out_validation("val", settings(), source, halves, held)
    with pytest.raises(UserError, match=r"let it say so with \{entry_point\}"):
        code_suite("val", settings(prompt="Do something: {problem:strip}"), held, out)


def test_the_kodcode_sample(tmp_path, real_data):
    """Through the scripts, as the rules call them."""
    columns = COLUMNS | {"id_column": "question_id"}
    rows = read(real_data / "kodcode/kodcode_sample.jsonl.gz")
    source, halves = prepared(tmp_path, rows, columns, 0.45)
    held, out = tmp_path / "heldout/val", tmp_path / "suites/val"
    given = settings(columns, sample=5).model_dump(mode="json")
    arguments = ("--source", source, "--split", halves, "--out", held)
    assert run_script("heldout", *arguments, settings=given) == ""
    report = read_json(held / "report.json")
    assert report["held_out"] == 104
    # Nearly every problem of the sample comes twice, in two wordings.
    assert report["left_out"]["trained_twin"] > 20
    asked = [problem["task_id"].split("/")[-1] for problem in read(held / "problems.jsonl")]
    trained = {row["id"].split("/")[-1] for row in read(halves / "train.jsonl")}
    assert asked
    for name in asked:
        twin = name[:-1] + ("C" if name.endswith("I") else "I")
        assert not {name, twin} & trained
    arguments = ("--heldout", held, "--seed", 5, "--out", out)
    assert run_script("suite", *arguments, settings=given) == ""
    assert read_manifest(out, "suite")["facts"]["items"] == 5


SOLUTION = """
import math

LIMIT = 3

class Node:
    pass

def area(r):
    return math.pi * r

def helper():
    return Node()
"""


@pytest.mark.parametrize(
    ("tests", "names"),
    [
        ("from solution import area\ndef test_a():\n    assert area(0) == 0", ("area",)),
        ("import solution\ndef test_a():\n    assert solution.area(0) == 0", ("area",)),
        ("import solution as s\ndef test_a():\n    assert s.helper()", ("helper",)),
        ("def test_a():\n    from solution import area, Node\n    area(1)", ("area", "Node")),
        ("from solution import *\ndef test_a():\n    assert area(LIMIT)", ("area", "LIMIT")),
        # One name is imported, another one redefined by the tests themselves.
        ("from solution import area, Node\nclass Node: ...\ndef test_a(): area(1)", ("area",)),
    ],
)
def test_programs_that_import_the_solution_stay_as_they_are(tests, names):
    program = read_tests(tests, SOLUTION)
    assert program.names == names
    assert program.text == tests


def test_a_program_without_the_import_gets_it_for_what_it_does_not_define_itself():
    tests = "def helper(): pass\ndef test_a():\n    assert area(len([])) == LIMIT\n    helper()"
    program = read_tests(tests, SOLUTION)
    assert program.names == ("area", "LIMIT")
    assert program.text == "from solution import area, LIMIT\n" + tests


@pytest.mark.parametrize(
    ("tests", "solution", "reason"),
    [
        (" ", SOLUTION, "no_tests"),
        (None, SOLUTION, "no_tests"),
        ("def test_a(): area(1)", "", "no_solution"),
        ("def test_a(: area(1)", SOLUTION, "not_python"),
        ("def test_a(): area(1)", "print 'two'", "not_python"),
        ("def test_a(): '\0'", SOLUTION, "not_python"),
        ("from solution import area\nfrom timeit import timeit", SOLUTION, "clock"),
        ("from solution import area\ndef test_a():\n    import time", SOLUTION, "clock"),
        ("def area(r): return 1\ndef test_a(): assert area(1)", SOLUTION, "tests_itself"),
        ("from solution import area\ndef area(r): return 1", SOLUTION, "tests_itself"),
        ("def test_a(): assert other(1)", SOLUTION, "tests_itself"),
    ],
)
def test_programs_that_cannot_judge(tests, solution, reason):
    with pytest.raises(Unusable) as caught:
        read_tests(tests, solution)
    assert str(caught.value) == reason
