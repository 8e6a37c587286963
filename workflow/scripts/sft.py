"""Fine-tune a base checkpoint on one training set and publish the specialist."""

import logging
import sys

from mixmerge.artifacts.record import skip_if_unchanged
from mixmerge.core.cli import json_argument, parser, path_argument, run
from mixmerge.sft.job import Job
from mixmerge.sft.stage import fine_tune


def main() -> None:
    arguments = parser(__doc__)
    for name, text in {
        "--base": "checkpoint to start from",
        "--data": "the training set",
        "--out": "checkpoint to write",
        "--scratch": "resumable work, this job's alone",
    }.items():
        arguments.add_argument(name, type=path_argument, required=True, help=text)
    arguments.add_argument(
        "--settings", type=json_argument, required=True, help="`sft` of the config"
    )
    arguments.add_argument("--seed", type=int, required=True)
    arguments.add_argument("--processes", type=int, help="of the run, in place of the settings'")
    arguments.add_argument("--nodes", type=int, help="Slurm nodes it is spread over, likewise")
    options = vars(arguments.parse_args())
    for name in ("processes", "nodes"):
        if (value := options.pop(name)) is not None:
            options["settings"][name] = value
    logging.basicConfig(format="%(message)s", stream=sys.stderr)
    logging.getLogger("mixmerge").setLevel(logging.INFO)
    job = Job.model_validate(options)
    skip_if_unchanged(job.out, options, lambda: fine_tune(job))


if __name__ == "__main__":
    run(main)
