"""Preflight on a configuration: all that is wrong with it at once, and nothing that is not."""

import os
import shutil
from pathlib import Path
from typing import Any

import pytest

import preflight_material as material

Config = dict[str, Any]


@pytest.fixture
def config(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Config:
    monkeypatch.chdir(tmp_path)
    return material.sound(tmp_path)


def test_everything_wrong_with_a_config_is_told_at_once(config: Config) -> None:
    """Slips of fields, and what spans sections, which is usually looked at only afterwards."""
    config["sft"]["learning_rat"] = 1
    config["models"]["tied"]["pathh"] = "x"
    config["strategies"]["linear"]["ratios"] = [1.5]
    config["suites"]["summaries"]["source"] = "tset"
    config["tables"]["ablation"] = ["untide"]
    found = material.errors(material.looked(config))
    for text in (
        "study.yaml: sft: unknown key 'learning_rat'; did you mean 'learning_rate'?",
        "models.tied: unknown key 'pathh'; did you mean 'path'?",
        "strategies.linear.ratios: 1.5 is outside",
        "suites.summaries.source: unknown source 'tset'",
        "tables.ablation: unknown model 'untide'; did you mean 'untied'?",
    ):
        assert sum(text in line for line in found) == 1, (text, found)
    assert len(found) == 5


def test_what_is_left_out_as_wrong_causes_no_findings_of_its_own(config: Config) -> None:
    """A model that is wrong is left out of the further checks; tables that name it are right."""
    config["models"]["tied"]["kind"] = "locla"
    config["tables"]["ablation"] = ["tied"]
    config["sources"]["test"]["path"] = "gone.jsonl"
    found = material.errors(material.looked(config))
    assert len(found) == 2, found
    assert "models.tied" in found[0] and "locla" in found[0]
    assert "sources.test.path: gone.jsonl does not exist" in found[1]


def test_a_suite_that_the_tables_need_hides_nothing(config: Config) -> None:
    """Without the wrong suite none is left to choose by; the rest is looked at all the same."""
    config["tables"]["select"] = "validation"
    fields = {"problem": "problem", "tests": "tests", "solution": "solution"}
    held = {"kind": "code", "task": "codegen", "title": "Held", "problems": "held-out"}
    config["suites"]["choice"] = {**held, "role": "validation", "source": "tran", "fields": fields}
    config["suites"]["chosen"] = {**config["suites"]["summaries"], "role": "validation"}
    config["sft"]["precison"] = "bf16"
    config["models"]["untied"]["chat_template"] = "gone.jinja"
    areas = material.looked(config)
    found = material.errors(areas)
    for text in (
        "sft: unknown key 'precison'",
        "unknown source 'tran'",
        "gone.jinja does not exist",
    ):
        assert sum(text in line for line in found) == 1, (text, found)
    assert len(found) == 3
    assert areas["models"].result == "ok" and "works here" in "".join(areas["sandbox"].checked)


def test_slips_in_names_hide_nothing(config: Config) -> None:
    """Each is told, taken as it was meant, and all that hangs on it is looked at."""
    config["tabels"] = config.pop("tables")
    config["tabels"]["ablaton"] = ["untied"]
    config["tasks"]["codesum"]["promt"] = config["tasks"]["codesum"].pop("prompt")
    config["tasks"]["codegen"]["sources"] = ["trian"]
    config["models"]["tied"]["path"] = "gone"
    areas = material.looked(config)
    found = material.errors(areas)
    for text in (
        "unknown key 'tabels'; did you mean 'tables'?",
        "unknown key 'ablaton'",
        "tasks.codesum: unknown key 'promt'; did you mean 'prompt'?",
        "tasks.codegen.sources: unknown source 'trian'; did you mean 'train'?",
        "models.tied.path: gone does not exist",
    ):
        assert sum(text in line for line in found) == 1, (text, found)
    assert len(found) == 5, found
    assert areas["data"].checked == ["train: all 30 rows", "test: all 5 rows"]


def test_a_config_that_is_past_reading_says_nothing_of_its_suites(config: Config) -> None:
    del config["suites"]
    areas = material.looked(config)
    assert len(material.errors(areas)) == 1
    assert "works here" in "".join(areas["sandbox"].checked)


def test_missing_files_are_all_named(config: Config) -> None:
    shutil.rmtree("given/tied")
    Path("own.jsonl").unlink()
    config["models"]["untied"]["chat_template"] = "gone.jinja"
    found = material.errors(material.looked(config))
    assert sorted(line.split(": ")[1] for line in found) == [
        "models.tied.path",
        "models.untied.chat_template",
        "suites.own.problems",
    ]
    assert all("does not exist" in line and "mend the path" in line for line in found)


def test_what_is_no_file_or_no_folder_is_named(config: Config) -> None:
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
    found = material.errors(material.looked(config))
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
