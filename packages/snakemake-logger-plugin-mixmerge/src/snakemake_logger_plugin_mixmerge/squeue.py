"""Which of our jobs on Slurm run, and which wait: its plugin tells Snakemake only of the end."""

import re
import shutil
import subprocess

#: States in which a job waits; in every other one that squeue lists, it has its nodes.
_WAITING = {"PENDING", "REQUEUED", "REQUEUE_HOLD", "REQUEUE_FED", "SPECIAL_EXIT", "SUSPENDED"}

_SUBMITTED = re.compile(r"Job (\d+) has been submitted with SLURM jobid (\w+)")
_RUN = re.compile(r"SLURM run ID: (\S+)")


class Queue:
    """The jobs of a run in Slurm's queue.

    Attributes:
        run: the run's name there, by which the executor plugin submits; None without Slurm.
        answers: whether Slurm answered the last question.
    """

    def __init__(self) -> None:
        self.run: str | None = None
        self.answers = False
        self._numbers: dict[str, int] = {}

    def heard(self, message: str) -> bool:
        """Take a message of Snakemake's; whether it was the executor's about the queue."""
        if found := _SUBMITTED.match(message):
            self._numbers[found[2]] = int(found[1])
        elif found := _RUN.match(message):
            self.run = found[1]
        return found is not None

    def ask(self) -> dict[int, bool]:
        """Snakemake's number of each job in the queue -> whether it runs; may take a while.

        A job that has ended may be listed for a while, or be missing at once.
        """
        found = _states(self.run) if self.run else None
        self.answers = found is not None
        listed = ((self._numbers.get(name), runs) for name, runs in (found or {}).items())
        return {number: runs for number, runs in listed if number is not None}


def _states(run: str) -> dict[str, bool] | None:
    """Slurm's id of each job of a name -> whether it runs; None where Slurm does not say."""
    squeue = shutil.which("squeue")
    if squeue is None:
        return None
    try:
        answer = subprocess.run(
            [squeue, "--noheader", "--me", f"--name={run}", "--format=%i %T"],
            capture_output=True,
            text=True,
            timeout=20,
            check=True,
        )
    except (OSError, subprocess.SubprocessError):
        return None
    rows = [line.split() for line in answer.stdout.splitlines()]
    return {row[0]: row[1] not in _WAITING for row in rows if len(row) == 2}
