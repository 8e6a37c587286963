"""What a program may write, to files and to its judge, by programs that go over each limit."""

import resource
from collections.abc import Iterator
from dataclasses import replace

import pytest

from box_material import GENEROUS, need_bubblewrap, run
from judgebox.box import Box

pytestmark = pytest.mark.slow
MIB = 2**20


@pytest.fixture(scope="module")
def box() -> Iterator[Box]:
    need_bubblewrap()
    with Box(backend="bubblewrap") as box:
        yield box
        assert run(box, "say(1)").said == 1, "the box must outlive all of these programs"


def test_its_files(box: Box) -> None:
    program = """
def fill(paths):
    written = 0
    try:
        for path in paths:
            with open(path, "wb", buffering=0) as file:
                for _ in range(64):
                    written += file.write(bytes(2**18))
    except OSError:
        pass
    return written
one = fill(["/tmp/one"])
say((one, fill([f"/tmp/{number}" for number in range(9)] + ["/dev/shm/x"])))
"""
    one, more = run(box, program, replace(GENEROUS, file_bytes=4 * MIB)).said
    assert one <= 4 * MIB
    assert one + more <= 5 * MIB, "all files together, wherever they are"


def test_their_number(box: Box) -> None:
    program = """
import os
number = 0
try:
    for number in range(10_000):
        os.mkdir(f"/tmp/{number}")
except OSError:
    pass
say(number)
"""
    assert run(box, program, replace(GENEROUS, file_bytes=MIB)).said < 2_000


def test_output_in_frames(box: Box) -> None:
    ran = run(box, "while True: send(bytes(1000))", replace(GENEROUS, output_bytes=MIB))
    assert ran.ended.reason == "output"
    assert sum(map(len, ran.frames)) <= MIB


@pytest.mark.parametrize("length", [2**64 - 1, 2**63, 2**40, MIB + 1])
def test_a_frame_of_absurd_length_costs_the_judge_nothing(box: Box, length: int) -> None:
    program = f"""
import os
os.write(4, ({length}).to_bytes(8, "little"))
while True: os.write(4, bytes(60_000))
"""
    ran = run(box, program, replace(GENEROUS, output_bytes=MIB))
    assert (ran.frames, ran.ended.reason) == ([], "output")


def test_a_flood_stays_outside_of_the_judges_memory(box: Box) -> None:
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    program = """
import os
os.write(4, (2**24).to_bytes(8, "little"))
while True: os.write(4, bytes(2**20))
"""
    ended = run(box, program, replace(GENEROUS, output_bytes=32 * MIB)).ended
    assert ended.reason == "output"
    grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
    assert grown < 100 * 1024, f"{grown} KiB"


def test_a_cut_frame_is_dropped(box: Box) -> None:
    program = "import os\nsend(b'whole')\nos.write(4, (100).to_bytes(8, 'little') + b'half')"
    ran = run(box, program)
    assert (ran.frames, ran.ended.reason) == ([b"whole"], "exit")


def test_descriptors(box: Box) -> None:
    program = """
import os
count = 0
try:
    for count in range(10_000):
        os.dup(0)
except OSError:
    pass
say(count)
"""
    assert run(box, program).said < 300


def test_the_machines_own_limits_are_untouched(box: Box) -> None:
    """A box narrows what belongs to its own namespaces only."""
    numbers = ["/proc/sys/user/max_user_namespaces", "/proc/sys/kernel/pid_max"]
    for name in numbers:
        with open(name, encoding="ascii") as file:  # noqa: PTH123
            assert int(file.read()) > 2_000, name
