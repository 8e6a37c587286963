"""Places that refuse: a full disk, a read-only folder, a file where a folder should be."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from forked_scripts import listing, refused
from worlds import write_family

pytestmark = pytest.mark.slow

FETCH = (
    "fetch.py", "--source", "s",
    "--settings", json.dumps({"kind": "local", "path": "in/rows.jsonl"}),
    "--out", "out/s",
)  # fmt: skip
MERGE = (
    "merge.py", "--recipe", "in/recipe.yaml", "--out", "out/m", "--seed", "1",
    "--shard-bytes", "1000000",
)  # fmt: skip
SNAPSHOT = (
    "snapshot.py", "--model", "m",
    "--settings", json.dumps({"kind": "local", "path": "in/base"}), "--out", "out/base",
)  # fmt: skip
RECIPE = (
    "recipe.py",
    "--settings", json.dumps({
        "method": "ties", "base": "b", "specialists": {"x": "a", "y": "c"},
        "weights": {"x": 0.5, "y": 0.5},
    }),
    "--out", "out/recipe.yaml",
)  # fmt: skip


@pytest.fixture
def mounting(server: Any) -> Any:
    """The server, where it may mount what no other process sees."""
    if not server.mounts:
        pytest.skip("no mount namespace is to be had here: a full disk is NOT TESTED")
    return server


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Inputs of all stages, about 60 KB a checkpoint and 400 KB of rows."""
    folder = tmp_path_factory.mktemp("whole")
    write_family(folder)
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
    mounting: Any, world: Path, command: tuple[str, ...]
) -> None:
    """The output lies on a tmpfs of the server's own, which no other process sees."""
    out = world / "out"
    mounting.mount(out, "size=64k" if command is not RECIPE else "size=4k")
    if command is RECIPE:
        (mounting.seen(out) / "filler").write_bytes(b"x" * 4096)
    before = listing(mounting.seen(out))
    ended = mounting.run(*command, cwd=world)
    refused(ended, "No space left on device", "out/", "free some space", "run again")
    assert listing(mounting.seen(out)) == before, "it left half of something behind"
    mounting.mount(out, "remount,size=8m")
    again = mounting.run(*command, cwd=world)
    assert again.code == 0, again.err
    assert len(listing(mounting.seen(out))) > len(before)


@pytest.mark.parametrize("command", [FETCH, SNAPSHOT, RECIPE], ids=lambda c: c[0])
def test_a_read_only_file_system_is_told(
    mounting: Any, world: Path, command: tuple[str, ...]
) -> None:
    out = world / "out"
    mounting.mount(out, "size=8m,ro")
    ended = mounting.run(*command, cwd=world)
    refused(ended, "Read-only file system", "out", "a place that can be written to")
    mounting.mount(out, "remount,rw")
    again = mounting.run(*command, cwd=world)
    assert again.code == 0, again.err


@pytest.mark.parametrize("command", [FETCH, MERGE, SNAPSHOT, RECIPE], ids=lambda c: c[0])
def test_a_folder_of_somebody_else_is_told(
    server: Any, world: Path, command: tuple[str, ...]
) -> None:
    """Root runs without its privileges here: what it may not write, it cannot."""
    (world / "out").chmod(0o555)
    ended = server.run(*command, cwd=world, obedient=True)
    refused(ended, "Permission denied", "out", "give this user the right")
    assert not any((world / "out").iterdir())
    (world / "out").chmod(0o755)
    again = server.run(*command, cwd=world, obedient=True)
    assert again.code == 0, again.err


def file_for_folder(world: Path) -> None:
    (world / "out").rmdir()
    (world / "out").write_text("mine")


def loop_for_folder(world: Path) -> None:
    (world / "out").rmdir()
    (world / "out").symlink_to("out")


@pytest.mark.parametrize(
    ("damage", "says"),
    [
        (file_for_folder, ("out", "away, and run again")),
        (loop_for_folder, ("out", "and run again")),
    ],
)
@pytest.mark.parametrize("command", [FETCH, SNAPSHOT, RECIPE], ids=lambda c: c[0])
def test_something_else_in_the_output_folders_place_is_told_and_stays(
    server: Any,
    world: Path,
    command: tuple[str, ...],
    damage: Callable[[Path], object],
    says: tuple[str, ...],
) -> None:
    damage(world)
    before = listing(world)
    refused(server.run(*command, cwd=world), *says)
    assert listing(world) == before
    (world / "out").unlink()
    again = server.run(*command, cwd=world)
    assert again.code == 0, again.err


@pytest.mark.parametrize("command", [FETCH, MERGE], ids=lambda c: c[0])
def test_what_stood_before_a_refusal_still_stands(
    server: Any, world: Path, command: tuple[str, ...]
) -> None:
    """An output that is to be made anew, from inputs that are broken by now."""
    assert server.run(*command, cwd=world).code == 0
    before = listing(world / "out")
    (world / "in/rows.jsonl").write_text("{")
    (world / "in/recipe.yaml").write_text("{")
    refused(server.run(*command, cwd=world), "in/")
    assert listing(world / "out") == before


def test_a_name_that_is_too_long_is_told(server: Any, world: Path) -> None:
    ended = server.run(*RECIPE[:-1], f"out/{'x' * 300}.yaml", cwd=world)
    refused(ended, "File name too long", "shorten the names")


def test_arguments_that_are_none_end_in_exit_code_2(server: Any, world: Path) -> None:
    ended = server.run("fetch.py", "--source", "s", "--settings", "{", cwd=world)
    assert ended.code == 2
    assert "argument --settings: not valid JSON" in ended.err and "Traceback" not in ended.err


def test_settings_of_the_wrong_form_are_told(server: Any, world: Path) -> None:
    ended = server.run(*FETCH[:4], '{"kind": "locl", "path": "x"}', *FETCH[5:], cwd=world)
    refused(ended, "sources.s: kind: 'locl' is none of", "did you mean 'local'?")
