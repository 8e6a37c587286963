"""The plugin's face to Snakemake: which of three ways to show a run this one takes."""

import contextlib
import logging
import sys
from typing import Protocol

from snakemake_interface_logger_plugins.base import LogHandlerBase

from snakemake_logger_plugin_mixmerge.joblist import JobList
from snakemake_logger_plugin_mixmerge.settings import LogHandlerSettings
from snakemake_logger_plugin_mixmerge.unread import restated


class Shown(Protocol):
    """A way to show a run."""

    def emit(self, record: logging.LogRecord) -> None:
        """Take one record of Snakemake's."""

    def close(self) -> None:
        """Show what is left; nothing comes after it."""


class Own:
    """Snakemake's own way."""

    def __init__(self, handler: logging.Handler) -> None:
        self._handler = handler

    def emit(self, record: logging.LogRecord) -> None:
        """Show a record, where Snakemake's own filter lets it pass."""
        self._handler.handle(record)

    def close(self) -> None:
        """Show what is left."""
        self._handler.close()


class LogHandler(LogHandlerBase):
    """Shows progress; a dry run, ``--verbose`` and ``--quiet all`` look as Snakemake's own do.

    Snakemake calls it from a thread of its own, one record after the other, in the process that
    drives the run: the nested ones that run a job (``--mode subprocess`` or ``remote``) skip
    logger plugins.
    """

    def __post_init__(self) -> None:
        """Choose the way."""
        settings = self.settings or LogHandlerSettings()
        assert isinstance(settings, LogHandlerSettings)
        common = self.common_settings
        self._way: Shown
        quiet = {str(word) for word in common.quiet or ()}
        if common.dryrun and settings.jobs is not None:
            self._way = JobList(settings.jobs, self._own())
        elif settings.off or common.dryrun or common.verbose or common.debug_dag or "all" in quiet:
            self._way = Own(self._own())
        else:
            from snakemake_logger_plugin_mixmerge.watch import Watch

            self._way = Watch(
                self._own(),
                quiet=bool({"progress", "rules"} & quiet),
                shell_commands=common.printshellcmds,
                color=not common.nocolor,
                seconds=settings.seconds,
            )
        self._closed = False

    def _own(self) -> logging.Handler:
        """Snakemake's own handler, made as Snakemake makes it."""
        from snakemake.logging import ColorizingTextHandler, DefaultFilter, DefaultFormatter

        common = self.common_settings
        handler: logging.Handler = ColorizingTextHandler(
            nocolor=common.nocolor,
            stream=sys.stdout if common.stdout else sys.stderr,
            filter=DefaultFilter(
                common.quiet,
                common.debug_dag,
                common.verbose,
                common.dryrun,
                common.printshellcmds,
            ),
            formatter=DefaultFormatter(common.quiet, common.show_failed_logs),
        )
        return handler

    def emit(self, record: logging.LogRecord) -> None:
        """Show a record; a fault in showing never ends the run."""
        try:
            if record.levelno >= logging.ERROR and isinstance(record.msg, str):
                record.msg = restated(record.msg)
            self._way.emit(record)
        except BrokenPipeError:
            pass  # nobody reads on, as in `snakemake -n | head`
        except Exception:
            self.handleError(record)

    def close(self) -> None:
        """Show what is left. Snakemake closes a handler, and at its exit Python does again."""
        if not self._closed:
            self._closed = True
            with contextlib.suppress(BrokenPipeError):
                self._way.close()
        super().close()

    writes_to_stream = True
    writes_to_file = False
    # What is shown or not is decided here, and job events must arrive under --quiet as well.
    has_filter = True
    has_formatter = True
    needs_rulegraph = False
