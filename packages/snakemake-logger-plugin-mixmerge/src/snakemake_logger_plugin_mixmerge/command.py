"""The command line that started a run, and the one that repeats one of its jobs on this machine."""

import os
import shlex
import shutil
import sys
from pathlib import Path

#: Options that say which study this is and how its software is found; a repeated job needs them.
_KEPT = (
    *("profile", "workflow_profile", "snakefile", "directory", "configfile", "config"),
    *("software_deployment_method", "conda_prefix", "apptainer_prefix"),
    *("default_storage_provider", "default_storage_prefix", "local_storage_prefix"),
)


def program() -> list[str]:
    """Snakemake as this process was started, short where the shell finds the same one."""
    started = Path(sys.argv[0])
    if started.name == "__main__.py":
        return [_short(sys.executable), "-m", "snakemake"]
    found = shutil.which(started.name)
    if found and Path(found).resolve() == started.resolve():
        return [started.name]
    return [_short(str(started))]


def _short(path: str) -> str:
    """A path below the working directory without it."""
    below = os.path.relpath(path)
    return path if below.startswith("..") else below


def this_run() -> str:
    """The command of this run."""
    return shlex.join([*program(), *sys.argv[1:]])


def repeat(outputs: list[str], threads: int, beside: bool) -> str:
    """The command that runs one job again, here, whatever the run's executor is.

    Args:
        outputs: the job's outputs, of which Snakemake needs one.
        threads: cores that the job takes.
        beside: whether the run goes on, which holds the lock of the directory.
    """
    from snakemake.cli import get_argument_parser

    parser = get_argument_parser()
    try:
        given, _ = parser.parse_known_args(sys.argv[1:])
    except SystemExit:  # another program's arguments: it drives Snakemake through its API
        given = parser.parse_args([])
    kept: list[str] = []
    for name in _KEPT:
        value = getattr(given, name, None)
        if value is None or str(value) == str(parser.get_default(name)):
            continue
        values = value if isinstance(value, list | tuple | set | frozenset) else [value]
        if values:
            kept += ["--" + name.replace("_", "-"), *map(str, values)]
    lock = ["--nolock"] if beside else []
    where = ["--cores", str(threads), "--executor", "local"]
    return shlex.join([*program(), *kept, *where, *lock, "--", outputs[0]])
