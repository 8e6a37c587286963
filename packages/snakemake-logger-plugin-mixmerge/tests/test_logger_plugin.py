"""The pieces of the logger plugin: counts, the time left, failures, and Snakemake's own tests."""

import logging
from pathlib import Path
from typing import Any

import pytest
from snakemake_interface_logger_plugins.common import LogEvent
from snakemake_interface_logger_plugins.tests import MockOutputSettings, TestLogHandlerBase

from snakemake_logger_plugin_mixmerge import LogHandler, LogHandlerSettings, eta
from snakemake_logger_plugin_mixmerge.board import Board, Job, State
from snakemake_logger_plugin_mixmerge.eta import Expected, time_left
from snakemake_logger_plugin_mixmerge.failures import Failure, ended, restated, tail
from snakemake_logger_plugin_mixmerge.screen import Lines


class TestInterface(TestLogHandlerBase):
    """What Snakemake's interface asks of every logger plugin."""

    __test__ = True

    def get_log_handler_cls(self) -> type[LogHandler]:
        return LogHandler

    def get_log_handler_settings(self) -> LogHandlerSettings:
        return LogHandlerSettings()


def start(board: Board, number: int, rule: str, state: State, now: float = 0) -> None:
    board.jobs[number] = Job(rule, {"model": f"m{number}"}, [f"out{number}"], 1, [], state, now)


@pytest.fixture
def board() -> Board:
    """Two trainings, whose results are merged."""
    return Board({"train": ["fit"]}, {"fit": 2, "merge": 1})


@pytest.fixture
def expected(monkeypatch: pytest.MonkeyPatch) -> dict[str, int]:
    """The run's jobs are known; its bounds are returned to be changed."""
    jobs = {
        1: Expected("fit", 100, [], {"_cores": 1}),
        2: Expected("fit", 100, [], {"_cores": 1}),
        3: Expected("merge", 10, [1, 2], {"_cores": 1}),
    }
    monkeypatch.setattr(eta, "_jobs", jobs)
    monkeypatch.setattr(eta, "_limits", limits := {})
    return limits


def test_counts_by_stage(board: Board, capsys: pytest.CaptureFixture[str]) -> None:
    board.remote = True
    start(board, 1, "fit", State.RUNNING)
    start(board, 2, "fit", State.QUEUED)
    board.move(1, State.DONE, 50)
    board.move(99, State.DONE, 50)  # a target's number
    counts = board.counts()
    assert list(counts) == ["train", "merge"]
    assert (counts["train"].done, counts["train"].queued, counts["train"].to_come) == (1, 1, 0)
    assert counts["merge"].to_come == 1
    assert board.jobs[1].took == 50
    lines = Lines(board, lambda: "about 3 min left", seconds=0)
    lines._last = None  # type: ignore[assignment]
    lines.tick()
    first, second = capsys.readouterr().err.splitlines()
    assert first == "3 jobs to do: train 2, merge 1"
    assert "1 of 3 done, 0 running, 1 queued, 1 to come, 0 failed, about 3 min left" in second
    assert second.endswith("| train 1/2")


@pytest.mark.parametrize(("limits", "seconds"), [({"_cores": 1}, 210), ({"_cores": 2}, 110)])
def test_time_left_is_the_longest_chain_or_the_work_over_a_bound(
    board: Board, expected: dict[str, int], limits: dict[str, int], seconds: float
) -> None:
    expected.update(limits)
    assert time_left(board, 0) == (seconds, False)


def test_time_left_learns_from_what_was_measured(board: Board, expected: dict[str, int]) -> None:
    expected["_cores"] = 1
    start(board, 1, "fit", State.RUNNING)
    board.move(1, State.DONE, 200)  # twice as long as expected: so will be the other one
    start(board, 2, "fit", State.RUNNING, 200)
    assert time_left(board, 250) == (pytest.approx(150 + 10), False)
    overdue = time_left(board, 2200)
    assert overdue is not None and overdue[0] > 10


def test_nothing_waits_for_what_cannot_run(board: Board, expected: dict[str, int]) -> None:
    for number in (1, 2):
        start(board, number, "fit", State.RUNNING)
    board.move(1, State.FAILED, 10)
    board.move(2, State.DONE, 100)
    assert time_left(board, 100) == (0, False)


def test_time_left_without_the_graph_says_when_it_is_partial(board: Board) -> None:
    assert time_left(board, 0) is None
    start(board, 1, "fit", State.RUNNING)
    board.move(1, State.DONE, 100)
    start(board, 2, "fit", State.RUNNING, 100)
    assert time_left(board, 120) == (pytest.approx(80), True)


def test_end_of_a_log(tmp_path: Path) -> None:
    log = tmp_path / "a.log"
    log.write_bytes(b"\n".join(b"line %d" % n for n in range(50)) + b"\n\n10%\r50%\r\xff100%\n")
    found = tail(log)
    assert len(found) == 20
    assert found[-1].endswith("100%") and "50%" not in found[-1]
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
    logs = [str(tmp_path / "rule.log"), str(tmp_path / "slurm.log")]
    job = Job("sft", {"model": "m"}, ["out.json"], 4, logs, State.FAILED, 0)
    text = Failure(job, "SLURM status is: 'OUT_OF_MEMORY'", when=0).block()
    assert text.startswith("Error in rule sft (model=m): SLURM status is: 'OUT_OF_MEMORY'")
    assert "  | slurmstepd: Exceeded job memory limit" in text
    assert " --profile slurm --cores 4 --executor local --nolock -- out.json" in text


def test_a_refusal_of_the_snakefile_is_shown_alone() -> None:
    place = 'WorkflowError in file "/x/common.smk", line 9:\n'
    assert restated(f"{place}error: a: b\n  File", "") == "error: a: b\n  File"
    assert restated(f'{place}error: a: b\n  File "/x/common.smk", line 9', "") == "error: a: b"
    assert restated(f"{place}something else", "") == f"{place}something else"


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
        "local": True,
    }
    failed = started | {"rule_msg": "node failed", "shellcmd": "train"}
    handler.emit(record(LogEvent.RUN_INFO, stats={"sft": 2, "total": 2}))
    handler.emit(record(LogEvent.JOB_INFO, **started))
    handler.emit(record(LogEvent.JOB_ERROR, **failed))
    handler.emit(record(None, "Trying to restart job 1."))
    handler.emit(record(LogEvent.JOB_INFO, **started))
    handler.emit(record(LogEvent.JOB_FINISHED, job_id=1))
    handler.close()
    text = capsys.readouterr().err
    assert "sft (model=m): node failed; it is tried again; log: no.log" in text
    assert "Error in rule" not in text
    assert "1 of 2 jobs done, 1 not done, in" in text
