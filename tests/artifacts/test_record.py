"""A result that stands is not made again; anything that is not certain is."""

import json
import os
import sys
import time
from collections.abc import Callable
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import pytest

from mixmerge.artifacts import record
from mixmerge.artifacts.manifest import MANIFEST, PROVENANCE, publish, write_manifest
from mixmerge.core.io import read_json, sha256

SETTINGS = {"rate": 0.5, "order": {"b": 1, "a": 2}}


class Stage:
    """A small stage: copies its input's text, many times, into a directory with a manifest."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.out = folder / "results" / "out"
        self.made = 0
        source = folder / "input"
        source.mkdir(parents=True)
        (source / "rows.txt").write_text("rows\n")
        write_manifest(source, "rows")
        self.decided_by: dict[str, Any] = {
            "rows": source,
            "suites": [("one", source)],
            "settings": SETTINGS,
            "seed": 7,
            "out": self.out,
            "scratch": folder / "nowhere",
            "threads": 1,
        }

    def make(self) -> None:
        self.made += 1
        with publish(self.out, "rows", inputs=[], settings=SETTINGS) as artifact:
            text = (self.folder / "input/rows.txt").read_text()
            (artifact.path / "big.txt").write_text(text * 1000)
            (artifact.path / "small.txt").write_text(text)

    def run(self) -> bool:
        """Run the stage as Snakemake does, which deletes the declared file; whether it was made."""
        before = self.made
        (self.out / MANIFEST).unlink(missing_ok=True)
        record.skip_if_unchanged(self.out, self.decided_by, self.make)
        assert (self.out / MANIFEST).exists()
        return self.made > before


def contents(directory: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in directory.iterdir()}


@pytest.fixture(autouse=True)
def script(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The script that runs, as far as its code counts."""
    (tmp_path / "script.py").write_text("from mixmerge.core.io import sha256\n")
    monkeypatch.setattr(sys, "argv", [str(tmp_path / "script.py")])
    monkeypatch.delenv(record.FORCE, raising=False)


@pytest.fixture
def stage(tmp_path: Path) -> Stage:
    stage = Stage(tmp_path / "here")
    assert stage.run()
    return stage


def test_the_same_again_restores_the_very_manifest_and_keeps_the_time_of_the_work(
    stage: Stage,
) -> None:
    before, made = contents(stage.out), record.recorded(stage.out)
    assert made and 0 < made["seconds"] < 60
    assert not stage.run()
    assert (contents(stage.out), record.recorded(stage.out)) == (before, made)
    assert record.recorded(stage.folder / "nothing") is None


def test_the_same_content_and_how_a_job_works_do_not_count(stage: Stage) -> None:
    source = stage.folder / "input"
    (source / MANIFEST).unlink()
    (source / "rows.txt").write_text("rows\n")
    write_manifest(source, "rows")
    stage.decided_by |= {"threads": 8, "scratch": stage.folder / "elsewhere"}
    assert not stage.run()


CHANGES: dict[str, dict[str, Any]] = {
    "seed": {"seed": 8},
    "settings": {"settings": SETTINGS | {"rate": 0.6}},
    "the order of settings": {"settings": SETTINGS | {"order": {"a": 2, "b": 1}}},
    "new": {"new": 1},
    "rows, suites": {},
    "code": {},
}


@pytest.mark.parametrize("name", CHANGES)
def test_whatever_decides_the_result_makes_it_anew(
    stage: Stage, name: str, capsys: pytest.CaptureFixture[str], forget: Callable[[], None]
) -> None:
    stage.decided_by |= CHANGES[name]
    if name == "code":
        Path(sys.argv[0]).write_text("import mixmerge.core.errors\n")
    elif name == "rows, suites":
        (stage.folder / "input/rows.txt").write_text("other\n")
        write_manifest(stage.folder / "input", "rows")
    forget()
    assert stage.run()
    assert f"made anew, because {name} changed" in capsys.readouterr().err
    assert not stage.run()


