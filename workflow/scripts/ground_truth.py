"""Compute the expected outputs of a code suite's canonical solutions."""

from mixmerge.artifacts.record import skip_if_unchanged
from mixmerge.core.cli import json_argument, parser, path_argument, run
from mixmerge.core.section import validated
from mixmerge.evaluate.groundtruth import make_ground_truth
from mixmerge.evaluate.settings import GroundTruthSettings, with_workers


def main() -> None:
    arguments = parser(__doc__)
    arguments.add_argument("--problems", type=path_argument, required=True)
    arguments.add_argument("--out", type=path_argument, required=True)
    arguments.add_argument("--settings", type=json_argument, required=True)
    arguments.add_argument(
        "--processes", type=int, help="side by side; code.workers of the settings by default"
    )
    options = arguments.parse_args()
    settings = validated(GroundTruthSettings, options.settings, "--settings")
    settings = with_workers(settings, options.processes)
    skip_if_unchanged(
        options.out,
        vars(options),
        lambda: make_ground_truth(options.problems, options.out, settings),
    )


if __name__ == "__main__":
    run(main)
