"""Mix the tasks' training rows at their weights (JSON: task -> multiple of its size), shuffled."""

from mixmerge.core.cli import json_argument, named_path, parser, path_argument, run
from mixmerge.core.section import validated
from mixmerge.data.settings import Mixture
from mixmerge.data.split import mix


def main() -> None:
    arguments = parser(__doc__)
    arguments.add_argument(
        "--tasks", type=named_path, nargs="+", required=True, help="TASK=R/data/split/TASK"
    )
    arguments.add_argument("--percent", type=int, required=True)
    arguments.add_argument("--weights", type=json_argument, default={})
    arguments.add_argument("--seed", type=int, required=True)
    arguments.add_argument(
        "--subset-seeds",
        type=json_argument,
        required=True,
        help="JSON: task -> seed of its subsets, whose rows the mixture takes",
    )
    arguments.add_argument("--out", type=path_argument, required=True, help="R/data/sets/mix-pPCT")
    options = arguments.parse_args()
    mixture = validated(Mixture, {"weights": options.weights}, "mixture")
    seeds = validated(dict[str, int], options.subset_seeds, "--subset-seeds")
    weights = mixture.weights or {}
    mix(dict(options.tasks), weights, options.percent, options.out, options.seed, seeds)


if __name__ == "__main__":
    run(main)
