"""Score a checkpoint's completions: verdicts of code suites, metrics of summary suites."""

from mixmerge.artifacts.record import skip_if_unchanged
from mixmerge.core.cli import json_argument, named_path, parser, path_argument, run
from mixmerge.core.section import validated
from mixmerge.evaluate.scoring import score
from mixmerge.evaluate.settings import CodeJudging, ScoreSettings, with_workers
from mixmerge.evaluate.suite import suite_paths


def main() -> None:
    arguments = parser(__doc__)
    arguments.add_argument("--completions", type=path_argument, required=True)
    arguments.add_argument(
        "--suites", type=named_path, nargs="+", required=True, metavar="NAME=DIR"
    )
    arguments.add_argument(
        "--groundtruth", type=named_path, nargs="*", default=[], metavar="NAME=DIR"
    )
    arguments.add_argument("--nltk-data", type=path_argument, help="needed for METEOR")
    arguments.add_argument("--out", type=path_argument, required=True)
    arguments.add_argument("--settings", type=json_argument, required=True)
    arguments.add_argument(
        "--processes", type=int, help="side by side; code.workers of the settings by default"
    )
    options = arguments.parse_args()
    settings = validated(ScoreSettings, options.settings, "--settings")
    settings = with_workers(settings, options.processes)
    code = [name for name, suite in settings.suites.items() if isinstance(suite, CodeJudging)]
    suites = suite_paths(options.suites, settings.suites, "--suites")
    truths = suite_paths(options.groundtruth, code, "--groundtruth")
    skip_if_unchanged(
        options.out,
        vars(options),
        lambda: score(
            options.completions, suites, truths, options.nltk_data, options.out, settings
        ),
    )


if __name__ == "__main__":
    run(main)
