"""Complete every prompt of every suite with one checkpoint, in one model load."""

from mixmerge.artifacts.record import skip_if_unchanged
from mixmerge.core.cli import json_argument, named_path, parser, path_argument, run
from mixmerge.core.section import validated
from mixmerge.evaluate.settings import GenerateSettings
from mixmerge.evaluate.suite import suite_paths


def main() -> None:
    arguments = parser(__doc__)
    arguments.add_argument("--checkpoint", type=path_argument, required=True)
    arguments.add_argument(
        "--manifest",
        type=path_argument,
        help="the checkpoint's manifest where it stays when the weights are deleted",
    )
    arguments.add_argument(
        "--suites", type=named_path, nargs="+", required=True, metavar="NAME=DIR"
    )
    arguments.add_argument("--out", type=path_argument, required=True)
    arguments.add_argument(
        "--scratch", type=path_argument, required=True, help="keeps batches of an unfinished job"
    )
    arguments.add_argument("--settings", type=json_argument, required=True)
    options = arguments.parse_args()
    settings = validated(GenerateSettings, options.settings, "--settings")
    suites = suite_paths(options.suites, settings.suites, "--suites")

    def complete() -> None:
        from mixmerge.evaluate.generation import generate

        generate(
            options.checkpoint, suites, options.out, options.scratch, settings, options.manifest
        )

    skip_if_unchanged(options.out, vars(options), complete)


if __name__ == "__main__":
    run(main)
