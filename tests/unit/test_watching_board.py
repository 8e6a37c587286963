"""The pieces of the logger plugin: counts, the time left, failures, and Snakemake's own tests."""

import logging
from pathlib import Path
from typing import Any

import pytest
from snakemake_interface_logger_plugins.common import LogEvent
from snakemake_interface_logger_plugins.tests import MockOutputSettings, TestLogHandlerBase

from mixmerge.resources.jobs import Job, consumers, producers
from snakemake_logger_plugin_mixmerge import LogHandler, LogHandlerSettings
from snakemake_logger_plugin_mixmerge.board import Board, State
from snakemake_logger_plugin_mixmerge.expected import Expected
from snakemake_logger_plugin_mixmerge.failure import Failure, ended, tail
from snakemake_logger_plugin_mixmerge.left import left
from snakemake_logger_plugin_mixmerge.screen import Picture, line
from snakemake_logger_plugin_mixmerge.squeue import Queue


class TestInterface(TestLogHandlerBase):
    """What Snakemake's interface asks of every logger plugin."""

    __test__ = True

    def get_log_handler_cls(self) -> type[LogHandler]:
        return LogHandler

    def get_log_handler_settings(self) -> LogHandlerSettings:
        return LogHandlerSettings()


def job(number: int, rule: str, seconds: int, reads: tuple[str, ...] = ()) -> Job:
    return Job(
        number=number,
        rule=rule,
        wildcards={"model": f"m{number}"},
        inputs=reads,
        outputs=(f"out{number}",),
        threads=1,
        priority=0,
        resources={"expected_s": seconds},
    )


def board_of(jobs: list[Job]) -> Board:
    board = Board()
    counts: dict[str, int] = {}
    for one in jobs:
        counts[one.rule] = counts.get(one.rule, 0) + 1
    board.expect({**counts, "all": 1, "total": len(jobs) + 1})
    return board


JOBS = [job(1, "sft", 100), job(2, "sft", 100), job(3, "merge", 10, ("out1", "out2"))]


def test_counts_by_stage() -> None:
    board = board_of(JOBS)
    board.start(JOBS[0], State.RUNNING, 0, [])
    board.start(JOBS[1], State.QUEUED, 0, [])
    board.move(1, State.DONE, 50)
    board.move(99, State.DONE, 50)  # a target's number
    counts = board.counts()
    assert list(counts) == ["train", "merge"]
    assert (counts["train"].done, counts["train"].queued, counts["train"].to_come) == (1, 1, 0)
    assert counts["merge"].to_come == 1
    assert board.total().total == 3
    assert board.started[1].took == 50
    text = line(Picture(counts, board.total(), None, 5.0, remote=True, remark=""))
    assert "1 of 3 done, 0 running, 1 queued, 1 to come, 0 failed" in text


def expected(jobs: list[Job], limits: dict[str, int]) -> Expected:
    before = producers(jobs)
    return Expected(jobs, limits, before, consumers(before))


@pytest.mark.parametrize(("cores", "seconds"), [(1, 210), (2, 110)])
def test_time_left_is_the_schedule_of_what_is_left(cores: int, seconds: float) -> None:
    found = left(board_of(JOBS), expected(JOBS, {"cores": cores}), 0)
    assert found is not None
    assert found.seconds == seconds


def test_time_left_learns_from_what_was_measured() -> None:
    board = board_of(JOBS)
    board.start(JOBS[0], State.RUNNING, 0, [])
    board.move(1, State.DONE, 200)  # twice as long as expected: so will be the other one
    board.start(JOBS[1], State.RUNNING, 200, [])
    found = left(board, expected(JOBS, {"cores": 1}), 250)
    assert found is not None
    assert found.seconds == pytest.approx(150 + 10)
    overdue = left(board, expected(JOBS, {"cores": 1}), 2200)
    assert overdue is not None
    assert overdue.seconds > 10


def test_nothing_waits_for_what_cannot_run() -> None:
    board = board_of(JOBS)
    for one in JOBS[:2]:
        board.start(one, State.RUNNING, 0, [])
    board.move(1, State.FAILED, 10)
    board.move(2, State.DONE, 100)
    found = left(board, expected(JOBS, {}), 100)
    assert found is not None
    assert found.seconds == 0


