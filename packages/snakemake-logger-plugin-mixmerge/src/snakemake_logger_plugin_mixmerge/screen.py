"""Where a run is shown: in place on a terminal, or as lines in a file."""

import logging
import os
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

from mixmerge.resources.plan import duration
from snakemake_logger_plugin_mixmerge.board import Counts
from snakemake_logger_plugin_mixmerge.left import Left

#: Seconds after which a file gets a line though nothing happened.
_HEARTBEAT = 600.0


@dataclass(frozen=True)
class Picture:
    """A run at one moment.

    Attributes:
        stages: stage -> its counts.
        total: the whole run's.
        left: the time left, where it is known.
        elapsed: seconds since the start.
        remote: whether jobs go to a cluster, whose queue is not our own list of what is to come.
        remark: what the numbers cannot say.
    """

    stages: dict[str, Counts]
    total: Counts
    left: Left | None
    elapsed: float
    remote: bool
    remark: str

    @property
    def remaining(self) -> str:
        """The time left in words."""
        if self.left is None or self.total.done == self.total.total:
            return ""
        if self.left.partial and self.left.seconds < 1:
            return ""
        start = "at least" if self.left.partial else "about"
        return f"{start} {duration(self.left.seconds)} left"


class Screen(Protocol):
    """Shows a run."""

    def say(self, text: str, level: int) -> None:
        """Show a message that stays."""

    def tick(self) -> None:
        """Time has gone by."""

    def close(self) -> None:
        """Take the picture away."""


class Terminal:
    """A table that is redrawn in place; messages scroll away above it."""

    def __init__(self, picture: Callable[[], Picture], color: bool, seconds: int) -> None:
        """Draw the first picture."""
        from rich.console import Console
        from rich.live import Live

        self._picture = picture
        self._console = Console(stderr=True, no_color=None if color else True)
        # Drawn from the clock's thread alone: a thread of its own could wait for a lock of ours.
        self._live = Live(
            console=self._console,
            auto_refresh=False,
            transient=True,
            redirect_stdout=False,
            redirect_stderr=False,
        )
        self._live.start()
        # Whoever is killed would leave the terminal without its cursor.
        self._console.show_cursor(True)

    @staticmethod
    def possible() -> bool:
        """Whether there is a terminal to draw on."""
        return sys.stderr.isatty() and os.environ.get("TERM", "dumb") != "dumb"

    def say(self, text: str, level: int) -> None:
        """Print above the table."""
        from rich.text import Text

        style = {logging.WARNING: "yellow", logging.ERROR: "red"}.get(level, "")
        self._console.print(Text(text, style), soft_wrap=True)

    def tick(self) -> None:
        """Draw the table anew."""
        self._live.update(_table(self._picture()), refresh=True)

    def close(self) -> None:
        """Take the table away."""
        self._live.stop()


def _table(picture: Picture) -> Any:
    """A row a stage, the total with the time below it."""
    from rich.console import Group
    from rich.progress_bar import ProgressBar
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, pad_edge=False)
    names = ["done", "running", "queued", *(["to come"] if picture.remote else []), "failed"]
    for heading in ("stage", "", *names, "of"):
        table.add_column(heading, justify="left" if heading in ("stage", "") else "right")
    for stage, counts in [*picture.stages.items(), ("all", picture.total)]:
        bar = ProgressBar(total=max(counts.total, 1), completed=counts.done, width=20)
        numbers = [_number(counts, name, picture.remote) for name in names]
        numbers[-1] = f"[red]{numbers[-1]}[/red]" if counts.failed else numbers[-1]
        style = "bold" if stage == "all" else "dim" if counts.done == counts.total else ""
        table.add_row(stage, bar, *numbers, str(counts.total), style=style)
    times = [f"{duration(picture.elapsed)} gone", picture.remaining, picture.remark]
    return Group(table, Text("; ".join(filter(None, times))))


def _number(counts: Counts, name: str, remote: bool) -> str:
    """A count by its heading. On this machine what is to come is the queue."""
    values = {"done": counts.done, "running": counts.running, "failed": counts.failed}
    values["queued"] = counts.queued + (0 if remote else counts.to_come)
    values["to come"] = counts.to_come
    return str(values[name]) if values[name] else "-"


class Lines:
    """A line now and then, for a log file."""

    def __init__(self, picture: Callable[[], Picture], color: bool, seconds: int) -> None:
        """Start with a line that says what is to come."""
        self._picture = picture
        self._seconds = seconds
        self._drawn = time.monotonic()
        self._last: Counts | None = None
        stages = ", ".join(f"{name} {counts.total}" for name, counts in picture().stages.items())
        if stages:
            self.say(f"{picture().total.total} jobs to do: {stages}", logging.INFO)

    def say(self, text: str, level: int) -> None:
        """Write a message."""
        print(text, file=sys.stderr, flush=True)

    def tick(self) -> None:
        """Write a line where something has changed since the last, but not too often."""
        picture, now = self._picture(), time.monotonic()
        gone = now - self._drawn
        if gone >= _HEARTBEAT or (gone >= self._seconds and picture.total != self._last):
            self._drawn, self._last = now, picture.total
            self.say(line(picture), logging.INFO)

    def close(self) -> None:
        """Nothing to take away."""


def line(picture: Picture) -> str:
    """A run in one line."""
    total = picture.total
    queued = total.queued + (0 if picture.remote else total.to_come)
    parts = [f"{total.running} running", f"{queued} queued"]
    if picture.remote:
        parts.append(f"{total.to_come} to come")
    parts.append(f"{total.failed} failed")
    if picture.remaining:
        parts.append(picture.remaining)
    busy = [
        f"{stage} {counts.done}/{counts.total}"
        for stage, counts in picture.stages.items()
        if counts.done < counts.total and (counts.running or counts.queued or counts.done)
    ]
    text = f"[{time.strftime('%H:%M:%S')}] {total.done} of {total.total} done, {', '.join(parts)}"
    return " | ".join([text, *busy, *([picture.remark] if picture.remark else [])])
