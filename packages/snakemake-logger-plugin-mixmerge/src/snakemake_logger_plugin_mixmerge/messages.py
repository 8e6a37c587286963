"""What is said of failures: the end of a log, the command that repeats a job, errors restated."""

import pkgutil
import re
import shlex
import sys
from collections import deque
from pathlib import Path

from snakemake.cli import get_argument_parser, parse_args

from snakemake_logger_plugin_mixmerge.progress import Job

#: Options that say which study this is and how its software is found; a repeated job needs them.
_KEPT = (
    *("profile", "workflow_profile", "snakefile", "directory", "configfile", "config"),
    *("software_deployment_method", "conda_prefix", "apptainer_prefix"),
    *("default_storage_provider", "default_storage_prefix", "local_storage_prefix"),
)


def failure_block(job: Job) -> str:
    """Why a job failed, the end of its first log with something in it, and how to repeat it."""
    lines, shown = [f"Error in rule {job.name}: {job.failure}"], False
    for log in job.record["log"]:
        end = tail(Path(log))
        lines.append(f"  log: {log}{'' if end else ' (nothing in it)'}")
        lines += [f"  | {line}" for line in end if not shown]
        shown = shown or bool(end)
    parser, kept = get_argument_parser(), list[str]()
    try:
        options = parser.parse_known_args(sys.argv[1:])[0]
    except SystemExit:  # another program drives it
        options = parser.parse_args([])
    for name in _KEPT:
        value = getattr(options, name, None)
        if value and str(value) != str(parser.get_default(name)):
            values = value if isinstance(value, list | tuple | set | frozenset) else [value]
            kept += ["--" + name.replace("_", "-"), *map(str, values)]
    kept += ["--cores", str(job.record["threads"]), "--executor", "local", "--nolock", "--"]
    if outputs := job.record["output"]:
        # Snakemake remarks on some files: `x (send to storage)`.
        target = re.sub(r" \(.*\)$", "", str(outputs[0]))
        lines.append(f"  repeat it here: {command(*kept, target)}")
    return "\n".join(lines)


def tail(file: Path, most: int = 20) -> list[str]:
    """The last lines of a text file that are not blank; none where there is no such file."""
    try:
        with file.open(encoding="utf-8", errors="replace", newline="\n") as text:
            lines = deque((line.rstrip() for line in text if line.strip()), maxlen=most)
    except OSError:
        return []
    # Progress bars overwrite a line: its last state counts.
    return [line.rpartition("\r")[2] for line in lines]


def ended(text: str) -> str | None:
    """How a command ended, from Snakemake's exception: ``exit status 1``, ``killed by SIGKILL``."""
    status = r"CalledProcessError.*(?:non-zero (exit status \d+)|died with <Signals\.(\w+): \d+>)"
    match = re.search(status, text, re.DOTALL)
    return match and (match[1] or f"killed by {match[2]}")


def command(*arguments: str) -> str:
    """A call of the Snakemake that runs here."""
    return shlex.join([sys.executable, "-m", "snakemake", *arguments])


def restated(text: str, reader: str) -> str:
    """A Snakefile's ``WorkflowError("error: ...")`` without its place; other errors as they are.

    Of a config file that can't be read Snakemake names neither file nor line: ``reader`` does.
    """
    if text.startswith("WorkflowError in file ") and "\nerror: " in text:
        return text.partition("\n")[2].partition('\n  File "')[0]
    if not reader or not re.search(r"Config file |in (load_configfile|_get_overwrite_conf)", text):
        return text
    try:
        for file in parse_args(sys.argv[1:])[1].configfile or ["config/config.yaml"]:
            if not isinstance(pkgutil.resolve_name(reader)(Path(file)), dict):
                return f"error: {file}: expected sections, as `name: value`, at the top"
    except SystemExit:  # another program drives Snakemake
        return text
    except Exception as error:
        return f"error: {error}"
    return text
