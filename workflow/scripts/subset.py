"""Take a seeded, nested percentage of a task's training rows."""

from mixmerge.core.cli import parser, path_argument, run
from mixmerge.data.split import subset


def main() -> None:
    arguments = parser(__doc__)
    arguments.add_argument("--rows", type=path_argument, required=True, help="R/data/split/TASK")
    arguments.add_argument("--percent", type=int, required=True)
    arguments.add_argument("--seed", type=int, required=True, help="one for all percentages")
    arguments.add_argument("--out", type=path_argument, required=True, help="R/data/sets/TASK-pPCT")
    options = arguments.parse_args()
    subset(options.rows.name, options.percent, options.rows, options.out, options.seed)


if __name__ == "__main__":
    run(main)
