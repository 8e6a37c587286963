"""Rule merged_layers: layer-wise distance of a merge from its base model.

Reads the merge's weights where they still lie. Where they were deleted, merges once more into a
scratch directory, checks that the bytes are the recorded ones, and deletes it in the end.
"""

from mixmerge.artifacts.record import skip_if_unchanged
from mixmerge.core.cli import parser, path_argument, run
from mixmerge.core.io import write_json
from mixmerge.merge.recipe import recorded_weights
from mixmerge.weights.statistics import layer_distances


def main() -> None:
    arguments = parser(__doc__)
    arguments.add_argument("--base", type=path_argument, required=True)
    arguments.add_argument("--weights", type=path_argument, required=True)
    arguments.add_argument("--record", type=path_argument, required=True)
    arguments.add_argument("--recipe", type=path_argument, required=True)
    arguments.add_argument("--seed", type=int, required=True)
    arguments.add_argument("--scratch", type=path_argument, required=True)
    arguments.add_argument("--threads", type=int, default=1)
    arguments.add_argument("--out", type=path_argument, required=True)
    options = arguments.parse_args()

    def measure() -> None:
        with recorded_weights(
            options.weights,
            options.record,
            options.recipe,
            options.scratch,
            seed=options.seed,
            threads=options.threads,
        ) as variant:
            write_json(options.out, layer_distances(options.base, variant))

    # The record stands for the weights, whether they are there or not.
    decided_by = {name: value for name, value in vars(options).items() if name != "weights"}
    skip_if_unchanged(options.out, decided_by, measure)


if __name__ == "__main__":
    run(main)
