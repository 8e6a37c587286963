"""Write every table of a study as CSV, Markdown, LaTeX and HTML, and an index of them all."""

from mixmerge.artifacts.integrity import write_sums
from mixmerge.core.cli import json_argument, parser, path_argument, run
from mixmerge.report.layout import Layout, paper_entries, table_files
from mixmerge.report.results import read_results
from mixmerge.report.study_tables import write_tables
from paper_audit.comparison import paper_table


def main() -> None:
    arguments = parser(__doc__)
    arguments.add_argument("--layout", type=json_argument, required=True, help="a Layout as JSON")
    arguments.add_argument("--results", type=path_argument, required=True, help="the study's root")
    arguments.add_argument(
        "--shelf", type=path_argument, help="root of scores and uncertainty, if it is another"
    )
    arguments.add_argument("--out", type=path_argument, required=True, help="folder of the tables")
    options = arguments.parse_args()
    layout = Layout.model_validate(options.layout)
    shelf = options.shelf or options.results
    results = read_results(layout, shelf)
    beside = [paper_table(results, entry) for entry in paper_entries(layout)]
    write_tables(results, options.results, options.out, beside)
    files = (options.out / name for name in table_files(layout))
    write_sums(options.out.with_name(".tables.sha256"), files)


if __name__ == "__main__":
    run(main)
