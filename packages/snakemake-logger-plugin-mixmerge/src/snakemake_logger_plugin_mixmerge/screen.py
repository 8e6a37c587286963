"""The board on a terminal, where it is redrawn in place, and in a file, as a line now and then."""

import logging
import os
import sys
import time
from collections.abc import Callable
from typing import Any

from snakemake_logger_plugin_mixmerge.board import Board, Counts

#: Seconds after which a file gets a line though nothing happened.
_HEARTBEAT = 600.0


def duration(seconds: float) -> str:
    """A length of time for people: ``35 s``, ``12 min``, ``4 h 05 min``, ``120 h``."""
    if round(seconds) < 60:
        return f"{seconds:.0f} s"
    hours, minutes = divmod(round(seconds / 60), 60)
    if hours >= 100:
        return f"{hours:,} h"
    return f"{hours} h {minutes:02} min" if hours else f"{minutes} min"


class Terminal:
    """A table that is redrawn in place; messages scroll away above it."""

    def __init__(self, board: Board, remaining: Callable[[], str], color: bool) -> None:
        from rich.console import Console
        from rich.live import Live

        self._board, self._remaining, self._begun = board, remaining, time.monotonic()
        self._console = Console(stderr=True, no_color=None if color else True)
        self._live = Live(
            console=self._console,
            auto_refresh=False,  # drawn by the plugin's own clock
            transient=True,
            redirect_stdout=False,
            redirect_stderr=False,
        )
        self._live.start()
        # Whoever is killed would leave the terminal without its cursor.
        self._console.show_cursor(True)

    @staticmethod
    def is_possible() -> bool:
        """Whether there is a terminal to draw on."""
        return sys.stderr.isatty() and os.environ.get("TERM", "dumb") != "dumb"

    def say(self, text: str, level: int) -> None:
        """Print above the table."""
        from rich.text import Text

        style = {logging.WARNING: "yellow", logging.ERROR: "red"}.get(level, "")
        self._console.print(Text(text, style), soft_wrap=True)

    def tick(self) -> None:
        """Draw the table anew."""
        self._live.update(self._table(), refresh=True)

    def close(self) -> None:
        """Take the table away."""
        self._live.stop()

    def _table(self) -> Any:
        from rich.console import Group
        from rich.progress_bar import ProgressBar
        from rich.table import Table
        from rich.text import Text

        remote = self._board.remote
        names = ["done", "running", "queued", *(["to come"] if remote else []), "failed"]
        table = Table(box=None, pad_edge=False)
        for heading in ("stage", "", *names, "of"):
            table.add_column(heading, justify="left" if heading in ("stage", "") else "right")
        for stage, counts in [*self._board.counts().items(), ("all", self._board.total())]:
            bar = ProgressBar(total=max(counts.total, 1), completed=counts.done, width=20)
            numbers = [str(_number(counts, name, remote) or "-") for name in names]
            style = "bold" if stage == "all" else "dim" if counts.done == counts.total else ""
            table.add_row(stage, bar, *numbers, str(counts.total), style=style)
        gone = f"{duration(time.monotonic() - self._begun)} gone"
        return Group(table, Text("; ".join(filter(None, [gone, self._remaining()]))))


def _number(counts: Counts, name: str, remote: bool) -> int:
    """A count by its heading; on this machine the queue is what is to come."""
    if name == "queued" and not remote:
        return counts.to_come
    return int(getattr(counts, name.replace(" ", "_")))


class Lines:
    """A line now and then, for a log file."""

    def __init__(self, board: Board, remaining: Callable[[], str], seconds: int) -> None:
        self._board, self._remaining, self._seconds = board, remaining, seconds
        self._drawn, self._last = time.monotonic(), board.total()
        stages = ", ".join(f"{name} {counts.total}" for name, counts in board.counts().items())
        self.say(f"{self._last.total} jobs to do: {stages}", logging.INFO)

    def say(self, text: str, level: int) -> None:
        """Write a message."""
        print(text, file=sys.stderr, flush=True)

    def tick(self) -> None:
        """Write a line where something has changed since the last, but not too often."""
        total, remote, gone = (
            self._board.total(),
            self._board.remote,
            time.monotonic() - self._drawn,
        )
        if gone < self._seconds or (total == self._last and gone < _HEARTBEAT):
            return
        self._drawn, self._last = time.monotonic(), total
        names = ["running", "queued", *(["to come"] if remote else []), "failed"]
        parts = [f"{_number(total, name, remote)} {name}" for name in names]
        parts += filter(None, [self._remaining()])
        busy = [
            f"{stage} {counts.done}/{counts.total}"
            for stage, counts in self._board.counts().items()
            if counts.done < counts.total and (counts.running or counts.queued or counts.done)
        ]
        head = f"[{time.strftime('%H:%M:%S')}] {total.done} of {total.total} done"
        self.say(" | ".join([f"{head}, {', '.join(parts)}", *busy]), logging.INFO)

    def close(self) -> None:
        """There is nothing to take away."""
