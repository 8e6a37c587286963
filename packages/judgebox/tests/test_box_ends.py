"""How a check ends, and that nothing outlives a check, a box or a judge, on both backends."""

import ast
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import psutil
import pytest

from boxed import DAEMONS, GENEROUS, alive, environment, family, run, source, table, until
from judgebox import detect, landlock
from judgebox.box import Box, BoxFailed
from judgebox.check import Ended, Limits

PROGRAMS = table("box_ends")

pytestmark = pytest.mark.slow

#: Processes of a box in which no check is alive: bwrap twice, or the sweeper; the runner.
IDLE = {"bubblewrap": 3, "landlock": 2}
STAYS = source(DAEMONS + "time.sleep(90)")
KILL_GROUP = "import os, signal; os.kill(0, signal.SIGKILL)"


def test_how_it_ended(box: Box) -> None:
    def ended(program: str) -> tuple[str, int]:
        end = run(box, program).ended
        return end.reason, end.code

    assert ended("import os; os._exit(7)") == ("exit", 7)
    assert ended("raise ValueError") == ("exit", 1)
    assert ended("import ctypes; ctypes.string_at(0)") == ("signal", signal.SIGSEGV)
    assert ended("import os; os.closerange(0, 4096)") == ("exit", 0)
    # The first process of a PID namespace is shielded by the kernel from its own signals.
    itself = ended("import os; os.kill(os.getpid(), 9)")
    assert itself == (("exit", 0) if box.backend == "bubblewrap" else ("signal", 9))
    with box.start("no_such", b"", GENEROUS) as check, pytest.raises(BoxFailed, match="no_such"):
        check.wait()  # our own mistake
    assert run(box, "say(1)").said == 1


def test_a_check_leaves_nothing_to_the_next(box: Box) -> None:
    program = "import os\nopen('left', 'w').write('x')\n" + DAEMONS
    began = time.monotonic()
    with box.start("program", source(program), GENEROUS) as check:
        pids = ast.literal_eval(next(check.frames()).decode())
        assert check.wait().reason == "exit"
    assert time.monotonic() - began < 80, "they were waited for, not ended"
    assert len(pids) == 4
    if box.backend == "landlock":  # elsewhere these are numbers of its own namespace
        assert not any(map(alive, pids))
    assert len(family(box)) == IDLE[box.backend]
    assert run(box, "import os; say(os.listdir('.'))").said == []


def test_a_killed_check_ends_as_a_whole(box: Box) -> None:
    with box.start("program", STAYS, GENEROUS) as check:
        assert next(check.frames())
        assert len(family(box)) >= IDLE[box.backend] + 3
        began = time.monotonic()
        check.kill()
        ended = check.wait()
        assert time.monotonic() - began < 80
    assert (ended.reason, ended.starved) == ("killed", False)
    assert len(family(box)) == IDLE[box.backend]


def test_two_at_a_time_do_not_see_each_other(box: Box) -> None:
    waits = source(
        "import os\nopen('secret', 'w').write('mine')\n"
        "say((os.getpid(), os.getcwd()))\nreceive()\nsay(os.listdir('.'))"
    )
    reaches = PROGRAMS["two_at_a_time_do_not_see_each_other"]
    with box.start("program", waits, GENEROUS) as first:
        frames = first.frames()
        pid, folder = ast.literal_eval(next(frames).decode())
        found = run(box, f"PID, FOLDER = {pid}, {folder!r}\n{reaches}").said
        if box.backend == "landlock":
            assert found == ["EPERM"] + ["EACCES"] * 4
        else:  # folder and number are its own, too
            assert found == ["ESRCH", "ENOENT", None, "ENOENT", ["new"]]
        first.send(b"go on")
        assert next(frames) == b"['secret']"
        assert first.wait().reason == "exit"


