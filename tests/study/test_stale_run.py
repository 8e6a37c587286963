"""What a killed Snakemake left is tidied up by the next one; what a live one holds is not."""

import fcntl
import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from mixmerge.core.errors import UserError
from mixmerge.core.parent_watchdog import DRIVER, token
from mixmerge.study import stale_run

UUID = "0b5f9a52-7c1e-4d0b-9a55-0f4f6f3b2c11"


class Folder:
    """A `.snakemake` directory and what was said about it."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.said: list[str] = []
        self.at_exit: list[Callable[[], None]] = []

    def lock(self) -> None:
        (self.path / "locks").mkdir(parents=True, exist_ok=True)
        (self.path / "locks/0.input.lock").write_text("results/x\n")

    @property
    def locked(self) -> bool:
        return (self.path / "locks/0.input.lock").exists()

    def record(self, name: str, **changed: Any) -> Path:
        """The record of a driver as it leaves it, its process named by ``token``."""
        path = self.path / "drivers" / f"{name}.json"
        path.parent.mkdir(parents=True, exist_ok=True)
        driver = {
            "token": "",
            "pid": 17,
            "host": os.uname().nodename,
            "user": "ada",
            "since": "2026-01-01T00:00:00+00:00",
            "executor": "local",
            "command": "snakemake all",
        }
        path.write_text(json.dumps({**driver, **changed}))
        return path

    def start(self, executor: str = "local") -> None:
        stale_run.take_over(self.path, executor, self.said.append)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Folder:
    monkeypatch.setenv(DRIVER, "")  # is set by what is tested, and put back afterwards
    found = Folder(tmp_path / ".snakemake")
    monkeypatch.setattr("atexit.register", found.at_exit.append)
    return found


@pytest.fixture
def process() -> Iterator["subprocess.Popen[bytes]"]:
    found = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
    yield found
    found.kill()
    found.wait()


def dead_token() -> str:
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as child:
        name = token(child.pid)
        child.kill()
    assert name is not None
    return name


def test_the_lock_of_a_killed_driver_is_removed(folder: Folder) -> None:
    folder.lock()
    dead = folder.record("dead", token=dead_token())
    folder.start()
    assert not folder.locked and not dead.exists()
    assert folder.said == ["removed the lock of a Snakemake that was killed"]
    (own,) = (folder.path / "drivers").iterdir()
    assert json.loads(own.read_text())["pid"] == os.getpid()
    assert os.environ[DRIVER] == token(os.getpid())


def test_a_driver_takes_its_record_along(
    folder: Folder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also after Snakemake has left the working directory, to which its paths are relative."""
    monkeypatch.chdir(tmp_path)
    folder.path = Path(".snakemake")
    folder.start()
    records = tmp_path / ".snakemake/drivers"
    assert len(list(records.iterdir())) == 1
    monkeypatch.chdir("/")
    (leave,) = folder.at_exit
    if (child := os.fork()) == 0:
        leave()
        os._exit(0)
    os.waitpid(child, 0)
    assert list(records.iterdir())
    leave()
    assert not list(records.iterdir())


def test_one_driver_at_a_time_takes_over(folder: Folder) -> None:
    folder.path.mkdir()
    with (folder.path / "takeover").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        second = threading.Thread(target=folder.start)
        second.start()
        second.join(0.3)
        assert second.is_alive() and not list((folder.path / "drivers").glob("*"))
    second.join(20)
    assert list((folder.path / "drivers").glob("*"))


def test_a_driver_that_is_gone_is_known(folder: Folder, process: "subprocess.Popen[bytes]") -> None:
    """By a process id that is another's now, and from before a reboot."""
    head, _, start = str(token(process.pid)).rpartition(":")
    for name in (f"{head}:{int(start) - 1}", "earlier-boot:pid:[4026531836]:1:1"):
        folder.lock()
        folder.record("dead", token=name, pid=process.pid)
        folder.start()
        assert not folder.locked


