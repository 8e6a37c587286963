"""What a program may use of the machine: each limit, by a program that goes over it."""

import time
from collections.abc import Iterator
from dataclasses import replace

import pytest

from box_material import GENEROUS, need_bubblewrap, run
from judgebox.box import Box
from judgebox.limits import Limits

pytestmark = pytest.mark.slow
MIB = 2**20


@pytest.fixture(scope="module")
def box() -> Iterator[Box]:
    need_bubblewrap()
    with Box(backend="bubblewrap") as box:
        yield box
        assert run(box, "say(1)").said == 1, "the box must outlive all of these programs"


def test_processor_time(box: Box) -> None:
    ended = run(box, "while True: pass", replace(GENEROUS, cpu_seconds=0.5)).ended
    assert (ended.reason, ended.starved) == ("cpu", False)
    assert 0.5 <= ended.cpu_seconds < 1.5


def test_processor_time_of_all_processes_together(box: Box) -> None:
    program = "import os\nos.fork(); os.fork()\nwhile True: pass"
    ended = run(box, program, replace(GENEROUS, cpu_seconds=1.0)).ended
    assert (ended.reason, ended.starved) == ("cpu", False)
    assert 1.0 <= ended.cpu_seconds < 3.0, "not a second each"


def test_signals_of_the_limit_can_be_ignored_in_vain(box: Box) -> None:
    program = """
import signal
for number in set(signal.Signals) - {signal.SIGKILL, signal.SIGSTOP}:
    try:
        signal.signal(number, signal.SIG_IGN)
    except OSError:
        pass
while True: pass
"""
    assert run(box, program, replace(GENEROUS, cpu_seconds=0.3)).ended.reason == "cpu"


def test_waiting(box: Box) -> None:
    began = time.monotonic()
    limits = replace(GENEROUS, wall_seconds=0.5)
    ended = run(box, "import time; time.sleep(30)", limits).ended
    assert (ended.reason, ended.starved) == ("wall", True), "it is to be run again, alone"
    assert 0.5 <= time.monotonic() - began < 20


def test_waiting_for_a_core_is_not_waiting(box: Box) -> None:
    """Processes that get a share of the cores only take longer by the clock, not by this limit."""
    program = """
import os, time
children = []
for _ in range(12):
    pid = os.fork()
    if pid == 0:
        while time.process_time() < 0.25: pass
        os._exit(0)
    children.append(pid)
for pid in children:
    os.waitpid(pid, 0)
say("done")
"""
    began = time.monotonic()
    limits = Limits(cpu_seconds=30, wall_seconds=0.7, memory_bytes=2**31)
    ran = run(box, program, limits)
    took = time.monotonic() - began
    if took < 0.8:
        pytest.skip(f"enough cores to be done in {took:.1f} s: NOT TESTED")
    # Its first process waits for the others: for as long, they wait for a core or run.
    assert ran.said == "done"


def test_a_slow_judge_costs_a_program_nothing(box: Box) -> None:
    program = b"for _ in range(3): send(bytes(1_000_000))"
    with box.start("program", program, replace(GENEROUS, wall_seconds=0.5)) as check:
        sizes = []
        for frame in check.frames():
            sizes.append(len(frame))
            time.sleep(0.7)
        assert sizes == [1_000_000] * 3
        assert check.wait().reason == "exit"


def test_memory_of_a_process(box: Box) -> None:
    program = """
try:
    bytes(300 * 2**20)
except MemoryError:
    say("refused")
"""
    assert run(box, program, replace(GENEROUS, memory_bytes=200 * MIB)).said == "refused"


def test_memory_of_all_processes_together(box: Box) -> None:
    program = """
import os, time
for _ in range(5):
    if os.fork() == 0:
        kept = b"x" * (60 * 2**20)
        time.sleep(3)
        os._exit(0)
time.sleep(3)
say("all of it")
"""
    ended = run(box, program, replace(GENEROUS, memory_bytes=200 * MIB)).ended
    assert (ended.reason, ended.starved) == ("memory", False)


def test_pages_that_processes_share_count_once(box: Box) -> None:
    program = """
import os, time
kept = b"x" * (60 * 2**20)
children = []
for _ in range(5):
    pid = os.fork()
    if pid == 0:
        time.sleep(0.3)
        os._exit(0)
    children.append(pid)
for pid in children:
    os.waitpid(pid, 0)
say("done")
"""
    assert run(box, program, replace(GENEROUS, memory_bytes=200 * MIB)).said == "done"


def test_processes(box: Box) -> None:
    program = """
import os, time
for _ in range(100):
    try:
        pid = os.fork()
    except OSError:
        break
    if pid == 0:
        time.sleep(3)
        os._exit(0)
time.sleep(3)
say("more than allowed")
"""
    ended = run(box, program, replace(GENEROUS, processes=8)).ended
    assert (ended.reason, ended.starved) == ("processes", False)


def test_threads(box: Box) -> None:
    program = """
import threading, time
for _ in range(200):
    threading.Thread(target=time.sleep, args=(3,), daemon=True).start()
time.sleep(3)
say("more than allowed")
"""
    ran = run(box, program, replace(GENEROUS, processes=8))
    assert ran.frames == []
    # By the kernel's count (where the user is not root) or by ours.
    assert ran.ended.reason == "processes" or ran.ended.code == 1
