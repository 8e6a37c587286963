"""Score a checkpoint's completions: verdicts of code suites, metrics of summary suites."""

from mixmerge.artifacts.record import skip_if_unchanged
from mixmerge.core.cli import json_argument, named_path, parser, path_argument, run
from mixmerge.core.errors import UserError
from mixmerge.core.section import validated
from mixmerge.evaluate.scoring import score
from mixmerge.evaluate.settings import CodeJudging, ScoreSettings
from mixmerge.evaluate.suite import check_named, named_paths


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
    given = arguments.parse_args()
    settings = validated(ScoreSettings, given.settings, "--settings")
    if given.processes is not None:
        if given.processes < 1:
            raise UserError(f"--processes: {given.processes} is less than 1")
        running = settings.code.model_copy(update={"workers": given.processes})
        settings = settings.model_copy(update={"code": running})
    suites = named_paths(given.suites, "--suites")
    check_named(set(suites), set(settings.suites), "--suites")
    truths = named_paths(given.groundtruth, "--groundtruth")
    code = {name for name, suite in settings.suites.items() if isinstance(suite, CodeJudging)}
    check_named(set(truths), code, "--groundtruth")
    skip_if_unchanged(
        given.out,
        vars(given),
        lambda: score(given.completions, suites, truths, given.nltk_data, given.out, settings),
    )


if __name__ == "__main__":
    run(main)
