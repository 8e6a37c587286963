"""Problems out of held-out training rows: the join, the twins, the sample; real scripts."""

import gzip
import json
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

from mixmerge.artifacts.manifest import read_manifest
from mixmerge.data.decontaminate import decontaminate
from mixmerge.data.prepare import prepare
from mixmerge.data.settings import Decontamination, LocalSource, PrepareSettings
from mixmerge.data.sources import fetch
from mixmerge.data.split import split

SCRIPTS = Path(__file__).parents[2] / "workflow/scripts"
TEMPLATES = {"prompt": "{problem}", "answer": "{solution}"}
FIELDS = {"problem": "question", "tests": "test_code", "solution": "solution"}


def row(number, **changes):
    return {
        "name": f"r{number}",
        "question": f"Write f{number}(x) that adds {number}.",
        "solution": f"def f{number}(x):\n    return x + {number}\n",
        "test_code": f"def test_f():\n    assert f{number}(1) == {number + 1}\n",
    } | changes


def read(path):
    return [json.loads(line) for line in path.read_text().splitlines()]


def prepared(root, rows, columns, fraction=0.3, name="kod", seed=3):
    """A source and its task, through the stages up to the split."""
    root.mkdir(exist_ok=True)
    file = root / f"{name}.jsonl"
    file.write_text("".join(json.dumps(one) + "\n" for one in rows))
    source, stages = root / "sources" / name, root / "stages"
    fetch(name, LocalSource(kind="local", path=file), source)
    settings = PrepareSettings.model_validate({"templates": TEMPLATES, "columns": {name: columns}})
    prepare("codegen", settings, {name: source}, stages / "tasks/codegen")
    off = Decontamination(enabled=False)
    clean = stages / "clean/codegen"
    decontaminate("codegen", off, stages / "tasks/codegen", {}, clean)
    split("codegen", fraction, clean, stages / "split/codegen", seed)
    return source, stages / "split/codegen"


def suite_settings(columns, **suite):
    entry = {"kind": "code", "problems": "held-out", "source": "kod", "fields": FIELDS, **suite}
    return {"suite": entry, "templates": TEMPLATES, "columns": columns}


def script(name, settings, out, *arguments):
    return subprocess.run(
        [
            *(sys.executable, "-P", SCRIPTS / f"{name}.py", "--settings", json.dumps(settings)),
            *(*arguments, "--out", out),
        ],
        capture_output=True,
        text=True,
        check=False,
    )


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
    settings = suite_settings(columns)
    done = script("heldout", settings, out, "--source", source, "--split", halves)
    assert done.returncode == 0, done.stderr

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

    report = json.loads((out / "report.json").read_text())
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
    columns = {"columns": {"problem": "question"}, "id_column": "name"}
    rows = [row(number) for number in range(20)]
    source, halves = prepared(tmp_path, rows, columns)
    other, _ = prepared(tmp_path / "other", rows[:5], columns)
    out = tmp_path / "heldout/val"
    settings = suite_settings(columns)
    done = script("heldout", settings, out, "--source", other, "--split", halves)
    assert done.returncode == 1
    assert "run the rules fetch and split again" in done.stderr
    settings["suite"]["fields"] = FIELDS | {"tests": "test_cod"}
    done = script("heldout", settings, out, "--source", source, "--split", halves)
    assert "(suites.val.fields.tests); did you mean 'test_code'?" in done.stderr
    assert "Traceback" not in done.stderr
    done = script("heldout", settings, out, "--source", source)
    assert "needs --source and --split" in done.stderr
    assert not out.exists()


def test_problems_whose_prompt_hides_a_tested_name_are_left_out(tmp_path):
    columns = {"columns": {"problem": "question"}, "id_column": "name"}
    rows = [row(n, question=f"Add {n}." if n % 2 else f"Let f{n} add {n}.") for n in range(40)]
    source, halves = prepared(tmp_path, rows, columns, 0.4)
    held, out = tmp_path / "heldout/val", tmp_path / "suites/val"
    settings = suite_settings(columns)
    script("heldout", settings, held, "--source", source, "--split", halves)
    done = script("suite", settings, out, "--heldout", held)
    assert done.returncode == 0, done.stderr
    facts = read_manifest(out, "suite")["facts"]
    assert 0 < facts["items"] < 16
    assert facts["items"] + facts["unnamed"] == 16
    for item in read(out / "items.jsonl"):
        assert "Let f" in item["messages"][0]["content"]
    settings["suite"]["prompt"] = "{problem}\nCall it {entry_point}."
    script("suite", settings, out, "--heldout", held)
    facts = read_manifest(out, "suite")["facts"]
    assert (facts["items"], facts["unnamed"]) == (16, 0)
    settings["suite"]["prompt"] = "Do something: {problem:strip}"
    rows = [row(n, question=f"Add {n}.") for n in range(9)]
    source, halves = prepared(tmp_path / "unnamed", rows, columns)
    script("heldout", settings, held, "--source", source, "--split", halves)
    done = script("suite", settings, out, "--heldout", held)
    assert "let it say so with {entry_point}" in done.stderr


def test_the_kodcode_sample(tmp_path, real_data):
    path = real_data / "kodcode/kodcode_sample.jsonl.gz"
    with gzip.open(path, "rt", encoding="utf-8") as file:
        rows = [json.loads(line) for line in file]
    columns = {"columns": {"problem": "question"}, "id_column": "question_id"}
    source, halves = prepared(tmp_path, rows, columns, 0.45)
    held, out = tmp_path / "heldout/val", tmp_path / "suites/val"
    settings = suite_settings(columns, sample=5)
    done = script("heldout", settings, held, "--source", source, "--split", halves)
    assert done.returncode == 0, done.stderr
    report = json.loads((held / "report.json").read_text())
    assert report["held_out"] == 104
    # Nearly every problem of the sample comes twice, in two wordings.
    assert report["left_out"]["trained_twin"] > 20
    asked = [one["task_id"].split("/")[-1] for one in read(held / "problems.jsonl")]
    trained = {one["id"].split("/")[-1] for one in read(halves / "train.jsonl")}
    assert asked
    for name in asked:
        twin = name[:-1] + ("C" if name.endswith("I") else "I")
        assert not {name, twin} & trained
    script("suite", settings, out, "--heldout", held, "--seed", "5")
    assert read_manifest(out, "suite")["facts"]["items"] == 5
    assert Counter(Path(file).suffix for file in out.iterdir()) == {".jsonl": 2, ".json": 2}
