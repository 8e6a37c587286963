"""Compute the expected outputs of a code suite's canonical solutions."""

from mixmerge.artifacts.record import skip_if_unchanged
from mixmerge.core.cli import json_argument, parser, path_argument, run
from mixmerge.core.errors import UserError
from mixmerge.core.section import validated
from mixmerge.evaluate.groundtruth import make_ground_truth, make_recorded_truth
from mixmerge.evaluate.settings import GroundTruthSettings


def main() -> None:
    arguments = parser(__doc__)
    arguments.add_argument("--problems", type=path_argument, required=True)
    arguments.add_argument("--out", type=path_argument, required=True)
    arguments.add_argument("--settings", type=json_argument, required=True)
    arguments.add_argument(
        "--processes", type=int, help="side by side; code.workers of the settings by default"
    )
    given = arguments.parse_args()
    settings = validated(GroundTruthSettings, given.settings, "--settings")
    if given.processes is not None:
        if given.processes < 1:
            raise UserError(f"--processes: {given.processes} is less than 1")
        running = settings.code.model_copy(update={"workers": given.processes})
        settings = settings.model_copy(update={"code": running})
    make = make_ground_truth if settings.tests == "inputs" else make_recorded_truth
    skip_if_unchanged(given.out, vars(given), lambda: make(given.problems, given.out, settings))


if __name__ == "__main__":
    run(main)
