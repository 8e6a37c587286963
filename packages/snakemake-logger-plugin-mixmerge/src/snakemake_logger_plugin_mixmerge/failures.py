"""What is said of errors: why a job ended, the end of its log, the command that repeats it."""

import importlib
import re
import shlex
import sys
from collections import deque
from dataclasses import dataclass
from pathlib import Path

from snakemake_logger_plugin_mixmerge.board import Job

#: Lines of a log that are shown.
LINES = 20
#: Options that say which study this is and how its software is found; a repeated job needs them.
_KEPT = (
    *("profile", "workflow_profile", "snakefile", "directory", "configfile", "config"),
    *("software_deployment_method", "conda_prefix", "apptainer_prefix"),
    *("default_storage_provider", "default_storage_prefix", "local_storage_prefix"),
)
_STATUS = re.compile(r"(returned non-zero exit status \d+|died with <Signals\.(\w+): \d+>)")


@dataclass
class Failure:
    """A job that failed.

    Attributes:
        job: the job.
        why: what Snakemake or its executor says about the end.
        when: when it was reported, seconds of a steady clock.
        shown: whether its block was shown.
    """

    job: Job
    why: str
    when: float
    shown: bool = False

    def block(self) -> str:
        """Everything about it, some lines of text; it counts as shown."""
        self.shown = True
        lines = [f"Error in rule {self.job.name}: {self.why}"]
        found = False
        # A rule may name several logs; of the first with something in it the end is shown.
        for file in self.job.log:
            lines.append(f"  log: {file}")
            if not found:
                end = tail(Path(file))
                lines += [f"  | {line}" for line in end] or ["  | (nothing in it)"]
                found = bool(end)
        if self.job.outputs:
            lines.append(f"  repeat it here: {repeat(self.job)}")
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


def command(*arguments: str) -> str:
    """A call of the Snakemake that runs here."""
    return shlex.join([sys.executable, "-m", "snakemake", *arguments])


def repeat(job: Job) -> str:
    """The command that runs one job again, here, also while the run goes on elsewhere."""
    from snakemake.cli import get_argument_parser

    parser = get_argument_parser()
    try:
        options, _ = parser.parse_known_args(sys.argv[1:])
    except SystemExit:  # another program's arguments: it drives Snakemake through its API
        options = parser.parse_args([])
    kept: list[str] = []
    for name in _KEPT:
        value = getattr(options, name, None)
        if value and str(value) != str(parser.get_default(name)):
            values = value if isinstance(value, list | tuple | set | frozenset) else [value]
            kept += ["--" + name.replace("_", "-"), *map(str, values)]
    where = ["--cores", str(job.threads), "--executor", "local", "--nolock"]
    # Snakemake remarks on some files: `x (send to storage)`.
    output = job.outputs[0].partition(" (")[0] if job.outputs[0].endswith(")") else job.outputs[0]
    return command(*kept, *where, "--", output)


def restated(text: str, reader: str) -> str:
    """An error of Snakemake's in the user's terms.

    A `WorkflowError` with which a Snakefile refuses its config (its message begins with
    ``error: ``) is shown without its place in the rules. Of a config file that it cannot read,
    Snakemake says neither the name nor the line: that is left to the setting ``reader``.

    Args:
        text: what Snakemake says.
        reader: a function that reads a config file, ``package.module:function``, or nothing.
    """
    if text.startswith("WorkflowError in file ") and "\nerror: " in text:
        return text.partition("\n")[2].partition('\n  File "')[0]
    signs = ("Config file ", "in load_configfile", "in _get_overwrite_config")
    if not reader or not any(sign in text for sign in signs):
        return text
    from snakemake.cli import parse_args

    module, _, name = reader.partition(":")
    read = getattr(importlib.import_module(module), name)
    try:
        files = parse_args(sys.argv[1:])[1].configfile
    except (Exception, SystemExit):  # not started from a command line
        return text
    for file in map(Path, files or ["config/config.yaml"]):
        try:
            if not isinstance(read(file), dict):
                return f"error: {file}: expected sections, as `name: value`, at the top"
        except Exception as error:
            return f"error: {error}"
    return text
