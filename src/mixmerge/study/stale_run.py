"""Taking over from a Snakemake that was killed: its lock, and its jobs here and in Slurm.

Each driver (a Snakemake that runs jobs, not one that plans or lists) leaves a record of itself in
``.snakemake/drivers`` while it lives; the next one tidies up after those whose process is gone. A
driver that lives, or that nobody can look at from this machine, is left alone.
"""

import atexit
import fcntl
import getpass
import os
import platform
import re
import shlex
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from datetime import datetime
from pathlib import Path
from typing import Any

from mixmerge.core.errors import UserError
from mixmerge.core.io import read_json, write_json
from mixmerge.core.parent_watchdog import DRIVER, is_alive, is_here, kill, machine, token

#: Seconds that the jobs of a killed driver get to end by themselves.
_GRACE = 5.0
#: Seconds until they are gone; then the user is told.
_PATIENCE = 60.0
#: Seconds that Slurm's jobs get to leave the queue (its own KillWait is 30).
_QUEUE = 300.0
#: The executor plugin names all jobs of a run alike: the profile's prefix, then a random UUID.
_SLURM_NAME = re.compile(r"(.+_)?[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
#: Options with which Snakemake runs no job and takes no lock: it plans, lists, draws or tidies up.
_NO_RUN = {
    *("dryrun", "unlock", "lint", "list_rules", "list_target_rules", "print_compilation"),
    *("containerize", "generate_unit_tests", "dag", "rulegraph", "filegraph", "d3dag", "summary"),
    *("detailed_summary", "archive", "cleanup_metadata", "cleanup_shadow", "delete_all_output"),
    *("delete_temp_output", "container_cleanup_images", "list_conda_envs", "conda_cleanup_envs"),
    *("conda_create_envs_only", "list_changes", "list_input_changes", "list_params_changes"),
    "list_untracked",
}


def options_of(command: list[str]) -> dict[str, Any]:
    """Option -> value of a Snakemake's command line, by its own parser; no profile's.

    What is no Snakemake, such as a program that uses its API, counts as a dry run.
    """
    from snakemake.cli import get_argument_parser

    if "snakemake" not in (Path(command[0]).parent.name, Path(command[0]).stem):
        return {"dryrun": True}
    parser = get_argument_parser()
    values = vars(parser.parse_known_args(command[1:])[0]).items()
    return {name: value for name, value in values if value and value != parser.get_default(name)}


def only_looks(options: Mapping[str, Any]) -> bool:
    """Whether a Snakemake with these options only looks at a study, and may run beside others."""
    targets = set(options.get("targets", ()))
    return bool(targets) and targets <= {"preflight", "verify"}


def start(workflow: Any, options: Mapping[str, Any], say: Callable[[str], None]) -> bool:
    """Take over what a killed Snakemake left, where this one, which reads its rules, will run jobs.

    Returns whether it did: not inside of a job, nor in one that plans, lists or unlocks. Raises a
    UserError where jobs of a killed driver can't be ended.
    """
    own = token(os.getpid())
    if workflow.remote_exec and own:
        os.environ[DRIVER] = own  # its jobs watch the Snakemake in the job
    if not workflow.is_main_process or workflow.output_settings.dryrun:
        return False
    folder = Path(".snakemake")
    if "unlock" in options:
        # So the user says that drivers of other machines are gone.
        for path, driver in _drivers(folder).items():
            if not _is_gone(driver) and not is_here(driver["token"]):
                write_json(path, {**driver, "gone": True})
    draws = "report" in options and "report_after_run" not in options
    if draws or _NO_RUN & options.keys() or only_looks(options):
        return False
    # A cluster's executor needs `--jobs`; `note_executor` says which one it is.
    take_over(folder, "local" if workflow.resource_settings.nodes is None else "slurm", say)
    return True


def note_executor(workflow: Any) -> None:
    """Note in this driver's record how it runs its jobs; Snakefiles call it under ``onstart:``."""
    path = _own_record(Path(".snakemake"))
    if path.is_file():  # not inside of a job
        write_json(path, {**read_json(path), "executor": workflow.executor_plugin.name})


def take_over(folder: Path, executor: str, say: Callable[[str], None]) -> None:
    """Become the driver of a ``.snakemake`` folder, after what a killed one left is tidied up."""
    locks, pid, own = folder / "locks", os.getpid(), token(os.getpid())
    (folder / "drivers").mkdir(parents=True, exist_ok=True)
    with (folder / "takeover").open("w") as file:
        # One driver at a time takes over; the kernel drops the lock with the process.
        with suppress(OSError):  # a file system without locks
            fcntl.flock(file, fcntl.LOCK_EX)
        drivers = _drivers(folder)
        gone = {path: driver for path, driver in drivers.items() if _is_gone(driver)}
        others = [d for path, d in drivers.items() if path not in gone and d["token"] != own]
        locked = locks.is_dir() and any(locks.iterdir())
        if not others:
            # With another driver at work, neither locks nor Slurm jobs could be told apart.
            for driver in gone.values():
                _end_jobs(driver, say)
            if gone and locked:
                shutil.rmtree(locks)
                say("removed the lock of a Snakemake that was killed")
            for path in gone:
                path.unlink(missing_ok=True)
        # Snakemake refuses to run only where both want the same files; that it says itself.
        for driver in others if locked else ():
            way_out = "where both want the same files, wait until it has ended, or end it"
            if not is_here(driver["token"]):
                way_out = "it can't be seen from here; if it has ended, `snakemake --unlock` first"
            say(
                "Snakemake {pid} of {user} on {host} has worked in this directory since {since} "
                "({command}): {way_out}".format(**driver, way_out=way_out)
            )
        if own:  # else all drivers would be one, and their jobs each other's
            os.environ[DRIVER] = own
        record = {
            "token": own or "",
            "pid": pid,
            "host": platform.node(),
            "user": getpass.getuser(),
            "since": datetime.now().astimezone().isoformat(timespec="seconds"),
            "executor": executor,
            "command": shlex.join(sys.argv),
        }
        path = _own_record(folder)
        write_json(path, record)
    # Not in a forked child.
    atexit.register(lambda: path.unlink(missing_ok=True) if os.getpid() == pid else None)


def _drivers(folder: Path) -> dict[Path, dict[str, Any]]:
    return {path: read_json(path) for path in sorted((folder / "drivers").glob("*.json"))}


def _own_record(folder: Path) -> Path:
    # Absolute, as Snakemake ends where it was called.
    return folder.resolve() / "drivers" / f"{platform.node()}.{os.getpid()}.json"


def _is_gone(driver: Mapping[str, Any]) -> bool:
    """Whether a driver is known to be gone; of another machine's that can't be known."""
    if is_here(driver["token"]):
        return not is_alive(driver["token"])
    # This machine was started anew since; another container's ids could be those of this boot.
    boot = machine().partition(":")[0]
    restarted = driver["host"] == platform.node() and not driver["token"].startswith(boot)
    return restarted or "gone" in driver


def _end_jobs(driver: Mapping[str, Any], say: Callable[[str], None]) -> None:
    """Cancel what a killed driver left in Slurm, and wait for what it left on this machine.

    That carries its token in its environment. Jobs notice by themselves; what doesn't is ended.
    """
    import psutil  # type: ignore[import-untyped]

    submits = driver["executor"] == "slurm"
    cancelled = _cancel(driver["user"]) if submits else []
    begin = time.monotonic()
    while left := [
        process.pid
        for process in psutil.process_iter(["environ"])  # a zombie has none
        if (process.info["environ"] or {}).get(DRIVER) == driver["token"]
    ]:
        waited = time.monotonic() - begin
        if waited > _PATIENCE:
            raise UserError(
                f"processes {' '.join(map(str, left))} of a Snakemake that was killed do not end; "
                "end them, then run this command again"
            )
        for pid in left if waited > _GRACE else ():
            kill(pid)
        time.sleep(0.2)
    # An sbatch may have been on its way when its driver was killed.
    cancelled += _cancel(driver["user"]) if submits else []
    if cancelled:
        jobs = f"{len(cancelled)} Slurm jobs of Snakemake {driver['pid']}, which was killed"
        say(f"cancelled {jobs}: {' '.join(cancelled)}")


def _cancel(user: str) -> list[str]:
    """Cancel the jobs that a user's Snakemakes submitted from here, wait until they are gone."""

    def queued() -> list[str]:
        listed = _slurm("squeue", "--noheader", f"--user={user}", "--format=%i|%j|%Z")
        rows = [line.strip().split("|", 2) for line in listed.splitlines()]
        mine = [(number, at) for number, name, at in rows if _SLURM_NAME.fullmatch(name)]
        return [number for number, at in mine if Path(at).resolve() == Path.cwd().resolve()]

    jobs = queued()
    for first in range(0, len(jobs), 100):
        _slurm("scancel", *jobs[first : first + 100])
    begin = time.monotonic()
    while left := sorted({*jobs}.intersection(queued())) if jobs else []:
        if time.monotonic() - begin > _QUEUE:
            raise UserError(
                f"Slurm jobs {' '.join(left)} of a Snakemake that was killed do not leave the "
                "queue: `scancel` them or ask the cluster's administrators, then run this again"
            )
        time.sleep(1)
    return jobs


def _slurm(*command: str) -> str:
    try:
        return subprocess.check_output(command, stderr=subprocess.PIPE, text=True, timeout=60)
    except subprocess.CalledProcessError as error:
        why = error.stderr.strip() or str(error)
    except (OSError, subprocess.TimeoutExpired) as error:
        why = str(error)
    raise UserError(
        f"{command[0]}: {why}. A Snakemake that was killed may have left Slurm jobs that still "
        "write results; run this command again where Slurm answers"
    )
