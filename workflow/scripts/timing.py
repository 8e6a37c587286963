"""Gather Snakemake's benchmark files into one table of where the time went."""

from mixmerge.artifacts.integrity import write_sums
from mixmerge.core.cli import parser, path_argument, run
from mixmerge.report.costs import timing_table
from mixmerge.report.layout import TIMING_FILES
from mixmerge.report.render import write_table


def main() -> None:
    arguments = parser(__doc__)
    arguments.add_argument(
        "--benchmarks", type=path_argument, required=True, help="folder of the benchmark files"
    )
    arguments.add_argument("--out", type=path_argument, required=True, help="folder of timing.*")
    options = arguments.parse_args()
    write_table(timing_table(options.benchmarks), options.out, ("csv", "md", "html", "txt"))
    files = (options.out / name for name in TIMING_FILES)
    write_sums(options.out.with_name(".timing.sha256"), files)


if __name__ == "__main__":
    run(main)
