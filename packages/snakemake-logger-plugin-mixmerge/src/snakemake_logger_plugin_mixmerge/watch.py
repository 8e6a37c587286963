"""Watching a run: takes Snakemake's records, keeps the board, shows it."""

import logging
import re
import threading
import time
from dataclasses import replace
from typing import Any

from snakemake_interface_logger_plugins.common import LogEvent

from mixmerge.resources.jobs import job_from
from snakemake_logger_plugin_mixmerge.board import Board, State
from snakemake_logger_plugin_mixmerge.expected import current
from snakemake_logger_plugin_mixmerge.failure import Failure, ended
from snakemake_logger_plugin_mixmerge.joblist import resources_of
from snakemake_logger_plugin_mixmerge.left import Left, left
from snakemake_logger_plugin_mixmerge.noise import is_noise
from snakemake_logger_plugin_mixmerge.screen import Lines, Picture, Screen, Terminal
from snakemake_logger_plugin_mixmerge.squeue import Queue
from snakemake_logger_plugin_mixmerge.summary import summary

#: Seconds that a failure waits for Snakemake's word that it tries again.
PATIENCE = 3.0
#: Seconds between two questions to Slurm.
ASK_SLURM = 30.0
#: Seconds between two estimates of the time left; a big graph takes a while to schedule.
ESTIMATE = 5.0

#: What executors' interface adds to every message.
SEE_ALSO = (
    "For further error details see the cluster/cloud log and the log files of the involved rule(s)."
)

_AGAIN = re.compile(r"Trying to restart job (\d+)\.")
_INCOMPLETE = re.compile(r"Job (\d+)\s+completed successfully, but")


