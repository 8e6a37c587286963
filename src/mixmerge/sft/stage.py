"""The stage as one call: check, tokenise, train, publish, tidy up."""

import logging

from mixmerge.errors import UserError
from mixmerge.files import write_json
from mixmerge.sft.base import check_base, check_length
from mixmerge.sft.checkpoints import is_finished
from mixmerge.sft.encoding import load_encoder
from mixmerge.sft.examples import prepare
from mixmerge.sft.job import Job, close_job, open_job
from mixmerge.sft.launch import launch
from mixmerge.sft.publish import publish
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
    """
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
    if is_finished(job.trainer):
        logger.info("training is finished already; publishing what stands in %s", job.trainer)
    elif settings.processes > 1:
        launch(job)
    else:
        if settings.zero_stage is not None:
            single_process_environment()
        train(job, counts["train"], parameters)
    publish(job, encoder, counts)
    close_job(job)
