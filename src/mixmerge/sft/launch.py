"""Training in several processes: on this machine, or on the nodes of a Slurm job."""

import logging

from mixmerge.core.errors import UserError
from mixmerge.sft.agent import first_error, forget_errors, run_ranks
from mixmerge.sft.job import Job
from mixmerge.sft.preemption import EXIT_CODE, Preempted, Request
from mixmerge.sft.slurm import run_on_nodes, spans

logger = logging.getLogger(__name__)


def launch(job: Job, request: Request) -> None:
    """Run ``mixmerge.sft.worker`` in `settings.processes` processes and wait for them.

    A rank that fails takes all others with it. Asked to stop, the ranks save and the call returns.

    Args:
        job: with data already prepared.
        request: passed on to the ranks; it makes them save, or end where there is nothing to save.

    Raises:
        UserError: with the message of the rank that failed first, where it was the user's mistake.
        Preempted: asked to stop before there was anything to save.
    """
    nodes = job.settings.nodes
    forget_errors(job.scratch)
    request.forget()
    request.patient, request.pass_on = True, request.tell
    try:
        if nodes > 1 and spans(nodes):
            _launch_on_nodes(job, request)
        else:
            if nodes > 1:
                logger.info(
                    "sft.nodes: %d, but this is no Slurm job of as many; all %d processes run on "
                    "this machine", nodes, job.settings.processes,
                )  # fmt: skip
            run_ranks(job, request)
    finally:
        request.relieve()
        request.learn()


def _launch_on_nodes(job: Job, request: Request) -> None:
    code = run_on_nodes(job, request)
    if code == 0:
        return
    if message := first_error(job.scratch):
        raise UserError(message)
    if code == EXIT_CODE or request.file.exists():
        raise Preempted
    raise UserError(
        f"srun ended with exit code {code}; its own words stand above. Running the job again "
        "resumes from the last checkpoint"
    )
