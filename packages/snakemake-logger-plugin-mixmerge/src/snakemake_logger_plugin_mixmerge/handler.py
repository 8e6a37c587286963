"""The plugin's side towards Snakemake: takes its records, and shows board, failures and summary."""

import contextlib
import logging
import re
import sys
import threading
import time
from dataclasses import dataclass, field
from typing import Any

from snakemake_interface_logger_plugins.base import LogHandlerBase
from snakemake_interface_logger_plugins.common import LogEvent
from snakemake_interface_logger_plugins.settings import LogHandlerSettingsBase

from snakemake_logger_plugin_mixmerge.board import Board, Job, State, is_target
from snakemake_logger_plugin_mixmerge.eta import time_left
from snakemake_logger_plugin_mixmerge.failures import Failure, command, ended, restated
from snakemake_logger_plugin_mixmerge.screen import Lines, Terminal, duration

#: Seconds that a failure waits for Snakemake's word that it tries again.
_PATIENCE = 3.0
#: Seconds between two estimates of the time left.
_ESTIMATE = 5.0
#: Failed jobs that the summary names.
_NAMED = 10
#: What executors' interface adds to every message.
_SEE_ALSO = (
    "For further error details see the cluster/cloud log and the log files of the involved rule(s)."
)
_AGAIN = re.compile(r"Trying to restart job (\d+)\.")
_NO_OUTPUT = re.compile(r"Job (\d+)\s+completed successfully, but")


@dataclass
class LogHandlerSettings(LogHandlerSettingsBase):
    """Settings of the plugin, as ``--logger-mixmerge-...`` on Snakemake's command line."""

    off: bool = field(
        default=False, metadata={"help": "Show what Snakemake shows without this plugin."}
    )
    seconds: int = field(
        default=30,
        metadata={"help": "In a file: seconds between two lines of progress.", "type": int},
    )
    stages: list[str] = field(
        default_factory=list,
        metadata={
            "help": "Rules that are counted together, as `data=fetch,split train=fit`; other rules"
            " are counted by themselves.",
            "nargs": "+",
        },
    )
    config_reader: str = field(
        default="",
        metadata={
            "help": "Function `module:name` that reads a config file and whose exception says why"
            " it cannot; what Snakemake says of such a file is replaced by that."
        },
    )


class LogHandler(LogHandlerBase):
    """Shows progress; a dry run, ``--verbose`` and ``--quiet all`` look as Snakemake's own do.

    Snakemake calls it from a thread of its own, one record after the other, in the process that
    drives the run: the nested ones that run a job skip logger plugins.
    """

    writes_to_stream = True
    writes_to_file = False
    # What is shown or not is decided here, and job events must arrive under --quiet as well.
    has_filter = True
    has_formatter = True
    needs_rulegraph = False

    def __post_init__(self) -> None:
        """Choose between Snakemake's own way to show a run and the board."""
        from snakemake.logging import ColorizingTextHandler, DefaultFilter, DefaultFormatter

        common, settings = self.common_settings, self.settings or LogHandlerSettings()
        assert isinstance(settings, LogHandlerSettings)
        shown = (common.debug_dag, common.verbose, common.dryrun, common.printshellcmds)
        own: logging.Handler = ColorizingTextHandler(
            nocolor=common.nocolor,
            stream=sys.stdout if common.stdout else sys.stderr,
            filter=DefaultFilter(common.quiet, *shown),
            formatter=DefaultFormatter(common.quiet, common.show_failed_logs),
        )
        quiet = {str(word) for word in common.quiet or ()}
        passive = settings.off or common.dryrun or common.verbose or common.debug_dag
        self._own, self._config_reader = own, settings.config_reader
        self._run = None
        if not passive and "all" not in quiet:
            is_quiet = bool({"progress", "rules"} & quiet)
            self._run = Run(own, settings, is_quiet, common.printshellcmds, not common.nocolor)
        self._closed = False

    def emit(self, record: logging.LogRecord) -> None:
        """Show a record; a fault in showing never ends the run."""
        try:
            if record.levelno >= logging.ERROR and isinstance(record.msg, str):
                record.msg = restated(record.msg, self._config_reader)
            if self._run is None:
                self._own.handle(record)
            else:
                self._run.take(record)
        except BrokenPipeError:
            pass  # nobody reads on, as in `snakemake -n | head`
        except Exception:
            self.handleError(record)

    def close(self) -> None:
        """Show what is left. Snakemake closes a handler, and at its exit Python does again."""
        if not self._closed:
            self._closed = True
            with contextlib.suppress(BrokenPipeError):
                (self._own if self._run is None else self._run).close()
        super().close()


