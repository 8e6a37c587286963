"""The logger plugin: takes Snakemake's records, and shows progress, failures and a summary."""

import logging
import os
import re
import shutil
import sys
import threading
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

from snakemake_interface_logger_plugins.base import LogHandlerBase
from snakemake_interface_logger_plugins.common import LogEvent
from snakemake_interface_logger_plugins.settings import LogHandlerSettingsBase

from snakemake_logger_plugin_mixmerge.messages import command, ended, failure_block, restated, tail
from snakemake_logger_plugin_mixmerge.progress import Job, duration, is_target, time_left

#: Seconds that a failure waits for a retry.
_PATIENCE = 3.0
#: Seconds between a file's lines with news.
_PAUSE = 30.0
#: Seconds between its lines where nothing is new.
_HEARTBEAT = 600.0
_TOLD_WITH_JOBS = ("Exception in run_job for rule", "Exiting because a job execution failed")
_SEE_ALSO = "For further error details see the cluster/cloud log and the log files of the involved"


@dataclass
class LogHandlerSettings(LogHandlerSettingsBase):
    """Settings of the plugin, as ``--logger-mixmerge-...`` on Snakemake's command line."""

    off: bool = field(default=False, metadata={"help": "Leave all output to Snakemake."})
    config_reader: str = field(
        default="", metadata={"help": "Function `module:name`: reads a config or says why not."}
    )


