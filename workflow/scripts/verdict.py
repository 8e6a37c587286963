"""Write the verdict of a study: a page of text and tables, tables as CSV, a few lines of text."""

from mixmerge.artifacts.integrity import write_sums
from mixmerge.core.cli import json_argument, parser, path_argument, run
from mixmerge.report.layout import VERDICT_FILES, Layout
from mixmerge.report.results import read_results
from mixmerge.report.verdict import ModelVerdict, write_verdict


def main() -> None:
    arguments = parser(__doc__)
    arguments.add_argument("--layout", type=json_argument, required=True, help="a Layout as JSON")
    arguments.add_argument("--results", type=path_argument, required=True, help="the study's root")
    arguments.add_argument(
        "--shelf",
        type=path_argument,
        help="root of completions, scores and uncertainty, if another",
    )
    arguments.add_argument("--out", type=path_argument, required=True, help="folder of verdict*")
    options = arguments.parse_args()
    layout = Layout.model_validate(options.layout)
    shelf = options.shelf or options.results
    results = read_results(layout, shelf)
    verdicts = [ModelVerdict(results, model, options.results, shelf) for model in layout.models]
    write_verdict(layout, verdicts, options.out)
    files = (options.out / name for name in VERDICT_FILES)
    write_sums(options.out.with_name(".verdict.sha256"), files)


if __name__ == "__main__":
    run(main)
