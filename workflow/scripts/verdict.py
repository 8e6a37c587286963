"""Write the verdict of a study: a few lines of text, and a table as CSV, Markdown and HTML."""

from mixmerge.job import json_argument, parser, path_argument, run
from mixmerge.report.geometry import read_pairs
from mixmerge.report.layout import Layout
from mixmerge.report.scores import read_scores
from mixmerge.report.verdict import verdicts
from mixmerge.report.wording import verdict_table, verdict_text
from mixmerge.report.writing import write_table, write_text


def main() -> None:
    arguments = parser(__doc__)
    arguments.add_argument("--layout", type=json_argument, required=True, help="a Layout as JSON")
    arguments.add_argument("--results", type=path_argument, required=True, help="the study's root")
    arguments.add_argument("--out", type=path_argument, required=True, help="folder of verdict.*")
    given = arguments.parse_args()
    layout = Layout.model_validate(given.layout)
    pairs = {model.key: read_pairs(layout, model, given.results) for model in layout.models}
    found = verdicts(layout, read_scores(layout, given.results), pairs)
    write_table(verdict_table(layout, found), given.out, ("csv", "md", "html"))
    write_text(given.out / "verdict.txt", verdict_text(layout, found))


if __name__ == "__main__":
    run(main)
