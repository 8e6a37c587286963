"""The landlock backend: nothing outlives a check, a box or a judge, whoever of them is killed."""

import errno
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from confined_runs import DAEMONS, LIMITS, MARKS, NEWEST, gone, members, run, until
from judgebox import landlock
from judgebox.box import Box
from judgebox.limits import Ended, Limits

pytestmark = MARKS


#: With and without a kernel that keeps signals in.
VERSIONS = sorted({min(NEWEST, landlock.SCOPED - 1), NEWEST})


@pytest.fixture(scope="module", params=VERSIONS)
def box(request: pytest.FixtureRequest) -> Iterator[Box]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(landlock, "NEWEST", request.param)
        with Box(backend="landlock") as box:
            yield box


def test_checks_at_the_same_time_do_not_reach_each_other(box: Box) -> None:
    waits = """
import json, os
open("secret", "w").write("mine")
send(json.dumps([os.getpid(), os.getcwd()]).encode())
receive()
send(json.dumps(os.listdir(".")).encode())
"""
    reaches = """
import json, os, signal
FOUND = []
for call in (
    lambda: os.kill(PID, signal.SIGKILL),
    lambda: open(FOLDER + "/secret").read(),
    lambda: open(FOLDER + "/new", "w"),
    lambda: os.listdir(FOLDER),
    lambda: os.unlink(FOLDER + "/secret"),
):
    try:
        call()
        FOUND.append(0)
    except OSError as error:
        FOUND.append(error.errno)
send(json.dumps(FOUND).encode())
"""
    with box.start("program", waits.encode(), LIMITS) as first:
        frames = first.frames()
        pid, folder = json.loads(next(frames))
        found, _ = run(box, f"PID, FOLDER = {pid}, {folder!r}\n{reaches}")
        assert found == [errno.EPERM] + [errno.EACCES] * 4
        first.send(b"go on")
        assert json.loads(next(frames)) == ["secret"]
        assert first.wait().reason == "exit"
    assert not Path(folder).exists()


def test_a_signal_to_its_group_reaches_nobody_else(box: Box) -> None:
    with box.start("program", b'send(b"1"); receive(); send(b"2")', LIMITS) as other:
        frames = other.frames()
        assert next(frames) == b"1"
        _, ended = run(box, "import os, signal; os.kill(0, signal.SIGKILL)")
        # An old landlock's filter refuses it; the program ends by the exception.
        scoped = landlock.NEWEST >= landlock.SCOPED
        ends = ("signal", signal.SIGKILL) if scoped else ("exit", 1)
        assert (ended.reason, ended.code) == ends
        other.send(b"go on")
        assert next(frames) == b"2"
        assert other.wait().reason == "exit"


def test_what_a_program_leaves_behind_ends_with_it(box: Box) -> None:
    with box.start("program", DAEMONS.encode(), LIMITS) as check:
        pids = json.loads(next(check.frames()))
        began = time.monotonic()
        assert check.wait().reason == "exit"
        assert time.monotonic() - began < 45, "they were waited for, not ended"
        assert len(pids) == 4
        assert all(map(gone, pids))


def test_a_killed_check_leaves_nothing(box: Box) -> None:
    with box.start("program", f"{DAEMONS}\ntime.sleep(90)".encode(), LIMITS) as check:
        pids = json.loads(next(check.frames()))
        folder = Path(f"/proc/{pids[0]}/cwd").readlink()
        assert folder.is_dir() and not any(map(gone, pids))
        began = time.monotonic()
        check.kill()
        assert check.wait().reason == "killed"
        assert time.monotonic() - began < 45
        assert all(map(gone, pids)) and not any(folder.iterdir())


def test_a_fork_bomb_is_ended_as_a_whole(box: Box) -> None:
    bomb = """
import json, os, time
send(json.dumps(os.getpid()).encode())
end, made = time.monotonic() + 3, 0
while time.monotonic() < end and made < 100:
    if os.fork() == 0:
        while time.monotonic() < end and made < 2:
            made += 1
            os.fork()
        time.sleep(3)
        os._exit(0)
    made += 1
time.sleep(3)
"""
    group, ended = run(box, bomb, Limits(20, 60, 2**30, processes=16))
    assert ended.reason == "processes"
    assert members(group) == []


def place_of(pid: int) -> Path:
    """The folder of a box that a check is in."""
    return Path(f"/proc/{pid}/cwd").readlink().parents[1]


@pytest.mark.parametrize("victim", ["front", "sweeper", "runner"])
def test_a_box_whose_own_processes_are_killed_leaves_nothing(victim: str) -> None:
    with Box(backend="landlock") as box:
        check = box.start("program", f"{DAEMONS}\ntime.sleep(90)".encode(), LIMITS)
        pids = json.loads(next(check.frames()))
        place = place_of(pids[0])
        runner = parent(pids[0])
        sweeper = parent(runner)
        front = parent(sweeper)
        assert parent(front) == os.getpid()
        os.kill({"front": front, "sweeper": sweeper, "runner": runner}[victim], signal.SIGKILL)
        began = time.monotonic()
        assert check.wait() == Ended.lost()
        assert time.monotonic() - began < 45, "the end of its pipe was waited for"
        for pid in (*pids, runner, sweeper):
            assert until(lambda pid=pid: gone(pid)), pid
        if victim != "sweeper":  # it alone knows what to delete
            assert until(lambda: not place.exists())
        else:
            machine_folder_left_by_test(place)
        assert run(box, 'send(b"1")')[0] == 1, "a box that died is started again"


def machine_folder_left_by_test(place: Path) -> None:
    """Remove what a killed sweeper could not: by name, and only what a box consists of."""
    assert place.name.startswith("judgebox-")
    for link in sorted((place / "site").rglob("*"), reverse=True):
        link.unlink() if link.is_symlink() else link.rmdir()
    (place / "site").rmdir()
    for scratch in (place / "checks").iterdir():
        scratch.rmdir()
    (place / "checks").rmdir()
    place.rmdir()


def parent(pid: int) -> int:
    return int(Path(f"/proc/{pid}/stat").read_bytes().rpartition(b")")[2].split()[1])


def test_a_killed_judge_takes_its_box_with_it() -> None:
    code = f"""
import sys, time
from judgebox import landlock
from judgebox.box import Box
from judgebox.limits import Limits
with Box(backend="landlock") as box:
    check = box.start("program", {f"{DAEMONS}{chr(10)}time.sleep(90)".encode()!r},
        Limits(20, 60, 2**32))
    print(next(check.frames()).decode(), flush=True)
    time.sleep(60)
"""
    judge = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)
    assert judge.stdout is not None
    pids = json.loads(judge.stdout.readline())
    place = place_of(pids[0])
    assert place.is_dir()
    judge.kill()
    judge.wait()
    judge.stdout.close()
    assert until(lambda: all(map(gone, pids)) and not place.exists())
