"""Fine-tune a base checkpoint on one training set and publish the specialist."""

import logging
import sys

from mixmerge.artifacts.record import skip_if_unchanged
from mixmerge.core.cli import json_argument, parser, path_argument, run
from mixmerge.sft.job import Job
from mixmerge.sft.settings import Sft
from mixmerge.sft.stage import fine_tune


def main() -> None:
    args = parser(__doc__)
    args.add_argument("--base", type=path_argument, required=True, help="checkpoint to start from")
    args.add_argument("--data", type=path_argument, required=True, help="the training set")
    args.add_argument("--out", type=path_argument, required=True, help="checkpoint to write")
    args.add_argument(
        "--scratch", type=path_argument, required=True, help="resumable work, this job's alone"
    )
    args.add_argument("--settings", type=json_argument, required=True, help="`sft` of the config")
    args.add_argument("--seed", type=int, required=True)
    args.add_argument(
        "--chat-template", type=path_argument, help="Jinja file instead of the checkpoint's own"
    )
    args.add_argument("--processes", type=int, help="of the run; those of the settings by default")
    args.add_argument("--nodes", type=int, help="Slurm nodes it is spread over")
    given = args.parse_args()
    if given.processes is not None:
        given.settings["processes"] = given.processes
    if given.nodes is not None:
        given.settings["nodes"] = given.nodes
    logging.basicConfig(format="%(message)s", stream=sys.stderr)
    logging.getLogger("mixmerge").setLevel(logging.INFO)
    job = Job(
        base=given.base,
        data=given.data,
        out=given.out,
        scratch=given.scratch,
        settings=Sft.model_validate(given.settings),
        seed=given.seed,
        chat_template=given.chat_template,
    )
    skip_if_unchanged(given.out, vars(given), lambda: fine_tune(job))


if __name__ == "__main__":
    run(main)
