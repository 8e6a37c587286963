"""Limits of a check, each by a program that would stay over it for half a minute."""

import os
import resource
import time
from dataclasses import replace

import pytest

from boxed import GENEROUS, MIB, run, source, table
from judgebox import check as limit
from judgebox.box import Box
from judgebox.check import Limits

PROGRAMS = table("box_limits")

pytestmark = pytest.mark.slow

SMALL = replace(GENEROUS, memory_bytes=200 * MIB, output_bytes=MIB, processes=8)
IGNORE_ALL = PROGRAMS["ignore_all"]
UNWAITED = PROGRAMS["unwaited"]


@pytest.mark.parametrize(
    ("program", "seconds"),
    [
        (IGNORE_ALL, 0.5),
        ("import os\nos.fork(); os.fork()\nwhile True: pass", 1.0),
        (UNWAITED, 0.8),
    ],
    ids=["all signals ignored", "of four together", "of children that nobody waits for"],
)
def test_processor_time(box: Box, program: str, seconds: float) -> None:
    ended = run(box, program, replace(GENEROUS, cpu_seconds=seconds)).ended
    assert (ended.reason, ended.starved) == ("cpu", False)
    assert seconds <= ended.cpu_seconds < 3 * seconds


def test_processor_time_that_was_waited_for_counts_once(box: Box) -> None:
    program = PROGRAMS["processor_time_that_was_waited_for_counts_once"]
    ran = run(box, program)
    assert ran.said == "done"
    assert 0.8 <= ran.ended.cpu_seconds < 1.6


def test_waiting(box: Box) -> None:
    limits = replace(GENEROUS, wall_seconds=0.5)
    began = time.monotonic()
    ended = run(box, "import time; time.sleep(60)", limits).ended
    assert (ended.reason, ended.starved) == ("wall", True), "it is to be run again, alone"
    assert 0.5 <= time.monotonic() - began < 50


def test_waiting_for_a_core_is_not_waiting(box: Box) -> None:
    """A share of the cores only makes a program take longer by the clock, not by this limit."""
    program = PROGRAMS["waiting_for_a_core_is_not_waiting"]
    began = time.monotonic()
    ran = run(box, program, Limits(cpu_seconds=30, wall_seconds=0.7, memory_bytes=2**31))
    took = time.monotonic() - began
    if took < 0.8:
        pytest.skip(f"enough cores to be done in {took:.1f} s: NOT TESTED")
    # Its first process waits for the others: for as long, they wait for a core or run.
    assert ran.said == "done"


def test_a_slow_judge_costs_a_program_nothing(box: Box) -> None:
    program = source("for _ in range(3): send(bytes(1_000_000))")
    with box.start("program", program, replace(GENEROUS, wall_seconds=0.6)) as check:
        for frame in check.frames():
            assert len(frame) == 1_000_000
            time.sleep(0.8)
        assert check.wait().reason == "exit"


TOO_MUCH = PROGRAMS["too_much"]


@pytest.mark.parametrize("reason", TOO_MUCH)
def test_what_all_processes_use_together(box: Box, reason: str) -> None:
    program = f"import os, time\n{TOO_MUCH[reason]}\ntime.sleep(30)\nsay('all of it')"
    ran = run(box, program, SMALL)
    assert (ran.ended.reason, ran.ended.starved) == (reason, False)
    assert sum(map(len, ran.frames)) <= MIB


def test_threads(box: Box) -> None:
    program = PROGRAMS["threads"]
    ran = run(box, program, replace(GENEROUS, processes=8))
    assert ran.frames == []
    # By the kernel's count (where the user is not root) or by ours.
    assert ran.ended.reason == "processes" or ran.ended.code == 1


def test_memory_and_descriptors_of_a_process_and_pages_that_processes_share(box: Box) -> None:
    program = PROGRAMS["memory_and_descriptors_of_a_process_and_pages_that_processes_share"]
    refused, descriptors = run(box, program, SMALL).said
    assert refused and descriptors < 300


def test_bubblewraps_files_are_bounded_in_size_and_number(bubblewrap: str) -> None:
    program = PROGRAMS["bubblewraps_files_are_bounded_in_size_and_number"]
    with Box((), backend=bubblewrap) as box:
        one, more, folders = run(box, program, replace(GENEROUS, file_bytes=4 * MIB)).said
    assert one <= 4 * MIB and one + more <= 5 * MIB, "all files together, wherever they are"
    assert folders < 2_000


@pytest.mark.parametrize("length", [2**64 - 1, 2**24])
def test_a_frame_of_absurd_length_costs_the_judge_nothing(box: Box, length: int) -> None:
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    program = f"""
import os
os.write(4, ({length}).to_bytes(8, "little"))
while True: os.write(4, bytes(60_000))
"""
    ran = run(box, program, replace(GENEROUS, output_bytes=8 * MIB))
    assert (ran.frames, ran.ended.reason) == ([], "output")
    grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
    assert grown < 100 * 1024, f"{grown} KiB"


def test_a_cut_frame_is_dropped(box: Box) -> None:
    ran = run(box, "import os\nsend(b'whole')\nos.write(4, (100).to_bytes(8, 'little') + b'half')")
    assert (ran.frames, ran.ended.reason) == ([b"whole"], "exit")


@pytest.mark.parametrize("name", ["user/max_user_namespaces", "kernel/pid_max"])
def test_the_machines_own_limits_are_untouched(box: Box, name: str) -> None:
    with open(f"/proc/sys/{name}", encoding="ascii") as file:  # noqa: PTH123
        assert int(file.read()) > 2_000


def test_descendants_and_what_they_use() -> None:
    ours, theirs = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(theirs)
        os.read(ours, 1)  # until the test closes its end
        os._exit(0)
    os.close(ours)
    try:
        assert child in limit.descendants(os.getpid(), 100)
        found = limit.look_at(child)
        assert found is not None
        assert found.threads == 1 and found.resident > 0
    finally:
        os.close(theirs)
        os.waitpid(child, 0)
    assert limit.look_at(child) is None
    assert limit.descendants(child, 100) == [child]
