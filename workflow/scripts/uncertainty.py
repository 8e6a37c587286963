"""Intervals and tests on the scores of all checkpoints of a model."""

from mixmerge.artifacts.manifest import read_manifest
from mixmerge.artifacts.record import skip_if_unchanged
from mixmerge.core.cli import json_argument, named_path, parser, path_argument, run
from mixmerge.core.errors import UserError
from mixmerge.core.io import write_json
from mixmerge.core.section import validated
from mixmerge.uncertainty.settings import UncertaintySettings


def main() -> None:
    arguments = parser(__doc__)
    arguments.add_argument(
        "--scores", type=named_path, nargs="+", required=True, metavar="VARIANT=DIR"
    )
    arguments.add_argument("--settings", type=json_argument, required=True)
    arguments.add_argument("--seed", type=int, required=True)
    arguments.add_argument("--out", type=path_argument, required=True, help="the JSON file")
    options = arguments.parse_args()
    settings = validated(UncertaintySettings, options.settings, "--settings")
    scores = dict(options.scores)
    missing = [arm.name for arm in settings.arms if arm.name not in scores]
    if missing:
        raise UserError(f"--scores: no directory for {', '.join(missing)}; add VARIANT=DIR")
    for directory in scores.values():
        read_manifest(directory, "scores")

    def make() -> None:
        from mixmerge.uncertainty.analysis import analyse

        write_json(options.out, analyse(settings, scores, options.seed))

    skip_if_unchanged(options.out, vars(options), make)


if __name__ == "__main__":
    run(main)
