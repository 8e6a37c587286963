"""The bubblewrap box: how a program ends, and that nothing of it outlives it, nor of the box."""

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
from judgebox.box import Box, BoxFailed

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def box() -> Iterator[Box]:
    need_bubblewrap()
    with Box(backend="bubblewrap") as box:
        yield box


def test_how_it_ended(box: Box) -> None:
    def ended(program: str) -> tuple[str, int]:
        end = run(box, program).ended
        return end.reason, end.code

    assert ended("import os; os._exit(7)") == ("exit", 7)
    assert ended("raise ValueError") == ("exit", 1)
    assert ended("import ctypes; ctypes.string_at(0)") == ("signal", signal.SIGSEGV)
    # It is the first process of its PID namespace, which the kernel shields from its own signals.
    assert ended("import os; os.kill(os.getpid(), 9)") == ("exit", 0)


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
from judgebox.box import Box
from judgebox.limits import Limits
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
from judgebox.box import Box
from judgebox.limits import Limits
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
