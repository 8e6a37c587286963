"""Compute the expected outputs of a code suite's canonical solutions."""

from mixmerge.evaluate.groundtruth import make_ground_truth
from mixmerge.evaluate.settings import GroundTruthSettings
from mixmerge.evaluate.unittruth import make_unit_truth
from mixmerge.job import json_argument, parser, path_argument, run
from mixmerge.section import validated


def main() -> None:
    arguments = parser(__doc__)
    arguments.add_argument("--problems", type=path_argument, required=True)
    arguments.add_argument("--out", type=path_argument, required=True)
    arguments.add_argument("--settings", type=json_argument, required=True)
    given = arguments.parse_args()
    settings = validated(GroundTruthSettings, given.settings, "--settings")
    make = make_ground_truth if settings.tests == "inputs" else make_unit_truth
    make(given.problems, given.out, settings)


if __name__ == "__main__":
    run(main)
