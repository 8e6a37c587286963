"""The stage as one call: check, tokenise, train, publish, tidy up."""

import logging
from typing import NoReturn

from mixmerge.core.errors import UserError
from mixmerge.core.io import write_json
from mixmerge.sft.base import check_base, check_length
from mixmerge.sft.checkpoints import is_finished, last_complete, step_of
from mixmerge.sft.encoding import load_encoder
from mixmerge.sft.examples import prepare
from mixmerge.sft.job import Job, close_job, open_job
from mixmerge.sft.launch import launch
from mixmerge.sft.preemption import EXIT_CODE, Preempted, Request, listening
from mixmerge.sft.publish import publish
from mixmerge.sft.slurm import requeue
from mixmerge.sft.train import PARAMETERS, environment, train
from mixmerge.sft.zero import single_process_environment

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
    with listening(job.scratch) as request:
        try:
            _fine_tune(job, request)
        except UserError:
            if not job.trainer.exists():  # nothing was trained that the next call could go on from
                close_job(job)
            raise


def _fine_tune(job: Job, request: Request) -> None:
    settings = job.settings
    if problems := settings.problems():
        raise UserError("\n".join(f"sft: {problem}" for problem in problems))
    open_job(job)
    environment(job)
    check_length(job.base, settings.max_length)
    encoder = load_encoder(job.base, job.chat_template)
    parameters, vocabulary = check_base(job.base, encoder)
    counts = prepare(job, encoder, vocabulary)
    write_json(job.scratch / PARAMETERS, parameters)
    begun = _saved_step(job)
    if is_finished(job.trainer):
        logger.info("training is finished already; publishing what stands in %s", job.trainer)
    elif settings.processes > 1:
        launch(job, request)
    else:
        if settings.zero_stage is not None:
            single_process_environment()
        train(job, counts["train"], parameters, request)
    if not is_finished(job.trainer):
        _stop(job, request, begun)
    # It takes seconds; a wish to stop that comes now is best met by finishing.
    request.patient = True
    publish(job, encoder, counts)
    close_job(job)


def _stop(job: Job, request: Request, begun: int) -> NoReturn:
    step = _saved_step(job)
    # SIGTERM may be a scancel: a job that its user cancelled must not come back. And without a step
    # forward it would come back for ever; Snakemake's retries end some time, and give more time.
    requeued = request.name == "SIGUSR1" and step > begun and requeue()
    logger.warning(
        "training stopped by %s, saved after step %d; exit code %d. %s goes on from there",
        request.name or "a signal to one of its processes", step, EXIT_CODE,
        "Slurm was asked to requeue the job, which" if requeued else "Running the job again",
    )  # fmt: skip
    raise Preempted


def _saved_step(job: Job) -> int:
    """The step that training would go on from."""
    last = last_complete(job.trainer)
    return step_of(last) if last else 0
