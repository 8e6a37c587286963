"""Count rows and lengths for Table 2; directories are called as their source, task or set is."""

from mixmerge.artifacts.integrity import write_sums
from mixmerge.core.cli import parser, path_argument, run
from mixmerge.core.io import write_json
from mixmerge.data.split import statistics


def main() -> None:
    arguments = parser(__doc__)
    for name in ("sources", "tasks", "clean", "splits", "sets"):
        arguments.add_argument(f"--{name}", type=path_argument, nargs="+", required=True)
    arguments.add_argument(
        "--out", type=path_argument, required=True, help="R/data/statistics.json"
    )
    options = arguments.parse_args()
    write_json(
        options.out,
        statistics(options.sources, options.tasks, options.clean, options.splits, options.sets),
    )
    write_sums(options.out.with_name(".statistics.sha256"), [options.out])


if __name__ == "__main__":
    run(main)