@pytest.mark.parametrize("version", [landlock.SCOPED - 1, landlock.NEWEST])
def test_a_signal_to_its_group_reaches_nobody_else(
    backend: str, version: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A process group is not bounded by a PID namespace; an old landlock's filter refuses it."""
    if backend == "bubblewrap" and version < landlock.NEWEST:
        pytest.skip("it has no landlock")
    monkeypatch.setattr(landlock, "NEWEST", version)
    with Box((), backend=backend) as box:
        before = box.pid
        waiting = source("send(b'up'); receive(); send(b'alive')")
        with box.start("program", waiting, GENEROUS) as other:
            frames = other.frames()
            assert next(frames) == b"up"
            ended = run(box, KILL_GROUP).ended
            if backend == "landlock":
                scoped = version >= landlock.SCOPED
                assert (ended.reason, ended.code) == (("signal", 9) if scoped else ("exit", 1))
            run(box, "import os, signal; os.killpg(0, signal.SIGTERM)")
            run(box, f"import os\nif os.fork(): os.wait()\nelse:\n    {KILL_GROUP}")
            other.send(b"go on")
            assert next(frames) == b"alive"
            assert other.wait().reason == "exit"
        assert box.pid == before


def test_a_fork_bomb_is_ended_as_a_whole(box: Box) -> None:
    bomb = PROGRAMS["a_fork_bomb_is_ended_as_a_whole"]
    assert run(box, bomb, Limits(20, 60, 2**30, processes=16)).ended.reason == "processes"
    assert len(family(box)) == IDLE[box.backend]


def test_a_box_outlives_the_thread_that_started_it(backend: str) -> None:
    boxes: list[Box] = []
    thread = threading.Thread(target=lambda: boxes.append(Box((), backend=backend).__enter__()))
    thread.start()
    thread.join()
    time.sleep(0.2)
    with boxes[0] as box:
        before = box.pid
        assert run(box, "say(3)").said == 3
        assert box.pid == before


#: A judge that bounds and blocks things for itself, says what its programs see of that, starts one
#: that stays, and is killed.
JUDGE = PROGRAMS["judge"]


def test_a_judges_own_limits_are_its_affair_and_a_box_dies_with_it(backend: str) -> None:
    command = [sys.executable, "-c", f"BACKEND, STAYS = {backend!r}, {STAYS!r}\n{JUDGE}"]
    with subprocess.Popen(command, env=environment(), stdout=subprocess.PIPE, text=True) as judge:
        assert judge.stdout is not None
        for limit in (2**32, 2**33):
            assert judge.stdout.readline() == f"b'(({limit}, {limit}), set())' exit\n"
        process = psutil.Process(int(judge.stdout.readline()))
        pids = [process.pid, *(child.pid for child in process.children(recursive=True))]
        assert len(pids) >= IDLE[backend] + 3, "the box's own, the check and its daemons"
        folder = folder_of(pids[-1]) if backend == "landlock" else None
        judge.kill()
    assert until(lambda: not any(map(alive, pids)))
    assert folder is None or until(lambda: not folder.exists())


@pytest.mark.parametrize("victim", range(3))
def test_a_box_whose_own_processes_are_killed_leaves_nothing(backend: str, victim: int) -> None:
    """First its launcher, last the runner."""
    if victim >= IDLE[backend]:
        pytest.skip("no process of the box's own")
    with Box((), backend=backend) as box:
        with box.start("program", STAYS, GENEROUS) as check:
            assert next(check.frames())
            pids = family(box)
            folder = folder_of(pids[-1]) if backend == "landlock" else None
            began = time.monotonic()
            os.kill(pids[victim], signal.SIGKILL)
            assert check.wait() == Ended.lost()
            assert time.monotonic() - began < 80, "the end of its pipe was waited for"
        assert until(lambda: not any(map(alive, pids[1:])))
        if folder is not None and victim == 0:
            assert folder.name.startswith("judgebox-")
            shutil.rmtree(folder)  # what a killed sweeper would have deleted
        assert folder is None or until(lambda: not folder.exists())
        assert run(box, "say(2)").said == 2, "a box that died is started again"


def test_a_box_whose_runner_is_stopped_is_ended(
    backend: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Limits, "longest", lambda limits: -25.0)  # 30 less: after five seconds
    monkeypatch.setattr(detect, "_END", 1.0)
    with Box((), backend=backend) as box, box.start("program", STAYS, GENEROUS) as check:
        assert next(check.frames())
        os.kill(family(box)[IDLE[backend] - 1], signal.SIGSTOP)
        check.kill()
        assert check.wait() == Ended.lost()


def folder_of(pid: int) -> Path:
    return Path(f"/proc/{pid}/cwd").readlink().parents[1]
