"""The logger plugin: progress, the time left, failures, and Snakemake's own tests of plugins."""

import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from snakemake_interface_logger_plugins.base import LogHandlerBase
from snakemake_interface_logger_plugins.common import LogEvent
from snakemake_interface_logger_plugins.tests import MockOutputSettings, TestLogHandlerBase

from snakemake_logger_plugin_mixmerge import LogHandler, LogHandlerSettings, progress
from snakemake_logger_plugin_mixmerge.messages import ended, failure_block, restated, tail
from snakemake_logger_plugin_mixmerge.progress import Job, duration, time_left


class TestInterface(TestLogHandlerBase):
    """What Snakemake's interface asks of every logger plugin."""

    __test__ = True

    def get_log_handler_cls(self) -> type[LogHandler]:
        return LogHandler

    def get_log_handler_settings(self) -> LogHandlerSettings:
        return LogHandlerSettings()

    def _create_handler(self) -> LogHandlerBase:
        self.handler = super()._create_handler()
        return self.handler

    @pytest.fixture(autouse=True)
    def stopped(self) -> Iterator[None]:
        """No clock ticks on in the next test."""
        yield
        self.handler.close()


@pytest.fixture
def limits(monkeypatch: pytest.MonkeyPatch) -> dict[str, int]:
    """Two trainings, whose results are merged, are expected; the run's bounds are returned."""
    jobs = {
        1: ("fit", 100, [], {"_cores": 1}),
        2: ("fit", 100, [], {"_cores": 1}),
        3: ("merge", 10, [1, 2], {"_cores": 1}),
    }
    limits: dict[str, int] = {}
    monkeypatch.setattr(progress, "_jobs", jobs)
    monkeypatch.setattr(progress, "_limits", limits)
    monkeypatch.setattr(progress, "_measured", set())
    return limits


def done(took: float, rule: str = "fit") -> Job:
    return Job("", rule, "done", took, took=took)


def running(since: float) -> Job:
    return Job("", "fit", "running", since)


@pytest.mark.parametrize(
    ("cores", "started", "now", "seconds"),
    [
        (1, {}, 0, 210),  # all the work, one after the other
        (2, {}, 0, 110),  # the longest chain
        # Twice as long as expected: so will be the other one, which runs since 50 s.
        (1, {1: done(200), 2: running(200)}, 250, 150 + 10),
        (1, {1: done(200), 2: running(200)}, 2200, 0.05 * 200 + 10),  # overdue
        # Nothing waits for what cannot run.
        (1, {1: Job("", "fit", "failed", 10), 2: done(100)}, 100, 0),
    ],
)
def test_time_left_is_the_longest_chain_or_the_work_over_a_bound(
    limits: dict[str, int], cores: int, started: dict[int, Job], now: float, seconds: float
) -> None:
    limits["_cores"] = cores
    assert time_left(started, 3, 0, now)[0] == pytest.approx(seconds)


def test_a_first_guess_is_called_so_and_corrected_by_the_first_job_of_a_rule(
    limits: dict[str, int],
) -> None:
    limits["_cores"] = 1
    progress._jobs[2] = ("fit", 50, [], {"_cores": 1})
    progress._jobs[4] = ("merge", 20, [], {"_cores": 1})
    assert time_left({}, 4, 0, 0) == (180, True)
    # A fifth of what was expected: so will be the smaller one, of 50 s. Merges stay guessed.
    assert time_left({1: done(20)}, 4, 0, 20) == (pytest.approx(10 + 10 + 20), True)
    left = {1: done(20), 4: done(2, "merge")}
    assert time_left(left, 4, 0, 22) == (pytest.approx(10 + 1), False)
    progress._measured.add("fit")  # by a former run
    assert time_left({}, 4, 0, 0) == (180, False)


def test_time_left_without_the_graph() -> None:
    assert time_left({1: running(0)}, 3, 0, 50) == (0, False)
    left = time_left({1: done(100), 2: running(100)}, 3, 0, 120)
    assert left == (pytest.approx(240), False)


def test_lengths_of_time() -> None:
    texts = ["0 s", "1 min", "1 h 00 min", "4 h 05 min", "278 h"]
    assert [duration(seconds) for seconds in (0.4, 59.6, 3599, 14_700, 1e6)] == texts


def test_end_of_a_log(tmp_path: Path) -> None:
    log = tmp_path / "a.log"
    log.write_bytes(b"\n".join(b"line %d" % n for n in range(50)) + b"\n\n10%\r50%\r\xff100%\n")
    found = tail(log)
    assert len(found) == 20
    assert found[-1].endswith("100%") and "50%" not in found[-1]
    assert tail(tmp_path / "none.log") == []


def test_how_a_command_ended() -> None:
    failed, killed = "returned non-zero exit status 75.", "died with <Signals.SIGKILL: 9>."
    assert ended(f"CalledProcessError:\nCommand 'x' {failed}") == "exit status 75"
    assert ended(f"CalledProcessError: Command 'x' {killed}") == "killed by SIGKILL"
    assert ended("CalledProcessError: Command 'x' did something else") is None


