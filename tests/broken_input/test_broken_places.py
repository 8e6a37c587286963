"""Places that refuse: a full disk, a read-only folder, a file where a folder should be."""

import json
import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from refusals import listing, refused
from worlds import STAGES, write_family, write_given

from fixtures.forks import run_script

pytestmark = pytest.mark.slow

FETCH, MERGE = STAGES["fetch"].command, STAGES["merge"].command
SNAPSHOT, RECIPE = STAGES["snapshot"].command, STAGES["recipe"].command


class Mounts:
    """A process with mounts that no other process sees."""

    def __init__(self) -> None:
        own = ["unshare", *([] if os.getuid() == 0 else ["-Ur"]), "-m"]
        self._process = subprocess.Popen([*own, "sh", "-c", "echo; read x"], stdin=-1, stdout=-1)
        assert self._process.stdout is not None
        self.exist = bool(self._process.stdout.readline())
        self.pid = self._process.pid

    def mount(self, at: Path, options: str) -> None:
        """Mount a tmpfs, or mount it anew with other options."""
        enter = ["nsenter", "-t", str(self.pid), *([] if os.getuid() == 0 else ["-U"]), "-m"]
        mount = ["mount", "-t", "tmpfs", "-o", options, "mixmerge-test", str(at)]
        subprocess.run([*enter, *mount], check=True)

    def seen(self, path: Path) -> Path:
        """A path as the process sees it."""
        return Path(f"/proc/{self.pid}/root{path}")

    def close(self) -> None:
        self._process.communicate()


@pytest.fixture
def mounts() -> Iterator[Mounts]:
    mounts = Mounts()
    if not mounts.exist:
        pytest.skip("no mount namespace is to be had here: a full disk is NOT TESTED")
    yield mounts
    mounts.close()


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Inputs of all stages, about 60 KB a checkpoint and 400 KB of rows."""
    folder = tmp_path_factory.mktemp("whole")
    write_family(folder)
    write_given(folder)
    rows = [{"id": n, "problem": "x" * 300, "solution": str(n)} for n in range(1200)]
    (folder / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return folder


@pytest.fixture
def world(whole: Path, tmp_path: Path) -> Path:
    shutil.copytree(whole, tmp_path / "world/in")
    (tmp_path / "world/out").mkdir()
    return tmp_path / "world"


@pytest.mark.parametrize("command", [FETCH, MERGE, SNAPSHOT, RECIPE], ids=lambda c: c[0])
def test_a_full_disk_is_told_and_with_space_the_job_goes_on(
    mounts: Mounts, world: Path, command: tuple[str, ...]
) -> None:
    """The output lies on a tmpfs that no other process sees."""
    out = world / "out"
    mounts.mount(out, "size=64k" if command is not RECIPE else "size=4k")
    if command is RECIPE:
        (mounts.seen(out) / "filler").write_bytes(b"x" * 4096)
    before = listing(mounts.seen(out))
    ended = run_script(*command, cwd=world, mounts=mounts.pid)
    refused(ended, "No space left on device", "out/", "free some space", "run again")
    assert listing(mounts.seen(out)) == before, "it left half of something behind"
    mounts.mount(out, "remount,size=8m")
    again = run_script(*command, cwd=world, mounts=mounts.pid)
    assert again.returncode == 0, again.stderr
    assert len(listing(mounts.seen(out))) > len(before)


@pytest.mark.parametrize("command", [FETCH, SNAPSHOT, RECIPE], ids=lambda c: c[0])
def test_a_read_only_file_system_is_told(
    mounts: Mounts, world: Path, command: tuple[str, ...]
) -> None:
    out = world / "out"
    mounts.mount(out, "size=8m,ro")
    ended = run_script(*command, cwd=world, mounts=mounts.pid)
    refused(ended, "Read-only file system", "out", "a place that can be written to")
    mounts.mount(out, "remount,rw")
    again = run_script(*command, cwd=world, mounts=mounts.pid)
    assert again.returncode == 0, again.stderr


@pytest.mark.parametrize("command", [FETCH, MERGE, SNAPSHOT, RECIPE], ids=lambda c: c[0])
def test_a_folder_of_somebody_else_is_told(world: Path, command: tuple[str, ...]) -> None:
    """Root runs without its privileges here: what it may not write, it cannot."""
    (world / "out").chmod(0o555)
    ended = run_script(*command, cwd=world, obedient=True)
    refused(ended, "Permission denied", "out", "give this user the right")
    assert not any((world / "out").iterdir())
    (world / "out").chmod(0o755)
    again = run_script(*command, cwd=world, obedient=True)
    assert again.returncode == 0, again.stderr


@pytest.mark.parametrize("stands", ["a file", "a link to itself"])
@pytest.mark.parametrize("command", [FETCH, SNAPSHOT, RECIPE], ids=lambda c: c[0])
def test_something_else_in_the_output_folders_place_is_told_and_stays(
    world: Path, command: tuple[str, ...], stands: str
) -> None:
    out = world / "out"
    out.rmdir()
    if stands == "a file":
        out.write_text("mine")
    else:
        out.symlink_to("out")
    before = listing(world)
    refused(run_script(*command, cwd=world), "out", "and run again")
    assert listing(world) == before
    out.unlink()
    again = run_script(*command, cwd=world)
    assert again.returncode == 0, again.stderr


@pytest.mark.parametrize("command", [FETCH, MERGE], ids=lambda c: c[0])
def test_what_stood_before_a_refusal_still_stands(world: Path, command: tuple[str, ...]) -> None:
    """An output that is to be made anew, from inputs that are broken by now."""
    assert run_script(*command, cwd=world).returncode == 0
    before = listing(world / "out")
    (world / "in/rows.jsonl").write_text("{")
    (world / "in/recipe.yaml").write_text("{")
    refused(run_script(*command, cwd=world), "in/")
    assert listing(world / "out") == before


def test_a_name_that_is_too_long_is_told(world: Path) -> None:
    ended = run_script(*RECIPE[:-1], f"out/{'x' * 300}.yaml", cwd=world)
    refused(ended, "File name too long", "shorten the names")


def test_arguments_that_are_none_end_in_exit_code_2(world: Path) -> None:
    ended = run_script("fetch.py", "--source", "s", "--settings", "{", cwd=world)
    assert ended.returncode == 2
    assert "argument --settings: not valid JSON" in ended.stderr and "Traceback" not in ended.stderr


def test_settings_of_the_wrong_form_are_told(world: Path) -> None:
    ended = run_script(*FETCH[:4], '{"kind": "locl", "path": "x"}', *FETCH[5:], cwd=world)
    refused(ended, "sources.s: kind: 'locl' is none of", "did you mean 'local'?")
