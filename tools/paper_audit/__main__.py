"""Check the paper's own figures against each other and write what does not follow.

``python -m paper_audit`` (with ``tools`` on the path) writes ``docs/paper-audit.md`` and, for the
tables beside the paper's, ``resources/paper/paper_audit.csv``, and prints a summary; a test fails
where these lag behind.
"""

import csv
from pathlib import Path
from textwrap import fill

from mixmerge.core.cli import parser, path_argument, run
from mixmerge.core.io import atomic_open
from mixmerge.report.paper_tables import read_results, read_scale
from paper_audit.hypotheses import Paper
from paper_audit.page import PAGE, page, summary
from paper_audit.printed import findings

_ROOT = Path(__file__).resolve().parents[2]
RESULTS = _ROOT / "resources" / "paper" / "paper_results.csv"
FINDINGS = RESULTS.with_name("paper_audit.csv")
DATA_SCALE = _ROOT / "resources" / "paper" / "paper_data_scale.csv"


def main() -> None:
    """Write the page and the findings by line, and print a summary."""
    arguments = parser(__doc__)
    arguments.add_argument(
        "--results", type=path_argument, default=RESULTS, help="Tables 3 and 5-9 as CSV"
    )
    arguments.add_argument(
        "--data-scale", type=path_argument, default=DATA_SCALE, help="Table 4 as CSV"
    )
    arguments.add_argument("--out", type=path_argument, default=PAGE, help="the page written")
    arguments.add_argument(
        "--findings", type=path_argument, default=FINDINGS, help="what is off by line, as CSV"
    )
    given = arguments.parse_args()
    paper = Paper(read_results(given.results), read_scale(given.data_scale))
    with atomic_open(given.out) as file:
        file.write(page(paper))
    rows = findings(paper.lines)
    with atomic_open(given.findings) as file:
        writer = csv.DictWriter(file, rows[0], lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
    for line in summary(paper):
        print(fill(line, 100, initial_indent="- ", subsequent_indent="  "))
    print(f"All of it: {given.out}")


if __name__ == "__main__":
    run(main)
