"""A runner that is not in its box runs nothing; no user needs to be root to have one."""

import json
import os
import shutil
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from box_material import need_bubblewrap
from judgebox import self_check

pytestmark = pytest.mark.slow
_RUNNER = [sys.executable, "-m", "judgebox.runner", "judgebox.bubblewrap"]

Start = Callable[[list[str], object], tuple[int, str, bytes]]


def _start(prefix: list[str], hello: object) -> tuple[int, str, bytes]:
    """Start a bare runner: its exit code, what it wrote, and what it answered to `hello`."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with ours, theirs:
        ours.send(json.dumps(hello).encode())
        command = [*prefix, *_RUNNER, str(theirs.fileno())]
        with subprocess.Popen(
            command, pass_fds=[theirs.fileno()], stderr=subprocess.PIPE
        ) as runner:
            theirs.close()
            answer = ours.recv(65536)
            ours.close()
            _, said = runner.communicate(timeout=60)
    return runner.returncode, said.decode(), answer


@pytest.fixture
def canary(tmp_path: Path) -> Path:
    path = tmp_path / "canary"
    path.touch()
    return path


def test_outside_of_everything(canary: Path) -> None:
    code, said, answer = _start([], self_check.hello(canary))
    assert (code, answer) == (self_check.EXIT, b"")
    assert "namespaces shared with the outside: user, pid, net, mnt, ipc, uts" in said


def test_a_launcher_that_lies_about_its_namespaces(canary: Path) -> None:
    hello = {"outer": dict.fromkeys(self_check.NAMESPACES, 1), "canary": str(canary)}
    code, said, answer = _start([], hello)
    assert (code, answer) == (self_check.EXIT, b"")
    assert f"a file of the outside can be read: {canary}" in said


@pytest.mark.parametrize("hello", [{}, {"outer": {}}, {"outer": {"user": 1}, "canary": "/x"}])
def test_a_launcher_that_says_too_little(hello: object) -> None:
    code, said, answer = _start([], hello)
    assert (code, answer) == (self_check.EXIT, b"")
    assert "did not name its own namespaces" in said


def test_namespaces_that_hide_no_files(canary: Path) -> None:
    """``unshare`` gives all namespaces and leaves the whole file system in sight."""
    prefix = [
        "unshare",
        "-r",
        "--pid",
        "--fork",
        "--net",
        "--mount",
        "--ipc",
        "--uts",
        "--mount-proc",
    ]
    if subprocess.run([*prefix, "true"], check=False, capture_output=True).returncode:
        pytest.skip("unshare does not work here: NOT TESTED")
    code, said, answer = _start(prefix, self_check.hello(canary))
    assert (code, answer) == (self_check.EXIT, b"")
    assert f"a file of the outside can be read: {canary}" in said
    canary.unlink()
    hello = self_check.hello(canary)
    code, said, answer = _start(prefix, hello)
    assert (code, answer) == (self_check.EXIT, b"")
    assert "the root directory is writable" in said


_AS_NOBODY = """
import json, os, sys
from judgebox.box import Box
from judgebox.limits import Limits
limits = Limits(20, 60, 2**31)
source = b'''
import os, numpy, time
for _ in range(400):
    try:
        pid = os.fork()
    except OSError:
        break
    if pid == 0:
        time.sleep(2)
        os._exit(0)
time.sleep(2)
'''
with Box(("numpy",), backend="bubblewrap") as box:
    with box.start("program", b"import numpy, os; send(str(os.getuid()).encode())", limits) as one:
        frames = [frame.decode() for frame in one.frames()]
        first = one.wait()
    with box.start("program", source, limits) as two:
        second = two.wait()
print(json.dumps([os.getuid(), box.backend, frames, first.reason, second.reason]))
"""


def test_as_an_ordinary_user() -> None:
    """The whole path as nobody: another user, no capability, an interpreter that may read it."""
    if os.getuid() != 0:
        pytest.skip("these tests run as an ordinary user already")
    need_bubblewrap()
    nobody = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"]
    root = Path(__file__).resolve().parents[2]
    interpreter = _readable_interpreter(nobody)
    packages = [
        str(root / "packages/judgebox/src"),
        *(path for path in sys.path if path.endswith("-packages")),
    ]
    environment = {"PATH": os.environ["PATH"], "PYTHONPATH": os.pathsep.join(packages)}
    command = [*nobody, interpreter, "-B", "-c", _AS_NOBODY]
    done = subprocess.run(
        command, env=environment, cwd="/", capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == [65534, "bubblewrap", ["65534"], "exit", "processes"]


def _readable_interpreter(nobody: list[str]) -> str:
    """An interpreter of this version that nobody may run, with the packages of this environment."""
    name = f"python{sys.version_info.major}.{sys.version_info.minor}"
    for candidate in (sys.executable, f"/usr/bin/{name}", f"/usr/local/bin/{name}"):
        packages = os.pathsep.join(path for path in sys.path if path.endswith("-packages"))
        # setpriv still may what root may while it looks the program up; the program may not.
        itself = "import os; os.stat(os.readlink('/proc/self/exe'))"
        command = [*nobody, candidate, "-c", f"import numpy, packaging, pytest; {itself}"]
        environment = {"PYTHONPATH": packages}
        if (
            shutil.which(candidate)
            and not subprocess.run(
                command, env=environment, cwd="/", capture_output=True, check=False
            ).returncode
        ):
            return candidate
    pytest.skip(f"no {name} with this environment's packages that nobody may run: NOT TESTED")