def test_time_left_without_a_graph_says_when_it_is_partial() -> None:
    board = board_of(JOBS)
    assert left(board, None, 0) is None
    board.start(JOBS[0], State.RUNNING, 0, [])
    found = left(board, None, 20)
    assert found is not None
    assert found.partial
    assert found.seconds == pytest.approx(180)


def test_end_of_a_log(tmp_path: Path) -> None:
    log = tmp_path / "a.log"
    log.write_bytes(b"\n".join(b"line %d" % n for n in range(50)) + b"\n\n10%\r50%\r\xff100%\n")
    found = tail(log)
    assert len(found) == 20
    assert found[-1].endswith("100%")
    assert "50%" not in found[-1]
    assert tail(tmp_path / "none.log") == []


@pytest.mark.parametrize(
    ("text", "how"),
    [
        ("Command 'x' returned non-zero exit status 75.", "exit status 75"),
        ("Command 'x' died with <Signals.SIGKILL: 9>.", "killed by SIGKILL"),
        ("Command 'x' did something else", None),
    ],
)
def test_how_a_command_ended(text: str, how: str | None) -> None:
    assert ended(text) == how


def test_slurms_log_is_shown_where_the_rules_own_is_empty(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.argv", ["snakemake", "--profile", "slurm", "-j9", "all_tables"])
    (tmp_path / "slurm.log").write_text("slurmstepd: Exceeded job memory limit\n")
    failure = Failure(
        *(1, "sft", {"model": "m"}, ["out.json"], 4),
        log=[str(tmp_path / "rule.log"), str(tmp_path / "slurm.log")],
        why="SLURM status is: 'OUT_OF_MEMORY'",
        when=0,
    )
    text = failure.block(beside=True)
    assert text.startswith("Error in rule sft (model=m): SLURM status is: 'OUT_OF_MEMORY'")
    assert "  | slurmstepd: Exceeded job memory limit" in text
    assert " --profile slurm --cores 4 --executor local --nolock -- out.json" in text


def record(event: LogEvent | None, message: str = "", **fields: Any) -> logging.LogRecord:
    found = logging.LogRecord("snakemake", logging.INFO, "", 0, message, (), None)
    found.__dict__.update(fields | ({"event": event} if event else {}))
    return found


def test_a_job_that_is_tried_again_is_no_failure(capsys: pytest.CaptureFixture[str]) -> None:
    handler = LogHandler(MockOutputSettings(), LogHandlerSettings())
    started = {
        "jobid": 1,
        "rule_name": "sft",
        "wildcards": {"model": "m"},
        "input": [],
        "output": ["out"],
        "log": ["no.log"],
        "threads": 1,
        "priority": 0,
        "resources": {"expected_s": 5, "_cores": 1},
        "local": True,
    }
    failed = started | {"rule_msg": "node failed", "shellcmd": "train"}
    handler.emit(record(LogEvent.RUN_INFO, stats={"sft": 1, "total": 1}))
    handler.emit(record(LogEvent.JOB_INFO, **started))
    handler.emit(record(LogEvent.JOB_ERROR, **failed))
    handler.emit(record(None, "Trying to restart job 1."))
    handler.emit(record(LogEvent.JOB_INFO, **started))
    handler.emit(record(LogEvent.JOB_FINISHED, job_id=1))
    handler.close()
    text = capsys.readouterr().err
    assert "sft (model=m): node failed; it is tried again; log: no.log" in text
    assert "Error in rule" not in text
    assert "1 of 1 jobs done, in" in text


def test_slurms_queue_tells_who_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    squeue = tmp_path / "squeue"
    squeue.write_text(
        '#!/bin/sh\n[ "$3" = --name=mm_1 ] || exit 1\n'
        'echo "41 RUNNING"; echo "42 PENDING"; echo "43 COMPLETING"; echo "99 RUNNING"\n'
    )
    monkeypatch.setenv("PATH", str(tmp_path))
    queue = Queue()
    assert queue.ask() == {}
    assert not queue.answers
    assert not queue.heard("Finished jobid: 3")
    assert queue.heard("SLURM run ID: mm_1")
    for number in (1, 2, 3):
        assert queue.heard(f"Job {number} has been submitted with SLURM jobid 4{number} (log: x).")
    assert queue.ask() == {}  # squeue cannot be run
    assert not queue.answers
    squeue.chmod(0o755)
    assert queue.ask() == {1: True, 2: False, 3: True}
    assert queue.answers
