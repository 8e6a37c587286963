"""The scheduler `mixmerge` on a workflow of a few lines: how many directories exist at once."""

import os
import subprocess
import sys
import threading
import time
from dataclasses import dataclass
from pathlib import Path

import pytest

#: Six temporary directories, each read by two jobs; the second one waits for the first.
WORKFLOW = """
NUMBERS = range(6)

rule all:
    input: expand("read/{n}", n=NUMBERS)

rule make:
    output: record="made/{n}", weights=temp(directory("merged/{n}"))
    resources: merged=1
    shell: "mkdir {output.weights}; echo {wildcards.n} | tee {output.record} > {output.weights}/w"

rule look:
    input: record=ancient("made/{n}")
    output: "looked/{n}"
    shell: "cp merged/{wildcards.n}/w {output}"

rule read:
    input: record="made/{n}", weights=ancient("merged/{n}"), looked=ancient("looked/{n}")
    output: "read/{n}"
    shell: "test ! -e fail/{wildcards.n}; sleep 0.2; cp {input.weights}/w {output}"
"""


@dataclass
class Folder:
    """A directory with the workflow; counts what is below merged/ while it runs."""

    path: Path
    output: str = ""
    peak: int = 0

    def run(self, *arguments: str, timeout: float = 300) -> int:
        command = [sys.executable, "-m", "snakemake", "--cores", "4", "--nocolor"]
        command += ["--scheduler", "mixmerge", "--keep-going", *arguments]
        done = threading.Event()
        self.peak = 0

        def watch() -> None:
            while not done.is_set():
                self.peak = max(self.peak, len(self.left()))
                time.sleep(0.005)

        watcher = threading.Thread(target=watch)
        watcher.start()
        try:
            result = subprocess.run(
                command,
                cwd=self.path,
                capture_output=True,
                text=True,
                timeout=timeout,
                env={**os.environ, "NO_COLOR": "1"},
            )
        finally:
            done.set()
            watcher.join()
        self.output = result.stdout + result.stderr
        return result.returncode

    def left(self) -> list[str]:
        folder = self.path / "merged"
        return sorted(path.name for path in folder.iterdir()) if folder.exists() else []

    def ran(self, rule: str) -> int:
        return self.output.count(f"\nrule {rule}:") + self.output.count(f"localrule {rule}:")


@pytest.fixture
def folder(tmp_path: Path) -> Folder:
    (tmp_path / "Snakefile").write_text(WORKFLOW)
    return Folder(tmp_path)


def finished(folder: Folder) -> set[str]:
    return {path.name for path in (folder.path / "read").iterdir()}


def test_no_more_exist_than_allowed_and_none_in_the_end(folder: Folder) -> None:
    assert folder.run("--resources", "merged=2") == 0, folder.output
    # Snakemake's own accounting would let four be made at once, and all six before any is read.
    assert folder.peak == 2
    assert folder.left() == []
    assert finished(folder) == set("012345")


def test_readers_that_fail_keep_theirs_while_there_is_room(folder: Folder) -> None:
    (folder.path / "fail").mkdir()
    (folder.path / "fail/3").touch()
    assert folder.run("--resources", "merged=2") == 1
    assert folder.peak <= 2
    assert finished(folder) == set("01245")
    assert folder.left() == ["3"]  # for the next attempt
    (folder.path / "fail/3").unlink()
    assert folder.run("--resources", "merged=2") == 0, folder.output
    assert folder.ran("make") == 0 and folder.ran("read") == 1
    assert folder.left() == []


def test_failed_readers_never_stop_the_others(folder: Folder) -> None:
    (folder.path / "fail").mkdir()
    for number in "0123":
        (folder.path / "fail" / number).touch()
    assert folder.run("--resources", "merged=1") == 1
    assert folder.peak == 1
    assert finished(folder) == set("45")
    assert "the jobs that read it failed, and other merges need the room" in folder.output
    assert len(folder.left()) <= 1
    for number in "0123":
        (folder.path / "fail" / number).unlink()
    assert folder.run("--resources", "merged=1") == 0, folder.output
    assert folder.peak == 1 and folder.left() == []
    assert finished(folder) == set("012345")


def test_what_an_earlier_run_left_is_counted_or_deleted(folder: Folder) -> None:
    assert folder.run("--notemp") == 0
    assert folder.left() == list("012345")
    # 0 and 1 are still to be read; the others are of no use.
    for number in "01":
        (folder.path / "read" / number).unlink()
    (folder.path / "made/5").unlink()  # must be made again, as its record is gone
    (folder.path / "read/5").unlink()
    assert folder.run("--resources", "merged=3") == 0, folder.output
    assert "Removing temporary output merged/2: an earlier run left it" in folder.output
    assert "Removing temporary output merged/5: it is made anew" in folder.output
    assert folder.ran("make") == 1 and folder.ran("read") == 3
    assert folder.left() == []


def test_a_deleted_directory_is_made_again_for_who_needs_it_alone(folder: Folder) -> None:
    assert folder.run() == 0
    assert folder.run() == 0 and "Nothing to be done" in folder.output
    (folder.path / "read/4").unlink()
    assert folder.run() == 0
    assert [folder.ran(rule) for rule in ("make", "look", "read")] == [1, 0, 1]
    assert folder.left() == []
