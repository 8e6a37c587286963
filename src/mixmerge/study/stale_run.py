"""Taking over from a Snakemake that was killed: its lock, its jobs here and in Slurm.

Each driver (a Snakemake that runs jobs, not one that plans or lists) leaves a record of itself in
``.snakemake/drivers`` while it lives. A record whose process is gone is that of a killed driver:
the next driver waits until its jobs are gone, cancels those it left in Slurm and removes its lock.
A driver that lives, or that nobody can look at from this machine, is left alone.
"""

import atexit
import fcntl
import getpass
import os
import platform
import shlex
import shutil
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from datetime import datetime
from pathlib import Path
from typing import Any

from mixmerge.core.errors import UserError
from mixmerge.core.io import read_json, write_json
from mixmerge.core.parent_watchdog import DRIVER, is_alive, is_here, kill, machine, token
from mixmerge.study import slurm_queue

#: Seconds that the jobs of a killed driver get to end by themselves, and that killed ones get.
_GRACE, _PATIENCE = 5.0, 60.0

#: Options with which Snakemake runs no job and takes no lock: it plans, lists, draws or tidies up.
_NO_RUN = {
    *("dryrun", "unlock", "lint", "list_rules", "list_target_rules", "list_resources"),
    *("print_compilation", "containerize", "generate_unit_tests", "dag", "rulegraph", "filegraph"),
    *("d3dag", "cleanup_metadata", "conda_cleanup_envs", "conda_create_envs_only"),
    *("list_conda_envs", "cleanup_shadow", "container_cleanup_images", "list_changes"),
    *("list_input_changes", "list_params_changes", "list_untracked", "summary"),
    *("detailed_summary", "archive", "delete_all_output", "delete_temp_output"),
}


def start(workflow: Any, say: Callable[[str], None]) -> bool:
    """Prepare a Snakemake that reads its rules for what it was asked to do.

    Args:
        workflow: Snakemake's, as Snakefiles know it.
        say: how the user is told.

    Returns:
        Whether it is the one that the user started and will run jobs; then what a killed one left
        was taken over. One that plans, lists or unlocks takes over nothing.

    Raises:
        UserError: jobs of a killed driver can't be ended.
    """
    folder = Path(".snakemake")
    if workflow.remote_exec:
        lead()
    if not workflow.is_main_process or workflow.output_settings.dryrun:
        return False
    options = options_of(sys.argv)
    if "unlock" in options:
        give_up(folder)
    if _NO_RUN & options.keys() or only_looks(options):
        return False
    if "report" in options and "report_after_run" not in options:
        return False
    # A cluster's executor needs `--jobs`; `note_executor` says which one it is.
    may_submit = workflow.resource_settings.nodes is not None
    take_over(folder, "slurm" if may_submit else "local", say)
    return True


def options_of(command: list[str]) -> dict[str, Any]:
    """Option -> value of what a Snakemake was called with, by its own parser; no profile's.

    Rules are read before Snakemake tells the workflow whether it will run anything.

    Args:
        command: program and arguments. Where that is no Snakemake, such as a program that uses its
            API, it counts as a dry run.
    """
    from snakemake.cli import get_argument_parser

    if Path(command[0]).parent.name != "snakemake" and Path(command[0]).stem != "snakemake":
        return {"dryrun": True}
    parser = get_argument_parser()
    chosen, _ = parser.parse_known_args(command[1:])
    return {
        name: value
        for name, value in vars(chosen).items()
        if value and value != parser.get_default(name)
    }


def only_looks(options: Mapping[str, Any]) -> bool:
    """Whether a Snakemake with these options only looks at a study, and may run beside others."""
    targets = set(options.get("targets", ()))
    return bool(targets) and targets <= {"preflight", "verify"}


def note_executor(workflow: Any) -> None:
    """Note in this driver's record how it runs its jobs; Snakefiles call it under ``onstart:``."""
    path = _record_path(Path(".snakemake/drivers"))
    if path.is_file() and workflow.is_main_process:
        write_json(path, {**_read(path), "executor": workflow.executor_plugin.name})


def take_over(folder: Path, executor: str, say: Callable[[str], None]) -> None:
    """Become the driver of a working directory, after what a killed one left is tidied up.

    Args:
        folder: Snakemake's own directory, ``.snakemake`` in the working directory.
        executor: how this driver runs its jobs, as Snakemake names it.
        say: how the user is told.

    Raises:
        UserError: jobs of a killed driver can't be ended.
    """
    records = folder / "drivers"
    records.mkdir(parents=True, exist_ok=True)
    with _alone(folder / "takeover"):
        found = {path: _read(path) for path in sorted(records.glob("*.json"))}
        gone = {path: driver for path, driver in found.items() if _is_gone(driver)}
        own = token(os.getpid())
        others = [d for path, d in found.items() if path not in gone and d["token"] != own]
        locks = folder / "locks"
        locked = locks.is_dir() and any(locks.iterdir())
        if others and locked:
            # Snakemake refuses to run only where both want the same files; that it says itself.
            for driver in others:
                say(_held(driver))
        elif not others:
            # With another driver at work, neither locks nor Slurm jobs could be told apart.
            for driver in gone.values():
                _end_jobs(driver, say)
            if gone and locked:
                shutil.rmtree(locks)
                say("removed the lock of a Snakemake that was killed")
            for path in gone:
                path.unlink(missing_ok=True)
        _enrol(records, executor)


