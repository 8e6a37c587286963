"""Drop a task's rows that share a word n-gram with an item of a suite.

Settings: the section `data.decontamination` as JSON.
"""

from mixmerge.artifacts.record import skip_if_unchanged
from mixmerge.core.cli import json_argument, named_path, parser, path_argument, run
from mixmerge.core.section import validated
from mixmerge.data.decontaminate import decontaminate
from mixmerge.data.settings import Decontamination


def main() -> None:
    arguments = parser(__doc__)
    arguments.add_argument("--rows", type=path_argument, required=True, help="R/data/tasks/TASK")
    arguments.add_argument(
        "--heldout", type=named_path, nargs="*", default=[], help="SUITE=R/data/heldout/SUITE"
    )
    arguments.add_argument("--settings", type=json_argument, required=True)
    arguments.add_argument("--out", type=path_argument, required=True, help="R/data/clean/TASK")
    options = arguments.parse_args()
    settings = validated(Decontamination, options.settings, "data.decontamination")
    heldout = dict(options.heldout)
    skip_if_unchanged(
        options.out,
        vars(options),
        lambda: decontaminate(options.out.name, settings, options.rows, heldout, options.out),
    )


if __name__ == "__main__":
    run(main)
