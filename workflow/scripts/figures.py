"""Draw the figures of a study as SVG and PNG."""

from mixmerge.artifacts.integrity import write_sums
from mixmerge.core.cli import json_argument, parser, path_argument, run
from mixmerge.report.figures import write_figures
from mixmerge.report.layout import Layout, figure_files
from mixmerge.report.results import read_results


def main() -> None:
    arguments = parser(__doc__)
    arguments.add_argument("--layout", type=json_argument, required=True, help="a Layout as JSON")
    arguments.add_argument("--results", type=path_argument, required=True, help="the study's root")
    arguments.add_argument("--shelf", type=path_argument, help="root of scores, if it is another")
    arguments.add_argument("--out", type=path_argument, required=True, help="folder of the figures")
    options = arguments.parse_args()
    layout = Layout.model_validate(options.layout)
    results = read_results(layout, options.shelf or options.results, evidence=False)
    write_figures(results, options.results, options.out)
    files = (options.out / name for name in figure_files(layout))
    write_sums(options.out.with_name(".figures.sha256"), files)


if __name__ == "__main__":
    run(main)
