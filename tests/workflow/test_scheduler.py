"""The scheduler `mixmerge` on a workflow of a few lines: how many directories exist at once."""

import shutil
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow


@dataclass
class Folder:
    """A directory with the workflow; counts what is below merged/ while it runs."""

    path: Path
    output: str = ""
    peak: int = 0

    def run(self, *arguments: str) -> int:
        command = [sys.executable, "-m", "snakemake", "--cores", "4", "--nocolor"]
        command += ["--scheduler", "mixmerge", "--keep-going", *arguments]
        self.peak = 0
        with (self.path / "output").open("w+") as output:
            process = subprocess.Popen(command, cwd=self.path, stdout=output, stderr=output)
            while process.poll() is None:
                self.peak = max(self.peak, len(self.left()))
                time.sleep(0.005)
            output.seek(0)
            self.output = output.read()
        return process.returncode

    def fail(self, numbers: str) -> None:
        """Let the readers of these directories fail, and no others."""
        shutil.rmtree(self.path / "fail", ignore_errors=True)
        (self.path / "fail").mkdir()
        for number in numbers:
            (self.path / "fail" / number).touch()

    def left(self) -> list[str]:
        folder = self.path / "merged"
        try:
            return sorted(path.name for path in folder.iterdir())
        except FileNotFoundError:
            return []

    def finished(self) -> set[str]:
        return {path.name for path in (self.path / "read").iterdir()}

    def ran(self, rule: str) -> int:
        return self.output.count(f"\nrule {rule}:") + self.output.count(f"localrule {rule}:")


@pytest.fixture
def folder(tmp_path: Path) -> Folder:
    shutil.copy(Path(__file__).with_name("merged.smk"), tmp_path / "Snakefile")
    return Folder(tmp_path)


def test_no_more_exist_than_allowed_and_none_in_the_end(folder: Folder) -> None:
    assert folder.run("--resources", "merged=2") == 0, folder.output
    # Snakemake's own accounting would let four be made at once, and all six before any is read.
    assert folder.peak == 2
    assert folder.left() == []
    assert folder.finished() == set("012345")
    # A deleted directory is made again for who needs it alone.
    (folder.path / "read/4").unlink()
    assert folder.run() == 0
    assert [folder.ran(rule) for rule in ("make", "look", "read")] == [1, 0, 1]
    assert folder.left() == []


def test_readers_that_fail_keep_theirs_while_there_is_room(folder: Folder) -> None:
    folder.fail("3")
    assert folder.run("--resources", "merged=2") == 1
    assert folder.peak <= 2
    assert folder.finished() == set("01245")
    assert folder.left() == ["3"]  # for the next attempt
    folder.fail("")
    assert folder.run("--resources", "merged=2") == 0, folder.output
    assert folder.ran("make") == 0 and folder.ran("read") == 1
    assert folder.left() == []


def test_failed_readers_never_stop_the_others(folder: Folder) -> None:
    folder.fail("0123")
    assert folder.run("--resources", "merged=1") == 1
    assert folder.peak == 1
    assert folder.finished() == set("45")
    assert "the jobs that read it failed, and other merges need the room" in folder.output
    assert len(folder.left()) <= 1


@pytest.mark.long
def test_what_an_earlier_run_left_is_counted_or_deleted(folder: Folder) -> None:
    assert folder.run("--notemp", "--resources", "merged=2") == 0
    assert folder.left() == list("012345")
    # 0 and 1 are still to be read; the others are of no use.
    for place in ("read/0", "read/1", "read/5", "made/5"):  # whose record is gone is made again
        (folder.path / place).unlink()
    # Not while another Snakemake is at work, which may need what this one does not.
    drivers = folder.path / ".snakemake/drivers"
    drivers.mkdir()
    for name in ("this", "other"):
        (drivers / f"{name}.json").touch()
    (folder.path / "looked/0").unlink()
    assert folder.run("looked/0") == 0 and folder.left() == list("012345"), folder.output
    shutil.rmtree(drivers)
    assert folder.run("--resources", "merged=3") == 0, folder.output
    assert "Removing temporary output merged/2: an earlier run left it" in folder.output
    assert "Removing temporary output merged/5: it is made anew" in folder.output
    assert folder.ran("make") == 1 and folder.ran("read") == 3
    assert folder.left() == []
