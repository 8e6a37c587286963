"""The jobs that a killed Snakemake left in Slurm."""

import re
import subprocess
import time
from pathlib import Path

from mixmerge.core.errors import UserError

#: The executor plugin names all jobs of a run alike: the profile's prefix, then a random UUID.
_NAME = re.compile(r"(.+_)?[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")

#: Seconds that cancelled jobs get to leave the queue (Slurm's own KillWait is 30), and a command.
_PATIENCE, _COMMAND = 300.0, 60.0


def cancel(directory: Path, user: str) -> list[str]:
    """Cancel the jobs that Snakemake submitted from a directory, and wait until they are gone.

    Args:
        directory: Snakemake's working directory.
        user: whose jobs.

    Returns:
        The ids of the jobs, in the queue's order.

    Raises:
        UserError: Slurm can't be asked, or jobs stay in its queue.
    """
    jobs = queued_jobs(directory, user)
    for first in range(0, len(jobs), 100):
        _slurm("scancel", *jobs[first : first + 100])
    start = time.monotonic()
    while left := sorted(set(jobs) & set(queued_jobs(directory, user))) if jobs else []:
        if time.monotonic() - start > _PATIENCE:
            raise UserError(
                f"Slurm jobs {' '.join(left)} of a Snakemake that was killed do not leave the "
                "queue: `scancel` them or ask the cluster's administrators, then run this command "
                "again"
            )
        time.sleep(1)
    return jobs


def queued_jobs(directory: Path, user: str) -> list[str]:
    """Ids of the jobs in Slurm's queue that Snakemake submitted from a directory."""
    listed = _slurm("squeue", "--noheader", f"--user={user}", "--format=%i|%j|%Z")
    jobs = []
    for line in listed.splitlines():
        number, name, folder = line.strip().split("|", 2)
        if _NAME.fullmatch(name) and Path(folder).resolve() == directory.resolve():
            jobs.append(number)
    return jobs


def _slurm(*command: str) -> str:
    try:
        return subprocess.run(
            command, capture_output=True, text=True, check=True, timeout=_COMMAND
        ).stdout
    except FileNotFoundError:
        why = "it is not installed here"
    except subprocess.TimeoutExpired:
        why = f"no answer in {_COMMAND:.0f} s"
    except subprocess.CalledProcessError as error:
        why = error.stderr.strip()
    raise UserError(
        f"{command[0]}: {why}. A Snakemake that was killed may have left Slurm jobs that still "
        "write results; run this command again where Slurm answers"
    )
