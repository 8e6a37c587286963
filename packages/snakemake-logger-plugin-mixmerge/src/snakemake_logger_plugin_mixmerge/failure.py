"""What is said about a job that failed: why, the end of its log, and how to repeat it."""

import re
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from mixmerge.resources.jobs import plain
from snakemake_logger_plugin_mixmerge.command import repeat

#: Lines of a log that are shown.
LINES = 20

_STATUS = re.compile(r"(returned non-zero exit status \d+|died with <Signals\.(\w+): \d+>)")


@dataclass
class Failure:
    """A job that failed.

    Attributes:
        number: Snakemake's number of the job.
        rule: its rule.
        wildcards: their names and values.
        outputs: its outputs.
        threads: cores it takes.
        log: its log files, the rule's first.
        why: what Snakemake or its executor says about the end.
        when: when it was reported, seconds of a steady clock.
        shown: whether its block was shown.
        beside: whether it was shown while the run went on.
    """

    number: int
    rule: str
    wildcards: Mapping[str, str]
    outputs: list[str]
    threads: int
    log: list[str]
    why: str
    when: float
    shown: bool = False
    beside: bool = False

    @property
    def name(self) -> str:
        """The job for people."""
        values = ", ".join(f"{name}={value}" for name, value in self.wildcards.items())
        return f"{self.rule} ({values})" if values else self.rule

    def command(self, beside: bool) -> str | None:
        """The command that repeats the job on this machine, where it makes a file."""
        outputs = [plain(file) for file in self.outputs]
        return repeat(outputs, self.threads, beside) if outputs else None

    def block(self, beside: bool) -> str:
        """Everything about it, some lines of text; it counts as shown.

        Args:
            beside: whether the run goes on.
        """
        self.shown, self.beside = True, beside
        lines = [f"Error in rule {self.name}: {self.why}"]
        # The rule's own log says what went wrong; that of Slurm says it where the first is empty.
        told = False
        for file in self.log:
            lines.append(f"  log: {file}")
            if not told:
                end = tail(Path(file))
                lines += [f"  | {line}" for line in end] or ["  | (nothing in it)"]
                told = bool(end)
        if command := self.command(beside):
            lines.append(f"  repeat it here: {command}")
        return "\n".join(lines)


def tail(file: Path, lines: int = LINES) -> list[str]:
    """The last lines of a text file; none where there is no such file.

    Progress bars overwrite a line with carriage returns: its last state counts.
    """
    try:
        with file.open(encoding="utf-8", errors="replace", newline="\n") as text:
            last = deque((line.rstrip() for line in text if line.strip()), maxlen=lines)
    except OSError:
        return []
    return [line.rpartition("\r")[2] for line in last]


def ended(text: str) -> str | None:
    """How a command ended, from Snakemake's exception: ``exit status 1``, ``killed by SIGKILL``."""
    found = _STATUS.search(text)
    if found is None:
        return None
    return f"killed by {found[2]}" if found[2] else found[1].removeprefix("returned non-zero ")
