"""The training processes of one machine, started and watched as torchrun does.

A run on one machine calls `run_ranks` itself; of a run on several, Slurm starts one agent a node:
``python -m mixmerge.sft.agent SCRATCH FIRST_NODE:PORT``.
"""

import logging
import os
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mixmerge.core.errors import UserError
from mixmerge.core.redaction import guard_output
from mixmerge.sft.job import Job, load_job
from mixmerge.sft.preemption import EXIT_CODE, Preempted, Request, listening
from mixmerge.sft.slurm import address_of
from mixmerge.sft.train import environment

#: In a worker's environment: its launcher's process id.
PARENT = "MIXMERGE_SFT_PARENT"


@dataclass(frozen=True)
class Meeting:
    """Where the agents of a run find each other; by default there is but one."""

    endpoint: str = "localhost:0"
    """Of the first agent: address and port."""
    # Else the machine's own name is looked up, which hangs where no DNS knows it.
    address: str = "127.0.0.1"
    """At which the others reach this machine."""
    first: bool = True
    """Whether this is the first agent."""


def run_ranks(job: Job, request: Request, nodes: int = 1, meeting: Meeting = Meeting()) -> None:
    """Run this machine's share of `settings.processes` processes and wait for them.

    A rank that fails takes the others of its machine with it, and so does SIGINT here.

    Args:
        job: with data already prepared.
        request: handles the signals that ask; it tells the ranks.
        nodes: machines that the processes are spread over.
        meeting: where they meet.

    Raises:
        UserError: with the message of the rank that failed first, where it was the user's mistake.
        Preempted: asked to stop before there was anything to save.
    """
    import torch
    from torch.distributed.elastic.multiprocessing.api import SignalException
    from torch.distributed.elastic.multiprocessing.errors import ChildFailedError
    from torch.distributed.launcher.api import LaunchConfig, elastic_launch

    processes = job.settings.processes // nodes
    gpus = torch.cuda.device_count()
    if 0 < gpus < processes:
        on_each = f", {processes} on each of {nodes} nodes" if nodes > 1 else ""
        raise UserError(
            f"sft.processes: {job.settings.processes}{on_each}, but this machine shows only {gpus} "
            "GPUs"
        )
    # torchrun reports a failed rank with a screenful that repeats what the rank said itself.
    logging.getLogger("torch.distributed.elastic").setLevel(logging.CRITICAL)
    os.environ[PARENT] = str(os.getpid())
    configs: dict[str, Any] = {} if nodes == 1 else {"is_host": meeting.first}
    config = LaunchConfig(
        min_nodes=nodes,
        max_nodes=nodes,
        nproc_per_node=processes,
        run_id="mixmerge",
        rdzv_backend="c10d",
        rdzv_endpoint=meeting.endpoint,
        rdzv_configs=configs,
        local_addr=meeting.address,
        max_restarts=0,
        monitor_interval=0.2,
        # SIGTERM does not end the ranks: it asks them to save.
        signals_to_handle="SIGINT,SIGHUP,SIGQUIT",
    )
    try:
        elastic_launch(config, sys.executable)("-m", "mixmerge.sft.worker", str(job.scratch))
    except ChildFailedError as error:
        if message := first_error(job.scratch):
            raise UserError(message) from None
        # Where this process was asked too, a rank may have ended by the signal before it listened.
        codes = [failure.exitcode for failure in error.failures.values()]
        if request.asked or EXIT_CODE in codes:
            raise Preempted from None
        rank, failure = error.get_first_failure()
        raise UserError(
            f"training process {rank} of {job.settings.processes} ended with exit code "
            f"{failure.exitcode}; its own words stand above. Running the job again resumes from "
            "the last checkpoint"
        ) from None
    except SignalException as error:
        sys.exit(128 + int(error.sigval))


def write_error(scratch: Path, name: str, message: str) -> None:
    """Leave the message of a rank or an agent where `first_error` finds it."""
    (scratch / f"error-{name}.txt").write_text(message, encoding="utf-8")


def first_error(scratch: Path) -> str | None:
    """The first message that a process of the run left, on whatever machine it was."""
    files = sorted(scratch.glob("error-*.txt"), key=lambda path: path.stat().st_mtime)
    return files[0].read_text(encoding="utf-8") if files else None


def forget_errors(scratch: Path) -> None:
    """Delete the messages of an earlier run."""
    for path in scratch.glob("error-*.txt"):
        path.unlink()


def main() -> None:
    """Be the agent of one node of several."""
    scratch, endpoint = Path(sys.argv[1]), sys.argv[2]
    guard_output()
    logging.basicConfig(format="%(message)s", stream=sys.stderr)
    node, number = os.environ["SLURMD_NODENAME"], os.environ["SLURM_NODEID"]
    job = load_job(scratch)
    environment(job)
    with listening(scratch) as request:
        request.patient, request.pass_on = True, request.tell
        try:
            meeting = Meeting(endpoint, address_of(node), first=number == "0")
            run_ranks(job, request, job.settings.nodes, meeting)
        except Preempted:
            request.tell()
            raise
        except UserError as error:
            # Where a rank left its own message, this one repeats it and is the later of the two.
            write_error(scratch, f"node-{number}", f"node {node}: {error}")
            sys.exit(1)


if __name__ == "__main__":
    main()