def test_a_librarys_version_makes_it_anew(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(record, "software", lambda script: {"numpy": "99"})
    assert stage.run()


DAMAGES: dict[str, Callable[[Path], object]] = {
    "cut off": lambda out: os.truncate(out / "big.txt", 100),
    "one byte of the large file": lambda out: (out / "big.txt").open("r+").write("R"),
    "a file is gone": lambda out: (out / "small.txt").unlink(),
    "provenance": lambda out: (out / PROVENANCE).write_text("{}\n"),
    "all gone": lambda out: [file.unlink() for file in out.iterdir()],
    "record cut off": lambda out: os.truncate(out.with_name(".out.made"), 50),
    "record of another form": lambda out: out.with_name(".out.made").write_text("[]"),
    "record gone": lambda out: out.with_name(".out.made").unlink(),
}


@pytest.mark.parametrize("name", DAMAGES)
def test_damaged_results_are_made_anew(stage: Stage, name: str) -> None:
    whole = contents(stage.out)
    DAMAGES[name](stage.out)
    assert stage.run()
    assert contents(stage.out) == whole


def test_a_moved_study_stands(stage: Stage, tmp_path: Path) -> None:
    moved = tmp_path / "moved"
    stage.folder.rename(moved)
    stage.folder, stage.out = moved, moved / "results" / "out"
    stage.decided_by |= {"rows": moved / "input", "suites": [("one", moved / "input")]}
    assert not stage.run()


@pytest.mark.parametrize(("value", "made"), [("1", True), ("yes", True), ("0", False), ("", False)])
def test_one_can_insist(
    stage: Stage, monkeypatch: pytest.MonkeyPatch, value: str, made: bool
) -> None:
    monkeypatch.setenv(record.FORCE, value)
    assert stage.run() is made


def test_what_fails_leaves_the_old_record(stage: Stage) -> None:
    stage.decided_by["seed"] = 8

    def fail() -> None:
        raise SystemExit(75)

    with pytest.raises(SystemExit):
        record.skip_if_unchanged(stage.out, stage.decided_by, fail)
    assert stage.run()
    stage.decided_by["seed"] = 7
    assert stage.run(), "the record is of the last result, not of the one before"


def test_a_dangling_link_is_not_left_out_of_the_list_in_silence(stage: Stage) -> None:
    """A library that links into a cache: what it links to would be missing from the result."""
    before = contents(stage.out)
    publishing = publish(stage.out, "rows", inputs=[], settings={})
    with pytest.raises(FileNotFoundError), publishing as artifact:
        (artifact.path / "weights").symlink_to("nowhere")
    assert contents(stage.out) == before


def test_a_missing_input_is_left_to_the_stage_to_report(stage: Stage) -> None:
    stage.decided_by["rows"] = stage.folder / "not there"
    assert stage.run()
    assert stage.run()


def test_a_single_file_comes_back_too(tmp_path: Path) -> None:
    out, calls = tmp_path / "statistics.json", []

    def make() -> None:
        calls.append(1)
        out.write_text('{"mean": "é\\r\\n"}\n', encoding="utf-8")

    for _ in range(3):
        out.unlink(missing_ok=True)
        record.skip_if_unchanged(out, {"seed": 1}, make)
        assert out.read_text(encoding="utf-8") == '{"mean": "é\\r\\n"}\n'
    assert calls == [1]
    record.skip_if_unchanged(out, {"seed": 2}, make)
    assert calls == [1, 1]


def make_again_and_again(stage: Stage) -> None:
    while True:
        stage.decided_by["seed"] = stage.made % 3
        stage.run()


@pytest.mark.slow
def test_killed_at_any_moment_no_result_is_wrong(tmp_path: Path) -> None:
    """A stage that runs over and over with changing settings, killed; what stands must be true."""
    stage = Stage(tmp_path / "here")
    for moment in range(16):
        process = get_context("fork").Process(target=make_again_and_again, args=(stage,))
        process.start()
        time.sleep(0.01 * moment)
        process.kill()
        process.join()
        if (kept := stage.out.with_name(".out.made")).exists():
            json.loads(kept.read_text())
        stage.run()
        manifest = read_json(stage.out / MANIFEST)
        for name, entry in manifest["files"].items():
            assert sha256(stage.out / name) == entry["sha256"]
