"""Fine-tuning as one call: check, tokenise, train, publish, tidy up."""

import logging
from pathlib import Path

from mixmerge.core.errors import UserError
from mixmerge.sft.encoding import load_encoder
from mixmerge.sft.examples import Counts, prepare
from mixmerge.sft.job import Job, close_job, open_job
from mixmerge.sft.launch import launch, requeue
from mixmerge.sft.publish import publish
from mixmerge.sft.resume import (
    EXIT_CODE,
    Preempted,
    StopRequest,
    is_finished,
    last_checkpoint,
    listening,
    step_of,
)
from mixmerge.sft.train import environment, train

logger = logging.getLogger(__name__)


def fine_tune(job: Job) -> None:
    """Fine-tune ``job.base`` on ``job.data`` and publish ``job.out``.

    Interrupted at any time, the same call goes on from the last complete checkpoint in
    ``job.scratch`` and, on CPU, ends with the very weights of an undisturbed run.

    Raises:
        UserError: for whatever is wrong with settings, base, data or template, and for a loss that
            is not finite. Nothing is published then.
        Preempted: asked to stop by SIGTERM or SIGUSR1. Nothing is published then either, and what
            was trained is saved.
    """
    if problems := job.settings.problems():
        raise UserError("\n".join(f"sft: {problem}" for problem in problems))
    request = StopRequest(job.scratch)
    with listening(request):
        try:
            resumed = open_job(job)
            request.forget()
            environment(job.settings)
            encoder = load_encoder(job.base)
            counts = prepare(job, encoder)
            _train(job, counts, request)
            request.finishing = True
            publish(job, encoder, counts, resumed)
            close_job(job)
        except UserError:
            if not job.trainer.exists():  # nothing was trained that the next call could go on from
                close_job(job)
            raise


def _train(job: Job, counts: dict[str, Counts], request: StopRequest) -> None:
    """Train to the last step, in this process or in several, or stop where that was asked for."""
    begun = step_of(last_checkpoint(job.trainer))
    if is_finished(job.trainer):
        logger.info("training is finished already; publishing what stands in %s", job.trainer)
    elif job.settings.processes > 1:
        launch(job.scratch, job.settings, request)
    else:
        train(job, counts, request)
    if not is_finished(job.trainer):
        _stop(job.trainer, request, begun)


def _stop(trainer: Path, request: StopRequest, begun: int) -> None:
    """Say where the run stands, have Slurm requeue it if that helps, and raise `Preempted`."""
    step = step_of(last_checkpoint(trainer))
    # SIGTERM may be a scancel: a job that its user cancelled must not come back. And without a step
    # forward it would come back for ever; Snakemake's retries end some time, and give more time.
    requeued = request.signal == "SIGUSR1" and step > begun and requeue()
    logger.warning(
        "training stopped by %s, saved after step %d; exit code %d. %s goes on from there",
        *(request.signal or "a signal to one of its processes", step, EXIT_CODE),
        "Slurm was asked to requeue the job, which" if requeued else "Running the job again",
    )
    raise Preempted
