"""Training in several processes: on this machine as torchrun does, or on the nodes of a Slurm job.

A rank is ``python -m mixmerge.sft.worker SCRATCH``. A run on several nodes is a job step with one
agent on each, ``python -m mixmerge.sft.worker SCRATCH FIRST_NODE:PORT``, which runs its ranks.
"""

import logging
import os
import signal
import socket
import subprocess
import sys
from pathlib import Path
from shutil import which
from typing import Any

from mixmerge.core.errors import UserError
from mixmerge.sft.resume import EXIT_CODE, Preempted, Request
from mixmerge.sft.settings import Sft

logger = logging.getLogger(__name__)

#: In a worker's environment: its launcher's process id.
PARENT = "MIXMERGE_SFT_PARENT"
#: Slurm's name of the node that a process runs on.
_NODE = "SLURMD_NODENAME"
_RESUMES = "its own words stand above. Running the job again resumes from the last checkpoint"


def launch(scratch: Path, settings: Sft, request: Request) -> None:
    """Run a job's `settings.processes` ranks and wait for them.

    A rank that fails takes all others with it. Asked to stop, the ranks save and the call returns.

    Args:
        scratch: of the job, with data already prepared.
        settings: of the job.
        request: passed on to the ranks; it makes them save, or end where there is nothing to save.

    Raises:
        UserError: with the message of the rank that failed first, where it was the user's mistake.
        Preempted: asked to stop before there was anything to save.
    """
    nodes = settings.nodes
    for message in scratch.glob("error-*.txt"):  # of an earlier run
        message.unlink()
    request.forget()
    request.patient, request.pass_on = True, request.tell
    try:
        if nodes > 1 and spans(nodes):
            _run_on_nodes(scratch, settings, request)
        else:
            if nodes > 1:
                logger.info(
                    "sft.nodes: %d, but this is no Slurm job of as many; all %d processes run on "
                    "this machine",
                    *(nodes, settings.processes),
                )
            run_ranks(scratch, settings.processes, request)
    finally:
        request.relieve()
        request.learn()


def run_ranks(
    scratch: Path, processes: int, request: Request, nodes: int = 1, **meeting: Any
) -> None:
    """Run this machine's ranks and wait for them.

    A rank that fails takes the others of its machine with it, and so does SIGINT here.

    Args:
        scratch: of the job, with data already prepared.
        processes: ranks on all machines together.
        request: handles the signals that ask; it tells the ranks.
        nodes: machines that the processes are spread over.
        meeting: where the machines' agents find each other, as `LaunchConfig` has it.

    Raises:
        UserError: with the message of the rank that failed first, where it was the user's mistake.
        Preempted: asked to stop before there was anything to save.
    """
    import torch
    from torch.distributed.elastic.multiprocessing.api import SignalException
    from torch.distributed.elastic.multiprocessing.errors import ChildFailedError
    from torch.distributed.launcher.api import LaunchConfig, elastic_launch

    here = processes // nodes
    gpus = torch.cuda.device_count()
    if 0 < gpus < here:
        on_each = f", {here} on each of {nodes} nodes" if nodes > 1 else ""
        raise UserError(
            f"sft.processes: {processes}{on_each}, but this machine shows only {gpus} GPUs"
        )
    # torchrun reports a failed rank with a screenful that repeats what the rank said itself.
    logging.getLogger("torch.distributed.elastic").setLevel(logging.CRITICAL)
    os.environ[PARENT] = str(os.getpid())
    # By default the machine's own name is looked up, which hangs where no DNS knows it.
    alone = {"rdzv_endpoint": "localhost:0", "local_addr": "127.0.0.1"}
    config = LaunchConfig(
        min_nodes=nodes,
        max_nodes=nodes,
        nproc_per_node=here,
        run_id="mixmerge",
        rdzv_backend="c10d",
        max_restarts=0,
        monitor_interval=0.2,
        # SIGTERM does not end the ranks: it asks them to save.
        signals_to_handle="SIGINT,SIGHUP,SIGQUIT",
        **(meeting or alone),
    )
    try:
        elastic_launch(config, sys.executable)("-m", "mixmerge.sft.worker", str(scratch))
    except ChildFailedError as error:
        if message := _first_error(scratch):
            raise UserError(message) from None
        # Where this process was asked too, a rank may have ended by the signal before it listened.
        codes = [failure.exitcode for failure in error.failures.values()]
        if request.asked or EXIT_CODE in codes:
            raise Preempted from None
        rank, failure = error.get_first_failure()
        raise UserError(
            f"training process {rank} of {processes} ended with exit code {failure.exitcode}; "
            f"{_RESUMES}"
        ) from None
    except SignalException as error:
        sys.exit(128 + int(error.sigval))


def write_error(scratch: Path, name: str, message: str) -> None:
    """Leave the message of a rank or an agent for the launcher, on whatever machine that is."""
    (scratch / f"error-{name}.txt").write_text(message, encoding="utf-8")


def _first_error(scratch: Path) -> str | None:
    """The first message that a process of the run left."""
    files = sorted(scratch.glob("error-*.txt"), key=lambda path: path.stat().st_mtime)
    return files[0].read_text(encoding="utf-8") if files else None


def requeue() -> bool:
    """Ask Slurm to start this process's job again, with its whole time limit; whether it will.

    Not so where there is no Slurm job, or one that may not be requeued.
    """
    job = os.environ.get("SLURM_JOB_ID")
    if job is None or which("scontrol") is None:
        return False
    command = ["scontrol", "requeue", job]
    return subprocess.run(command, capture_output=True, check=False).returncode == 0


def spans(nodes: int) -> bool:
    """Whether this process runs in a Slurm job of at least so many nodes."""
    job = os.environ.get("SLURM_JOB_ID")
    if job is None or _NODE not in os.environ:
        return False
    # The job-step plugin of Snakemake takes the variables away that would say so.
    return int(_show("job", job, "NumNodes").split("-")[0]) >= nodes


def address_of(node: str) -> str:
    """At which Slurm, and thus every other node of the cluster, reaches a node."""
    return _show("node", node, "NodeAddr")


def _show(kind: str, name: str, field: str) -> str:
    """A field of what Slurm shows of a job or a node."""
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


def _run_on_nodes(scratch: Path, settings: Sft, request: Request) -> None:
    """Run one agent on each node of a Slurm job step and wait for them.

    Args:
        scratch: on a file system that all nodes share, as the job's inputs are.
        settings: of the job.
        request: whose second signal ends the step at once.
    """
    with socket.socket() as probe:
        probe.bind(("", 0))
        port = int(probe.getsockname()[1])
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
        *(sys.executable, "-m", "mixmerge.sft.worker", str(scratch.resolve())),
        f"{address_of(os.environ[_NODE])}:{port}",
    ]
    # In a session of its own: srun would take signals to our group for its own.
    step = subprocess.Popen(command, stdin=subprocess.DEVNULL, start_new_session=True)

    def end() -> None:
        if step.poll() is None:
            step.send_signal(signal.SIGINT)

    request.abandon = end
    try:
        code = step.wait()  # srun's: the highest of the agents'
    finally:
        end()
        step.wait()
    if code == 0:
        return
    if message := _first_error(scratch):
        raise UserError(message)
    if code == EXIT_CODE or request.file.exists():
        raise Preempted
    raise UserError(f"srun ended with exit code {code}; {_RESUMES}")
