"""The landlock backend's disk quota: by looking, so that it must not be possible to hide."""

import errno
from collections.abc import Iterator
from pathlib import Path

import pytest

from confined_runs import MARKS, run
from judgebox.box import Box
from judgebox.limits import Limits

pytestmark = MARKS

SMALL = Limits(cpu_seconds=20, wall_seconds=60, memory_bytes=2**30, file_bytes=16 * 2**20)


@pytest.fixture(scope="module")
def box() -> Iterator[Box]:
    with Box(backend="landlock") as box:
        yield box


WRITING = {
    "many files": 'for n in range(40): open(str(n), "wb").write(bytes(2**20)); time.sleep(0.02)',
    "nameless files": """
held = []
for n in range(40):
    held.append(open("x", "wb"))
    held[-1].write(bytes(2**20))
    held[-1].flush()
    os.unlink("x")
    time.sleep(0.02)
""",
    "never named files": """
held = []
for n in range(40):
    held.append(os.open(".", os.O_TMPFILE | os.O_WRONLY))
    os.write(held[-1], bytes(2**20))
    time.sleep(0.02)
""",
    "mapped files": """
import mmap
held = []
for n in range(40):
    with open("x", "w+b") as file:
        file.truncate(2**20)
        held.append(mmap.mmap(file.fileno(), 2**20))
    held[-1].write(bytes(range(256)) * 4096)
    os.unlink("x")
    time.sleep(0.02)
""",
    "by a child": """
if os.fork() == 0:
    held = []
    for n in range(40):
        held.append(open("x", "wb"))
        held[-1].write(bytes(2**20))
        held[-1].flush()
        os.unlink("x")
        time.sleep(0.02)
""",
    "empty files": """
for n in range(9000):
    open(str(n), "w").close()
""",
    "folders in folders": """
for n in range(300):
    os.mkdir("d")
    os.chdir("d")
""",
    "behind so many mapped files that looking takes long": """
import ctypes
libc = ctypes.CDLL(None)
libc.mmap.restype = ctypes.c_void_p
file = os.open("x", os.O_CREAT | os.O_RDWR)
os.ftruncate(file, 4096)
os.unlink("x")
for n in range(60_000):  # by turns with other rights, else they become one
    libc.mmap(None, ctypes.c_long(4096), 1 + n % 2 * 2, 1, file, ctypes.c_long(0))
""",
    "behind a folder that can't be listed": """
os.mkdir("d", 0o300)
open("d/x", "w").write("hidden")
""",
}


@pytest.mark.parametrize("program", WRITING.values(), ids=list(WRITING))
def test_a_full_quota_ends_the_check_and_the_folder_is_deleted(box: Box, program: str) -> None:
    start = "import json, os, time\nsend(json.dumps(os.getcwd()).encode())\n"
    folder, ended = run(box, f"{start}{program}\ntime.sleep(3)", SMALL)
    assert ended.reason == "disk"
    assert not Path(folder).exists()


def test_a_quota_that_is_kept_is_no_matter(box: Box, tmp_path: Path) -> None:
    program = """
import json, os, time
for n in range(40):
    open("x", "wb").write(bytes(2**20))
    time.sleep(0.01)
os.mkdir("closed", 0)
os.symlink(TARGET, "link")
try:
    os.truncate("x", 16 * 2**20 + 1)
except OSError as error:
    send(json.dumps([error.errno, os.getcwd()]).encode())
"""
    (tmp_path / "kept").write_text("kept", encoding="utf-8")
    (found, folder), ended = run(box, f"TARGET = {str(tmp_path)!r}\n{program}", SMALL)
    assert (ended.reason, ended.code, found) == ("exit", 0, errno.EFBIG)
    assert not Path(folder).exists()
    assert (tmp_path / "kept").exists()


def test_a_folder_in_which_something_was_is_nobody_elses(box: Box) -> None:
    """On ext4 its size tells how many files it has held, and its times when."""
    look = "import json, os\nsend(json.dumps([os.getcwd(), list(os.stat('.'))]).encode())\n"
    fill = "for n in range(500): open(f'file-of-a-long-name-{n}', 'w')\n"
    empty = "for name in os.listdir('.'): os.unlink(name)\n"
    (first, fresh), _ = run(box, look + fill + empty, SMALL)
    (second, seen), _ = run(box, look, SMALL)
    (third, _), _ = run(box, look, SMALL)
    assert first != second == third, "one that was left alone may be had again"
    size = 6
    assert seen[size] == fresh[size]