class LogHandler(LogHandlerBase):
    """Shows progress; a dry run, ``--verbose`` and ``--quiet all`` look as Snakemake's own do."""

    writes_to_stream = True
    writes_to_file = False
    has_filter = True
    has_formatter = True
    needs_rulegraph = False

    def __post_init__(self) -> None:
        """Choose between Snakemake's own way to show a run and this one."""
        from snakemake.logging import ColorizingTextHandler, DefaultFilter, DefaultFormatter

        common, settings = self.common_settings, self.settings or LogHandlerSettings()
        assert isinstance(settings, LogHandlerSettings)
        shown = (common.debug_dag, common.verbose, common.dryrun, common.printshellcmds)
        self._own: logging.Handler = ColorizingTextHandler(
            nocolor=common.nocolor,
            stream=sys.stdout if common.stdout else sys.stderr,
            filter=DefaultFilter(common.quiet, *shown),
            formatter=DefaultFormatter(common.quiet, common.show_failed_logs),
        )
        self._passive = settings.off or any(shown[:3]) or "all" in map(str, common.quiet or ())
        self._quiet, self._reader = bool(common.quiet), settings.config_reader
        self._terminal = sys.stderr.isatty() and os.environ.get("TERM", "dumb") != "dumb"
        self._totals: dict[str, int] = {}
        self._jobs: dict[int, Job] = {}
        self._errors: list[str] = []
        self._total, self._shows_progress = 0, False
        self._begun, self._written, self._last = time.monotonic(), 0.0, [""]
        # Records come in a thread of Snakemake's, the clock ticks in another.
        self._guard, self._end = threading.RLock(), threading.Event()
        if not self._passive:
            threading.Thread(target=self._tick, name="progress", daemon=True).start()

    def emit(self, record: logging.LogRecord) -> None:
        """Show a record; a fault in showing never ends the run."""
        try:
            if record.levelno >= logging.ERROR and isinstance(record.msg, str):
                record.msg = restated(record.msg, self._reader)
            with self._guard:
                take = self._own.handle if self._passive else self._take
                take(record)
        except BrokenPipeError:
            pass  # nobody reads on, as in `snakemake -n | head`
        except Exception:
            self.handleError(record)

    def close(self) -> None:
        """Show the summary. Snakemake closes a handler, and at its exit Python does again."""
        with self._guard:
            if not self._end.is_set() and not self._passive:
                self._end.set()
                self._tell_failures(patience=0)
                if self._failed() or (self._shows_progress and self._jobs):
                    self._show_summary()
        super().close()

    def _take(self, record: logging.LogRecord) -> None:
        fields, text, level = record.__dict__, str(record.msg or ""), record.levelno
        now = time.monotonic()
        match fields.get("event"):
            case LogEvent.RUN_INFO:
                totals = fields["stats"].items()
                self._totals = {r: n for r, n in totals if r != "total" and not is_target(r)}
                self._total = sum(self._totals.values())
                # What a single job prints is not written over.
                self._shows_progress = self._total > 1 and not self._quiet
            case LogEvent.JOB_INFO if not is_target(rule := fields["rule_name"]):
                # Handed over to a cluster: that is all that Snakemake knows.
                state = "running" if fields["local"] else "queued"
                values = [f"{key}={value}" for key, value in (fields["wildcards"] or {}).items()]
                name = f"{rule} ({', '.join(values)})" if values else rule
                self._jobs[fields["jobid"]] = Job(name, rule, state, now, record=fields)
            case LogEvent.JOB_FINISHED if job := self._jobs.get(fields["job_id"]):
                job.state, job.took = "done", now - job.since
                # What a job warned of, such as data left out, is in its log alone.
                lines = dict.fromkeys(s for log in job.record["log"] for s in tail(Path(log), 1000))
                for line in [s for s in lines if s.startswith("warning: ")][:5]:
                    self._say(f"{job.name}: {line}", logging.WARNING)
            case LogEvent.JOB_ERROR:
                line = str(fields["shellcmd"] or "")
                why = next((ended(t) for t in self._errors if line and line in t), None)
                why = str(fields["rule_msg"] or why or "it failed")
                self._fail(fields["jobid"], why.partition(_SEE_ALSO)[0].strip(), now)
            case LogEvent.SHELLCMD if self.common_settings.printshellcmds and not self._quiet:
                self._say(str(fields.get("shellcmd") or fields.get("cmd") or ""))
            case LogEvent.ERROR if ended(text):
                self._errors.append(text)  # told with the job
            case LogEvent.ERROR:
                lost = re.search(r"Job (\d+)\s+completed successfully, but", text)
                if lost and int(lost[1]) in self._jobs:
                    self._fail(int(lost[1]), text, now)
                elif not (self._failed() and "At least one job did not complete" in text):
                    self._say(text, level)
            case None if again := re.match(r"Trying to restart job (\d+)\.", text):
                if job := self._jobs.get(int(again[1])):
                    why = job.failure.partition("\n")[0].rstrip(".") or "it failed"
                    log = "".join(f"; log: {log}" for log in job.record["log"][:1])
                    self._say(f"{job.name}: {why}; it is tried again{log}", logging.WARNING)
                    job.state, job.since = "queued", now
            case None if not text.startswith(_TOLD_WITH_JOBS):
                if level > logging.INFO or (text.startswith("Nothing to be") and not self._quiet):
                    self._say(text, level)

    def _fail(self, number: int, why: str, now: float) -> None:
        if job := self._jobs.get(number):
            job.state, job.since, job.failure = "failed", now, why

    def _failed(self) -> list[Job]:
        return [job for job in self._jobs.values() if job.state == "failed"]

    def _say(self, text: str, level: int = logging.INFO) -> None:
        """Write a message as Snakemake does, above the progress."""
        if self._terminal and self._shows_progress:
            print("\r\x1b[K", end="", file=sys.stderr)
        self._own.handle(logging.LogRecord("run", level, "", 0, text, (), None))

    def _tell_failures(self, patience: float) -> None:
        for job in self._failed():
            if not job.is_told and time.monotonic() - job.since >= patience:
                job.is_told = True
                self._say(failure_block(job), logging.ERROR)

    def _tick(self) -> None:
        while not self._end.wait(1):
            with self._guard:
                self._tell_failures(_PATIENCE)
                if self._shows_progress and not self._end.is_set():
                    self._show(time.monotonic())

    def _show(self, now: float) -> None:
        """A line of progress: redrawn on a terminal; in a file where something has changed."""
        states, total = Counter(job.state for job in self._jobs.values()), self._total
        states["to come"] = total - len(self._jobs)
        names = [name for name in ("running", "queued", "to come", "failed") if states[name] > 0]
        parts = [f"{states['done']} of {total} done", *(f"{states[name]} {name}" for name in names)]
        pause = _PAUSE if parts != self._last else _HEARTBEAT
        if not self._terminal and now - self._written < pause:
            return
        self._written, self._last = now, parts
        left, is_guess = time_left(self._jobs, total, self._begun, now)
        done = Counter(job.rule for job in self._jobs.values() if job.state == "done")
        at_work = dict.fromkeys(job.rule for job in self._jobs.values() if job.state != "done")
        parts = parts + [f"about {duration(left)} left{' (a first guess)' * is_guess}"] * bool(left)
        rules = [f" | {rule} {done[rule]}/{self._totals.get(rule, 1)}" for rule in at_work]
        line = f"[{time.strftime('%H:%M:%S')}] {', '.join(parts)}{''.join(rules)}"
        if self._terminal:
            line = line[: shutil.get_terminal_size().columns - 1]
            print(f"\r\x1b[K{line}", end="", file=sys.stderr, flush=True)
        else:
            self._say(line)

    def _show_summary(self) -> None:
        """How many jobs were done, which failed, how long it took, and what to do next."""
        total, failed = self._total, self._failed()
        done = sum(job.state == "done" for job in self._jobs.values())
        counts = {"failed": len(failed), "not done": total - done - len(failed)}
        parts = [f"{number} {state}" for state, number in counts.items() if number]
        took = duration(time.monotonic() - self._begun)
        lines = [", ".join([f"{done} of {total} jobs done", *parts, f"in {took}."])]
        lines += [f"failed: {job.name}: {job.failure.splitlines()[0]}" for job in failed[:10]]
        lines += [f"... and {len(failed) - 10} more failed"] if len(failed) > 10 else []
        if done < total > 1:
            lines.append(f"Then go on, what is done is kept: {command(*sys.argv[1:])}")
        self._say("\n".join(lines), logging.ERROR if failed else logging.INFO)
