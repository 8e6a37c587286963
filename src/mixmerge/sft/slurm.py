"""The Slurm job that training runs in: its nodes, and a step with one agent on each."""

import os
import signal
import socket
import subprocess
import sys
from shutil import which
from typing import Any

from mixmerge.core.errors import UserError
from mixmerge.sft.job import Job
from mixmerge.sft.preemption import Request

#: Slurm's name of the node that a process runs on.
_NODE = "SLURMD_NODENAME"


def job_id() -> str | None:
    """Of the Slurm job that this process belongs to; None elsewhere."""
    return os.environ.get("SLURM_JOB_ID")


def requeue() -> bool:
    """Ask Slurm to start this process's job again, with its whole time limit; whether it will.

    Not so where there is no Slurm job, or one that may not be requeued.
    """
    job = job_id()
    if job is None or which("scontrol") is None:
        return False
    command = ["scontrol", "requeue", job]
    return subprocess.run(command, capture_output=True, check=False).returncode == 0


def spans(nodes: int) -> bool:
    """Whether this process runs in a Slurm job of at least so many nodes."""
    job = job_id()
    if job is None or _NODE not in os.environ:
        return False
    # The job-step plugin of Snakemake takes the variables away that would say so.
    return int(_show("job", job, "NumNodes").split("-")[0]) >= nodes


def address_of(node: str) -> str:
    """At which Slurm, and thus every other node of the cluster, reaches a node."""
    return _show("node", node, "NodeAddr")


def _show(kind: str, name: str, field: str) -> str:
    command = ["scontrol", "show", kind, name, "--oneliner"]
    if which("scontrol") is None:
        raise UserError("sft.nodes: in a Slurm job, but there is no scontrol on the PATH")
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    for entry in done.stdout.split():
        key, _, value = entry.partition("=")
        if key == field and value:
            return value
    raise UserError(
        f"sft.nodes: {' '.join(command)} names no {field}, without which training can't be spread "
        f"over nodes: {(done.stderr or done.stdout).strip()[:200]}"
    )


def run_on_nodes(job: Job, request: Request) -> int:
    """Run one `mixmerge.sft.agent` on each node of a job step and wait for them.

    Args:
        job: whose scratch, base and data lie on a file system that all nodes share.
        request: whose second signal ends the step at once.

    Returns:
        srun's exit code: the highest of the agents'.
    """
    settings = job.settings
    port = _free_port()
    command = [
        "srun",
        f"--nodes={settings.nodes}",
        f"--ntasks={settings.nodes}",
        "--ntasks-per-node=1",
        # srun asks for one CPU a task by default and binds all ranks of a node to it.
        f"--cpus-per-task={settings.processes // settings.nodes * settings.threads}",
        "--cpu-bind=none",
        # An agent that fails takes the others with it.
        "--kill-on-bad-exit=1",
        # SIGINT, once, ends the step at once.
        "--quit-on-interrupt",
        "--quiet",
        *(sys.executable, "-m", "mixmerge.sft.agent", str(job.scratch.resolve())),
        f"{address_of(os.environ[_NODE])}:{port}",
    ]
    # In a session of its own: srun would take signals to our group for its own.
    step = subprocess.Popen(command, stdin=subprocess.DEVNULL, start_new_session=True)

    def end(*_: Any) -> None:
        if step.poll() is None:
            step.send_signal(signal.SIGINT)

    request.abandon = end
    try:
        return step.wait()
    finally:
        end()
        step.wait()


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("", 0))
        return int(probe.getsockname()[1])