def test_slurms_log_is_shown_where_the_rules_own_is_empty(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.argv", ["snakemake", "--profile", "slurm", "-j9", "all_tables"])
    (tmp_path / "slurm.log").write_text("slurmstepd: Exceeded job memory limit\n")
    logs = [str(tmp_path / "rule.log"), str(tmp_path / "slurm.log")]
    record = {"output": ["out.json (send to storage)"], "log": logs, "threads": 4}
    job = Job("sft (model=m)", "sft", "failed", 0, None, record, "SLURM status is: 'OUT_OF_MEMORY'")
    text = failure_block(job)
    assert text.startswith("Error in rule sft (model=m): SLURM status is: 'OUT_OF_MEMORY'")
    assert "rule.log (nothing in it)\n" in text
    assert "  | slurmstepd: Exceeded job memory limit" in text
    assert text.endswith(" --profile slurm --cores 4 --executor local --nolock -- out.json")


def test_a_refusal_of_the_snakefile_is_shown_alone() -> None:
    place = 'WorkflowError in file "/x/common.smk", line 9:\n'
    assert restated(f"{place}error: a: b\n  File", "") == "error: a: b\n  File"
    assert restated(f'{place}error: a: b\n  File "/x/common.smk", line 9', "") == "error: a: b"
    assert restated(f"{place}something else", "") == f"{place}something else"


def send(handler: LogHandler, event: LogEvent | None, message: str = "", **fields: Any) -> None:
    level = logging.ERROR if event in (LogEvent.ERROR, LogEvent.JOB_ERROR) else logging.INFO
    record = logging.LogRecord("snakemake", level, "", 0, message, (), None)
    record.__dict__.update(fields | ({"event": event} if event else {}))
    handler.emit(record)


STARTED: dict[str, Any] = {
    "jobid": 1,
    "rule_name": "sft",
    "wildcards": {"model": "m"},
    "output": ["out"],
    "log": ["no.log"],
    "threads": 1,
    "local": True,
}


def begin() -> LogHandler:
    """The handler of a run of two trainings and a merge, of which one training has started."""
    handler = LogHandler(MockOutputSettings(), LogHandlerSettings())
    send(handler, LogEvent.RUN_INFO, stats={"sft": 2, "merge": 1, "all": 1, "total": 4})
    send(handler, LogEvent.JOB_INFO, **STARTED)
    return handler


def test_a_line_of_progress(capsys: pytest.CaptureFixture[str]) -> None:
    handler = begin()
    send(handler, LogEvent.JOB_INFO, **STARTED | {"jobid": 2, "local": False})
    send(handler, LogEvent.JOB_INFO, **STARTED | {"jobid": 9, "rule_name": "all_tables"})
    send(handler, LogEvent.JOB_FINISHED, job_id=1)
    send(handler, LogEvent.JOB_FINISHED, job_id=9)
    handler._written = 0.0
    handler._show(1000.0 + handler._begun)
    handler.close()
    line = capsys.readouterr().err.splitlines()[-3]
    assert line.endswith("1 of 3 done, 1 queued, 1 to come, about 33 min left | sft 1/2")


def test_a_guess_and_what_a_job_warned_of_are_shown(
    limits: dict[str, int], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    log = tmp_path / "a.log"
    log.write_text("50%\r100%\r \rwarning: 3 items are short\nwarning: 3 items are short\nfine\n")
    limits["_cores"] = 1
    handler = begin()
    handler._written = 0.0
    handler._show(handler._begun)
    send(handler, LogEvent.JOB_INFO, **STARTED | {"log": ["no.log", str(log)]})
    send(handler, LogEvent.JOB_FINISHED, job_id=1)
    handler.close()
    text = capsys.readouterr().err
    assert "0 of 3 done, 1 running, 2 to come, about 4 min left (a first guess) | sft 0/2" in text
    assert text.count("sft (model=m): warning: 3 items are short\n") == 1 and "fine" not in text


def test_a_job_that_is_tried_again_is_no_failure(capsys: pytest.CaptureFixture[str]) -> None:
    handler = begin()
    failed = STARTED | {"rule_msg": "node failed", "shellcmd": "train"}
    send(handler, LogEvent.JOB_ERROR, **failed)
    send(handler, None, "Trying to restart job 1.")
    send(handler, LogEvent.JOB_INFO, **STARTED)
    send(handler, LogEvent.JOB_FINISHED, job_id=1)
    handler.close()
    text = capsys.readouterr().err
    assert "sft (model=m): node failed; it is tried again" in text
    assert "Error in rule" not in text
    assert "1 of 3 jobs done, 2 not done, in" in text


def test_failures_are_told_with_their_reason_and_once(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.argv", ["snakemake", "all"])
    handler = begin()
    end = "CalledProcessError in file x: Command 'train' returned non-zero exit status 3."
    send(handler, LogEvent.ERROR, end)
    send(handler, LogEvent.JOB_ERROR, **STARTED | {"rule_msg": None, "shellcmd": "train"})
    send(handler, LogEvent.JOB_INFO, **STARTED | {"jobid": 2})
    send(handler, LogEvent.ERROR, "Job 2  completed successfully, but some files are missing")
    send(handler, LogEvent.ERROR, "WorkflowError: At least one job did not complete successfully.")
    handler.close()
    handler.close()
    text = capsys.readouterr().err
    assert text.count("Error in rule sft (model=m): exit status 3") == 1
    assert text.count("Error in rule sft (model=m): Job 2  completed successfully, but") == 1
    assert "CalledProcessError" not in text and "At least one job" not in text
    assert "0 of 3 jobs done, 2 failed, 1 not done, in" in text
    assert "failed: sft (model=m): exit status 3\n" in text
