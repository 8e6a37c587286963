"""Hold a seeded share of a task's rows out for the validation loss."""

from mixmerge.core.cli import parser, path_argument, run
from mixmerge.data.split import split


def main() -> None:
    arguments = parser(__doc__)
    arguments.add_argument("--rows", type=path_argument, required=True, help="R/data/clean/TASK")
    arguments.add_argument("--fraction", type=float, required=True, help="share held out")
    arguments.add_argument("--seed", type=int, required=True)
    arguments.add_argument("--out", type=path_argument, required=True, help="R/data/split/TASK")
    options = arguments.parse_args()
    split(options.out.name, options.fraction, options.rows, options.out, options.seed)


if __name__ == "__main__":
    run(main)
