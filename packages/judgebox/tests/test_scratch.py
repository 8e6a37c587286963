"""Scratch folders: what they take up is seen (see `test_landlock`), and nothing else is deleted."""

import mmap
import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from judgebox.landlock import Scratch

LIMIT = 16 * 2**20


@pytest.fixture
def scratch(tmp_path: Path) -> Scratch:
    return Scratch(str(tmp_path), "check-")


def test_files_folders_and_links_count_what_they_take(scratch: Scratch) -> None:
    folder = Path(scratch.path)
    assert folder.stat().st_mode & 0o777 == 0o700
    assert scratch.used(LIMIT) == 0
    (folder / "a" / "b").mkdir(parents=True)
    (folder / "a" / "b" / "file").write_bytes(b"x" * 2**20)
    (folder / "link").symlink_to("/usr")
    with (folder / "sparse").open("wb") as file:
        file.truncate(2**30)
    assert 2**20 + 5 * 4096 <= scratch.used(LIMIT) < 2**20 + 16 * 4096
    assert scratch.used(2**20) > 2**20


def test_a_library_that_was_replaced_on_disk_is_not_the_programs(
    scratch: Scratch, tmp_path: Path
) -> None:
    """The runner mapped it while it had its name, and so has each process that it forks."""
    library = tmp_path / "library.so"
    library.write_bytes(bytes(2**20))
    with library.open("r+b") as file:
        mapped = mmap.mmap(file.fileno(), 2**20)
    library.unlink()
    with mapped, forked() as pid:
        assert scratch.used(LIMIT, [pid]) < 2**20
    with forked(Path(scratch.path, "own")) as pid:
        assert scratch.used(LIMIT, [pid]) >= 2**20


@contextmanager
def forked(mapping: Path | None = None) -> Iterator[int]:
    """A child of this process, which has mapped a file that has no name any more."""
    ours, theirs = os.pipe()
    pid = os.fork()
    if pid == 0:
        if mapping is not None:
            mapping.write_bytes(bytes(2**20))
            with mapping.open("r+b") as file:
                held = mmap.mmap(file.fileno(), 2**20)
            mapping.unlink()
            assert held
        os.write(theirs, b"1")
        signal.pause()
    assert os.read(ours, 1) == b"1"
    try:
        yield pid
    finally:
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
        os.close(ours)
        os.close(theirs)


def test_all_is_deleted_and_what_a_link_points_at_is_kept(scratch: Scratch, tmp_path: Path) -> None:
    kept, folder = tmp_path / "kept", Path(scratch.path)
    (kept / "folder").mkdir(parents=True)
    (kept / "file").write_text("kept", encoding="utf-8")
    (kept / "folder").chmod(0o500)
    for name, target in {"one": kept, "two": kept / "file", "three": kept / "folder"}.items():
        (folder / name).symlink_to(target)
    os.link(kept / "file", folder / "hard")
    os.close(os.open(os.fsencode(folder) + b"/\xff\n", os.O_CREAT | os.O_WRONLY))
    os.mkfifo(folder / "pipe")
    for mode in (0o000, 0o100, 0o200, 0o300, 0o400, 0o600):
        inner = folder / f"{mode:o}" / "inner"
        inner.mkdir(parents=True)
        (inner / "file").write_bytes(b"x")
        inner.chmod(mode)
        inner.parent.chmod(mode)
    scratch.remove()
    assert not folder.exists()
    assert (kept / "file").read_text(encoding="utf-8") == "kept"
    assert (kept / "folder").stat().st_mode & 0o777 == 0o500


def test_folders_too_deep_for_any_path_are_deleted(scratch: Scratch) -> None:
    here = os.open(scratch.path, os.O_RDONLY)
    for _ in range(500):
        os.mkdir("d" * 100, dir_fd=here)
        os.close(os.open("file", os.O_CREAT | os.O_WRONLY, dir_fd=here))
        below = os.open("d" * 100, os.O_RDONLY, dir_fd=here)
        os.close(here)
        here = below
    os.close(here)
    assert scratch.used(2**40) > 2**40, "what can't be measured counts as too much"
    scratch.remove()
    assert not Path(scratch.path).exists()


def test_a_folder_that_took_the_name_is_kept(scratch: Scratch) -> None:
    folder = Path(scratch.path)
    folder.rename(folder.with_name("moved"))
    folder.mkdir()
    (folder / "kept").write_text("kept", encoding="utf-8")
    with pytest.raises(FileExistsError, match="not the folder"):
        scratch.remove()
    (folder / "kept").unlink()
    folder.rmdir()
    folder.symlink_to("moved")
    with pytest.raises(OSError):
        scratch.remove()
    assert folder.with_name("moved").exists()
