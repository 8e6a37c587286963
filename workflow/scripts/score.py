"""Score a checkpoint's completions: verdicts of code suites, metrics of summary suites."""

from mixmerge.evaluate.scoring import score
from mixmerge.evaluate.settings import (
    CodeJudging,
    ScoreSettings,
    check_named,
    named_paths,
)
from mixmerge.job import json_argument, named_path, parser, path_argument, run
from mixmerge.section import validated


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
    given = arguments.parse_args()
    settings = validated(ScoreSettings, given.settings, "--settings")
    suites = named_paths(given.suites, "--suites")
    check_named(set(suites), set(settings.suites), "--suites")
    truths = named_paths(given.groundtruth, "--groundtruth")
    code = {name for name, suite in settings.suites.items() if isinstance(suite, CodeJudging)}
    check_named(set(truths), code, "--groundtruth")
    score(given.completions, suites, truths, given.nltk_data, given.out, settings)


if __name__ == "__main__":
    run(main)