def give_up(folder: Path) -> None:
    """Note that drivers of other machines are gone: the user says so by ``snakemake --unlock``."""
    for path in (folder / "drivers").glob("*.json"):
        driver = _read(path)
        if not _is_gone(driver) and not is_here(driver["token"]):
            write_json(path, {**driver, "gone": True})


def lead() -> None:
    """Let the jobs that this process starts watch it."""
    own = token(os.getpid())
    if own is not None:
        os.environ[DRIVER] = own


def _enrol(records: Path, executor: str) -> None:
    """Leave this driver's record until it ends."""
    lead()
    pid = os.getpid()
    path = _record_path(records)
    write_json(
        path,
        {
            "token": token(pid) or "",
            "pid": pid,
            "host": platform.node(),
            "user": getpass.getuser(),
            "since": datetime.now().astimezone().isoformat(timespec="seconds"),
            "executor": executor,
            "command": shlex.join(sys.argv),
        },
    )

    def leave() -> None:
        if os.getpid() == pid:  # not in a forked child
            path.unlink(missing_ok=True)

    atexit.register(leave)


def _record_path(records: Path) -> Path:
    """The record of this process; absolute, as Snakemake ends where it was called."""
    return records.resolve() / f"{platform.node()}.{os.getpid()}.json"


def _read(path: Path) -> dict[str, Any]:
    driver: dict[str, Any] = read_json(path)
    return driver


def _is_gone(driver: dict[str, Any]) -> bool:
    """Whether a driver is known to be gone; of another machine's that can't be known."""
    if driver.get("gone"):
        return True
    if is_here(driver["token"]):
        return not is_alive(driver["token"])
    # This machine was started anew since; another container's ids could be those of this boot.
    boot = machine().partition(":")[0]
    return driver["host"] == platform.node() and not driver["token"].startswith(boot)


def _held(driver: dict[str, Any]) -> str:
    who = (
        f"Snakemake {driver['pid']} of {driver['user']} on {driver['host']} has worked in this "
        f"directory since {driver['since']} ({driver['command']})"
    )
    if is_here(driver["token"]):
        return f"{who}: where both want the same files, wait until it has ended, or end it"
    return (
        f"{who}: whether it still runs can't be seen from here. If it does not, run "
        "`snakemake --unlock`, then this command again"
    )


def _end_jobs(driver: dict[str, Any], say: Callable[[str], None]) -> None:
    """Cancel what a killed driver left in Slurm, wait for what it left here."""
    submits = driver["executor"] == "slurm"
    cancelled = slurm_queue.cancel(Path.cwd(), driver["user"]) if submits else []
    _wait_for_children(driver["token"])
    if submits:
        # An sbatch may have been on its way when its driver was killed.
        cancelled += slurm_queue.cancel(Path.cwd(), driver["user"])
    if cancelled:
        say(
            f"cancelled {len(cancelled)} Slurm jobs of Snakemake {driver['pid']}, which was "
            f"killed: {' '.join(cancelled)}"
        )


def _wait_for_children(driver: str) -> None:
    """Wait until no process of this machine was started by a driver that is gone.

    Jobs notice by themselves; what doesn't is ended.
    """
    start = time.monotonic()
    while children := list(_children(driver)):
        waited = time.monotonic() - start
        if waited > _PATIENCE:
            raise UserError(
                f"processes {' '.join(map(str, children))} of a Snakemake that was killed do not "
                "end; end them, then run this command again"
            )
        if waited > _GRACE:
            for pid in children:
                kill(pid)
        time.sleep(0.2)


def _children(driver: str) -> Iterator[int]:
    """Processes of this user that carry a driver's token in their environment."""
    mark = f"{DRIVER}={driver}".encode()
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            marked = mark in (entry / "environ").read_bytes().split(b"\0")
        except OSError:  # it ended meanwhile, or is another user's
            continue
        if marked and token(int(entry.name)) is not None:
            yield int(entry.name)


@contextmanager
def _alone(path: Path) -> Iterator[None]:
    """Hold a lock that the kernel drops with the process: one driver at a time takes over."""
    with path.open("w") as file:
        with suppress(OSError):  # a file system without locks
            fcntl.flock(file, fcntl.LOCK_EX)
        yield