class Run:
    """One run: keeps the board from Snakemake's records and shows it.

    Records come in one thread, the clock ticks in another; a lock guards what both touch.

    Args:
        own: Snakemake's own handler, for what has nothing to do with jobs.
        settings: of the plugin.
        quiet: show failures, warnings and errors only.
        commands: show each job's command.
        color: whether colours are allowed.
    """

    def __init__(
        self,
        own: logging.Handler,
        settings: LogHandlerSettings,
        quiet: bool,
        commands: bool,
        color: bool,
    ) -> None:
        self._own, self._quiet, self._commands, self._color = own, quiet, commands, color
        self._seconds = settings.seconds
        stages = (stage.partition("=") for stage in settings.stages or ())
        self._board = Board({name: rules.split(",") for name, _, rules in stages})
        self._failures: dict[int, Failure] = {}
        self._reasons: list[tuple[str, str]] = []
        self._left: tuple[float, bool] | None = None
        self._estimated, self._begun = 0.0, time.monotonic()
        self._screen: Terminal | Lines | None = None
        self._lock, self._end = threading.RLock(), threading.Event()
        self._clock = threading.Thread(target=self._tick, name="progress", daemon=True)

    def take(self, record: logging.LogRecord) -> None:
        """Take one record of Snakemake's."""
        fields, now, text = record.__dict__, time.monotonic(), str(record.msg or "")
        with self._lock:
            match fields.get("event"):
                case LogEvent.RUN_INFO:
                    self._begin(fields["stats"])
                case LogEvent.JOB_INFO:
                    self._start(fields, now)
                case LogEvent.JOB_FINISHED:
                    self._board.move(fields["job_id"], State.DONE, now)
                case LogEvent.JOB_ERROR:
                    line = str(fields["shellcmd"] or "")
                    why = next((why for text, why in self._reasons if line and line in text), "")
                    why = str(fields["rule_msg"] or why or "it failed").removesuffix(_SEE_ALSO)
                    self._fail(fields["jobid"], why.strip(), now)
                case LogEvent.SHELLCMD:
                    line = str(fields.get("shellcmd") or fields.get("cmd") or "")
                    if self._commands and line and not self._quiet:
                        self._say(line)
                case LogEvent.ERROR:
                    self._error(text, record.levelno, now)
                case None:
                    self._message(text, record.levelno)

    def _begin(self, totals: dict[str, int]) -> None:
        self._board.totals = {
            rule: n for rule, n in totals.items() if rule != "total" and not is_target(rule)
        }
        # Of a single job there is nothing to count, and what it prints is not drawn over.
        if not self._quiet and self._screen is None and sum(self._board.totals.values()) > 1:
            if Terminal.is_possible():
                self._screen = Terminal(self._board, self._remaining, self._color)
            else:
                self._screen = Lines(self._board, self._remaining, self._seconds)
            self._screen.tick()
        if not self._clock.is_alive():
            self._clock.start()

    def _start(self, fields: dict[str, Any], now: float) -> None:
        """A job starts, for the first time or again."""
        number, rule = fields["jobid"], fields["rule_name"]
        self._failures.pop(number, None)
        self._board.remote = self._board.remote or not fields["local"]
        # Handed over to a cluster: that is all that Snakemake knows.
        state = State.RUNNING if fields["local"] else State.QUEUED
        details = (fields["wildcards"] or {}, list(fields["output"]), fields["threads"])
        if not is_target(rule):
            self._board.jobs[number] = Job(rule, *details, list(fields["log"]), state, now)

    def _fail(self, number: int, why: str, now: float) -> None:
        if job := self._board.jobs.get(number):
            self._failures[number] = Failure(job, why, now)
            self._board.move(number, State.FAILED, now)

    def _error(self, text: str, level: int, now: float) -> None:
        """An exception: the end of a job's command is told with the job, others as they are."""
        how = ended(text) if "CalledProcessError" in text else None
        lost = _NO_OUTPUT.search(text)
        if how is not None:
            self._reasons.append((text, how))
        elif lost and int(lost[1]) in self._board.jobs:
            self._fail(int(lost[1]), text, now)
        elif not (self._failures and "At least one job did not complete successfully" in text):
            self._say(text, level)

    def _message(self, text: str, level: int) -> None:
        if found := _AGAIN.match(text):
            if failure := self._failures.pop(int(found[1]), None):
                log = f"; log: {failure.job.log[0]}" if failure.job.log else ""
                why = failure.why.splitlines()[0].rstrip(".")
                self._say(f"{failure.job.name}: {why}; it is tried again{log}", logging.WARNING)
                self._board.move(int(found[1]), State.QUEUED, time.monotonic())
        elif self._failures and text.startswith("Exiting because a job execution failed"):
            pass  # the summary says which
        elif text.startswith("Exception in run_job for rule"):
            pass  # it is told with the job, without the traceback
        elif level > logging.INFO or (text.startswith("Nothing to be done") and not self._quiet):
            self._say(text, level)

    def _say(self, text: str, level: int = logging.INFO) -> None:
        """Show a message beside the board."""
        if self._screen is not None:
            self._screen.say(text, level)
        else:
            self._own.handle(logging.LogRecord("run", level, "", 0, text, (), None))

    def _tell_failures(self, patience: float) -> None:
        for failure in self._failures.values():
            if not failure.shown and time.monotonic() - failure.when >= patience:
                self._say(failure.block(), logging.ERROR)

    def _remaining(self) -> str:
        """The time left in words, as last estimated."""
        if self._left is None:
            return ""
        seconds, partial = self._left
        seconds -= time.monotonic() - self._estimated
        if partial and seconds < 1:
            return ""
        return f"{'at least' if partial else 'about'} {duration(max(0.0, seconds))} left"

    def _tick(self) -> None:
        """The clock's thread."""
        pause = _ESTIMATE
        while not self._end.wait(0.5):
            with self._lock:
                now = time.monotonic()
                if now - self._estimated >= pause:
                    self._left = time_left(self._board, now)
                    self._estimated = time.monotonic()
                    # Thousands of jobs take a while: no more than a twentieth of the time.
                    pause = max(_ESTIMATE, 20 * (self._estimated - now))
                self._tell_failures(_PATIENCE)
                if self._screen is not None:
                    self._screen.tick()

    def close(self) -> None:
        """The run is over: what is still to say, and the summary."""
        self._end.set()
        if self._clock.is_alive():
            self._clock.join(timeout=30)
        with self._lock:
            self._tell_failures(patience=0)
            had_screen, screen, self._screen = self._screen is not None, self._screen, None
            if screen is not None:
                screen.close()
            if self._failures or (had_screen and self._board.jobs):
                level = logging.ERROR if self._failures else logging.INFO
                self._say(self._summary(), level)

    def _summary(self) -> str:
        """How many jobs were done, which failed, how long it took, and what to do next."""
        total, failures = self._board.total(), list(self._failures.values())
        counts = [f"{total.done} of {total.total} jobs done"]
        counts += [f"{total.failed} failed"] if total.failed else []
        others = total.total - total.done - total.failed
        counts += [f"{others} not done"] if others else []
        lines = [f"{', '.join(counts)}, in {duration(time.monotonic() - self._begun)}."]
        lines += [f"failed: {f.job.name}: {f.why.splitlines()[0]}" for f in failures[:_NAMED]]
        if len(failures) > _NAMED:
            lines.append(f"... and {len(failures) - _NAMED} more failed")
        if total.done < total.total and total.total > 1:
            lines.append(f"Then go on, what is done is kept: {command(*sys.argv[1:])}")
        return "\n".join(lines)