class Watch:
    """Keeps the board from Snakemake's records and shows it.

    Snakemake's records come in one thread; the clock (time left, Slurm's queue, lines of a log)
    ticks in another; ``lock`` guards what both touch.
    """

    def __init__(
        self, own: logging.Handler, quiet: bool, shell_commands: bool, color: bool, seconds: int
    ) -> None:
        """Wait for a run to start.

        Args:
            own: Snakemake's own handler, for what has nothing to do with jobs.
            quiet: show failures, warnings and errors only.
            shell_commands: show each job's command.
            color: whether colours are allowed.
            seconds: seconds between two lines of progress in a file.
        """
        self._own = own
        self._quiet = quiet
        self._shell_commands = shell_commands
        self._color = color
        self._seconds = seconds
        self._board = Board()
        self._failures: dict[int, Failure] = {}
        self._reasons: list[tuple[str, str]] = []
        self._left: Left | None = None
        self._estimated = 0.0
        self._queue = Queue()
        self._remote = False
        self._screen: Screen | None = None
        self._begun = time.monotonic()
        self._lock = threading.RLock()
        self._end = threading.Event()
        self._clock = threading.Thread(target=self._tick, name="mixmerge-watch", daemon=True)

    def emit(self, record: logging.LogRecord) -> None:
        """Take one record of Snakemake's."""
        with self._lock:
            self._take(record, record.__dict__, time.monotonic())

    def _take(self, record: logging.LogRecord, fields: dict[str, Any], now: float) -> None:
        match fields.get("event"):
            case LogEvent.RUN_INFO:
                self._begin(fields["stats"])
            case LogEvent.JOB_INFO:
                job = job_from({**fields, "resources": resources_of(fields["resources"])})
                # On a cluster it was handed over, which is all that Snakemake knows.
                state = State.RUNNING if fields["local"] else State.QUEUED
                self._remote = self._remote or not fields["local"]
                self._failures.pop(job.number, None)
                self._board.start(job, state, now, fields["log"])
            case LogEvent.JOB_FINISHED:
                self._board.move(fields["job_id"], State.DONE, now)
            case LogEvent.JOB_ERROR:
                self._fail(fields, now)
            case LogEvent.SHELLCMD:
                command = fields.get("shellcmd") or fields.get("cmd")
                if self._shell_commands and command and not self._quiet:
                    self._say(str(command))
            case LogEvent.ERROR:
                self._error(record, now)
            case LogEvent.GROUP_INFO | LogEvent.GROUP_ERROR | LogEvent.PROGRESS:
                pass
            case LogEvent.WORKFLOW_STARTED | LogEvent.RESOURCES_INFO | LogEvent.RULEGRAPH:
                pass
            case _:
                self._message(record, str(record.msg or ""))

    def _begin(self, totals: dict[str, int]) -> None:
        self._board.expect(totals)
        if not self._quiet and self._screen is None:
            kind = Terminal if Terminal.possible() else Lines
            self._screen = kind(self._picture, self._color, self._seconds)
            self._screen.tick()
        if not self._clock.is_alive():
            self._clock.start()

    def _fail(self, fields: dict[str, Any], now: float) -> None:
        number = fields["jobid"]
        started = self._board.started.get(number)
        command = str(fields["shellcmd"] or "")
        why = next((why for text, why in self._reasons if command and command in text), None)
        self._reasons = [(text, why) for text, why in self._reasons if command not in text]
        self._failures[number] = Failure(
            number=number,
            rule=fields["rule_name"],
            wildcards=started.job.wildcards if started else {},
            outputs=list(fields["output"]),
            threads=started.job.threads if started else 1,
            log=list(fields["log"]),
            why=(fields["rule_msg"] or why or "it failed").removesuffix(SEE_ALSO).strip(),
            when=now,
        )
        self._board.move(number, State.FAILED, now)

    def _error(self, record: logging.LogRecord, now: float) -> None:
        """An exception: the end of a job's command is told with the job, others as they are."""
        text = str(record.msg)
        how = ended(text) if "CalledProcessError" in text else None
        if how is not None:
            self._reasons.append((text, how))
        elif "At least one job did not complete successfully" in text and self._failures:
            pass  # the summary says which
        elif found := _INCOMPLETE.search(text):
            self._lost_output(int(found[1]), text, now)
        else:
            self._say(text, record.levelno)

    def _lost_output(self, number: int, text: str, now: float) -> None:
        """A job's command ended well and left no output, which Snakemake tells in prose."""
        started = self._board.started.get(number)
        if started is None:
            self._say(text, logging.ERROR)
            return
        job = started.job
        self._failures[number] = Failure(
            *(number, job.rule, job.wildcards, list(job.outputs), job.threads, started.log),
            why=text,
            when=now,
        )
        self._board.move(number, State.FAILED, now)

    def _message(self, record: logging.LogRecord, text: str) -> None:
        if found := _AGAIN.match(text):
            self._again(int(found[1]))
        elif self._failures and text.startswith("Exiting because a job execution failed"):
            pass  # the summary says which
        elif self._queue.heard(text):
            self._remote = True
        elif not is_noise(text) and (record.levelno > logging.INFO or not self._quiet):
            self._say(text, record.levelno)

    def _again(self, number: int) -> None:
        """A failed job is tried once more: one line, no more."""
        failure = self._failures.pop(number, None)
        started = self._board.started.get(number)
        if failure and started:
            log = f"; log: {failure.log[0]}" if failure.log else ""
            why = failure.why.splitlines()[0]
            self._say(f"{failure.name}: {why.rstrip('.')}; it is tried again{log}", logging.WARNING)
            started.state = State.QUEUED

    def _say(self, text: str, level: int = logging.INFO) -> None:
        """Show a message beside the board."""
        if self._screen is not None:
            self._screen.say(text, level)
        else:
            self._own.handle(logging.LogRecord("mixmerge", level, "", 0, text, (), None))

    def _tell_failures(self, now: float, patience: float) -> None:
        for failure in self._failures.values():
            if not failure.shown and now - failure.when >= patience:
                self._say(failure.block(beside=patience > 0), logging.ERROR)

    def _picture(self) -> Picture:
        """The run as it stands now."""
        with self._lock:
            remark = ""
            if not self._queue.answers and self._board.in_state(State.QUEUED):
                remark = "queued: submitted; what of it runs is not known"
            elapsed = time.monotonic() - self._begun
            stages, total = self._board.counts(), self._board.total()
            since = time.monotonic() - self._estimated
            known = self._left
            rest = replace(known, seconds=max(0.0, known.seconds - since)) if known else None
            return Picture(stages, total, rest, elapsed, self._remote, remark)

    def _tick(self) -> None:
        """The clock's thread."""
        asked = 0.0
        pause = ESTIMATE
        while not self._end.wait(0.5):
            now = time.monotonic()
            if self._queue.run and now - asked >= ASK_SLURM:
                self._ask_queue()
                asked = now
            if now - self._estimated >= pause:
                with self._lock:
                    self._left = left(self._board, current(), now)
                    self._estimated = time.monotonic()
                # A graph of ten thousand jobs takes its time: no more than a twentieth of it all.
                pause = max(ESTIMATE, 20 * (self._estimated - now))
            with self._lock:
                self._tell_failures(now, PATIENCE)
            if self._screen is not None:
                self._screen.tick()

    def _ask_queue(self) -> None:
        found = self._queue.ask()
        with self._lock:
            for number, runs in found.items():
                started = self._board.started.get(number)
                if started and started.state in (State.QUEUED, State.RUNNING):
                    state = State.RUNNING if runs else State.QUEUED
                    self._board.move(number, state, time.monotonic())

    def close(self) -> None:
        """The run is over: what is still to say, and the summary."""
        self._end.set()
        if self._clock.is_alive():
            self._clock.join(timeout=30)
        with self._lock:
            self._tell_failures(time.monotonic(), patience=0)
            if self._screen is not None:
                self._screen.close()
                self._screen = None
            if self._board.started and not (self._quiet and not self._failures):
                failures = list(self._failures.values())
                text = summary(self._board, failures, time.monotonic() - self._begun)
                level = logging.ERROR if failures else logging.INFO
                self._say(text, level)
