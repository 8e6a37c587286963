"""Rule layers: layer-wise distance of a checkpoint from its base model."""

from mixmerge.artifacts.record import skip_if_unchanged
from mixmerge.core.cli import parser, path_argument, run
from mixmerge.core.io import write_json
from mixmerge.weights.statistics import layer_distances


def main() -> None:
    arguments = parser(__doc__)
    arguments.add_argument("--base", type=path_argument, required=True)
    arguments.add_argument("--variant", type=path_argument, required=True)
    arguments.add_argument("--out", type=path_argument, required=True)
    options = arguments.parse_args()
    skip_if_unchanged(
        options.out,
        vars(options),
        lambda: write_json(options.out, layer_distances(options.base, options.variant)),
    )


if __name__ == "__main__":
    run(main)