def test_a_living_driver_keeps_its_lock_and_is_named(
    folder: Folder, process: "subprocess.Popen[bytes]"
) -> None:
    folder.lock()
    kept = folder.record("alive", token=token(process.pid), pid=process.pid)
    dead = folder.record("dead", token=dead_token())
    folder.start()
    assert folder.locked and kept.exists() and dead.exists()
    (said,) = folder.said
    for part in (f"Snakemake {process.pid} of ada", "2026-01-01", "wait until it has ended"):
        assert part in said


@pytest.mark.parametrize("where", ["of another machine", "of another container"])
def test_a_driver_out_of_sight_keeps_its_lock_until_the_user_unlocks(
    folder: Folder,
    process: "subprocess.Popen[bytes]",
    where: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    folder.lock()
    boot, host = str(token(process.pid)).partition(":")[0], os.uname().nodename
    far = {"token": "other-boot:pid:[1]:17:5", "host": "login2"}
    beside = {"token": f"{boot}:pid:[1]:17:5", "host": host}
    record = folder.record("far", **(far if where == "of another machine" else beside))
    folder.start()
    assert folder.locked and record.exists()
    assert f"on {json.loads(record.read_text())['host']} has worked" in folder.said[0]
    assert "snakemake --unlock" in folder.said[0]
    # What lives here is none of those that the user says are gone.
    alive = folder.record("alive", token=token(process.pid))
    monkeypatch.chdir(folder.path.parent)
    assert not stale_run.start(snakemake(), {"unlock": True}, folder.said.append)
    assert "gone" not in json.loads(alive.read_text())
    alive.unlink()
    folder.start()
    assert not folder.locked and not record.exists()


def test_the_next_driver_waits_for_orphans_and_ends_those_that_stay(
    folder: Folder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stale_run, "_GRACE", 2.0)
    name = dead_token()
    folder.record("dead", token=name)
    environment = {**os.environ, DRIVER: name}
    deaf, leaving = (subprocess.Popen(["sleep", s], env=environment) for s in ("600", "0.1"))
    begin = time.monotonic()
    folder.start()
    assert time.monotonic() - begin > 1.9
    assert deaf.wait(1) == -9 and leaving.wait(1) == 0


def test_orphans_that_nothing_ends_stop_the_take_over(
    folder: Folder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stale_run, "_PATIENCE", 0.3)
    monkeypatch.setattr(stale_run, "_GRACE", 60.0)
    name = dead_token()
    record = folder.record("dead", token=name)
    orphan = subprocess.Popen(["sleep", "60"], env={**os.environ, DRIVER: name})
    with pytest.raises(UserError, match=f"processes {orphan.pid} of a Snakemake .* do not end"):
        folder.start()
    assert record.exists()
    orphan.kill()
    orphan.wait()


@pytest.fixture
def slurm(folder: Folder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Path]:
    """Commands that answer as Slurm's do, over a queue that is a text file."""

    def make(*jobs: str, cancels: str = 'sed -i "/^$id|/d" queue') -> Path:
        monkeypatch.chdir(tmp_path)
        programs, queue = tmp_path / "bin", tmp_path / "queue"
        queue.write_text("".join(f"{job}\n" for job in jobs))
        programs.mkdir()
        for name, body in {
            # One more is there when all that were asked for have left.
            "squeue": "cat queue; if test -e late -a -e asked; then mv late queue; fi; touch asked",
            "scancel": f'test $# -le 100; for id in "$@"; do {cancels}; done',
        }.items():
            (programs / name).write_text(f"#!/bin/sh -e\n{body}\n")
            (programs / name).chmod(0o755)
        monkeypatch.setenv("PATH", f"{programs}:{os.environ['PATH']}")
        folder.record("dead", token=dead_token(), executor="slurm")
        return queue

    return make


def test_slurm_jobs_of_a_killed_driver_are_cancelled_and_no_others(
    folder: Folder, tmp_path: Path, slurm: Callable[..., Path]
) -> None:
    """Also more than one call takes, and one that was still being submitted."""
    others = [f"2|m_{UUID}|/elsewhere", f"3|interactive|{tmp_path}", f"5|x{UUID}|{tmp_path}"]
    many = [f"{number}|{UUID}|{tmp_path}" for number in range(10, 130)]
    queue = slurm(f"1|mixmerge_{UUID}|{tmp_path}", *others, *many)
    late = [*others, f"7|{UUID}|{tmp_path}"]
    (tmp_path / "late").write_text("".join(f"{job}\n" for job in late))
    folder.start("slurm")
    assert queue.read_text().splitlines() == others
    numbers = " ".join(map(str, (1, *range(10, 130), 7)))
    assert folder.said == [f"cancelled 122 Slurm jobs of Snakemake 17, which was killed: {numbers}"]


def test_slurm_jobs_that_do_not_leave_stop_the_take_over(
    folder: Folder, tmp_path: Path, slurm: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stale_run, "_QUEUE", 0.0)
    slurm(f"1|{UUID}|{tmp_path}", cancels=":")
    with pytest.raises(UserError, match="Slurm jobs 1 of a Snakemake that was killed do not leave"):
        folder.start("slurm")


def test_a_slurm_that_does_not_answer_stops_the_take_over(
    folder: Folder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    folder.lock()
    record = folder.record("dead", token=dead_token(), executor="slurm")
    with pytest.raises(UserError, match=r"squeue: .*No such file or directory"):
        folder.start("slurm")
    assert folder.locked and record.exists()


def snakemake(
    *, main: bool = True, dryrun: bool = False, nodes: int | None = None, remote: bool = False
) -> Any:
    """What Snakefiles know as `workflow`, as far as it is asked."""
    return SimpleNamespace(
        is_main_process=main,
        remote_exec=remote,
        output_settings=SimpleNamespace(dryrun=dryrun),
        resource_settings=SimpleNamespace(nodes=nodes),
        executor_plugin=SimpleNamespace(name="local"),
    )


IDLE = """--unlock|--unl|--report x.html|--dag|--rulegraph dot|--lint|--list-rules|--summary
--cleanup-metadata x|--delete-all-output|--conda-create-envs-only|--archive x.tar.gz"""


def test_only_what_runs_jobs_takes_over(folder: Folder, monkeypatch: pytest.MonkeyPatch) -> None:
    """As argparse reads the options, which lets them be abbreviated."""
    monkeypatch.chdir(folder.path.parent)

    def starts(options: str) -> bool:
        command = ["/x/bin/snakemake", "--profile", "x", *options.split(), "--", "all"]
        return stale_run.start(snakemake(), stale_run.options_of(command), folder.said.append)

    dead, name = folder.record("dead", token=dead_token()), dead_token()
    for target in ("preflight", "verify"):
        options = stale_run.options_of(["/x/bin/snakemake", target])
        assert not stale_run.start(snakemake(), options, folder.said.append)
    assert not [options for options in IDLE.replace("\n", "|").split("|") if starts(options)]
    assert dead.exists()
    for options in ("", "--touch", "--report-after-run --report x.html"):
        folder.record("dead", token=name)
        assert starts(options) and not dead.exists()


def test_neither_a_dry_run_nor_a_job_nor_another_program_takes_over(
    folder: Folder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(folder.path.parent)
    dead = folder.record("dead", token=dead_token())
    options = stale_run.options_of(["/x/snakemake/__main__.py", "--cores", "1"])
    assert not stale_run.start(snakemake(dryrun=True), options, folder.said.append)
    assert not stale_run.start(snakemake(main=False, remote=True), options, folder.said.append)
    assert os.environ[DRIVER] == token(os.getpid())  # its jobs watch the Snakemake of the job
    options = stale_run.options_of(["/x/bin/pytest", "--cores", "1"])
    assert not stale_run.start(snakemake(), options, folder.said.append)
    assert dead.exists()


def test_a_driver_that_may_submit_says_so_until_its_executor_is_known(
    folder: Folder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(folder.path.parent)
    workflow = snakemake(nodes=3)
    options = stale_run.options_of(["/x/bin/snakemake", "--jobs", "3"])
    assert stale_run.start(workflow, options, folder.said.append)
    (own,) = (folder.path / "drivers").iterdir()
    assert json.loads(own.read_text())["executor"] == "slurm"
    stale_run.note_executor(workflow)
    assert json.loads(own.read_text())["executor"] == "local"
