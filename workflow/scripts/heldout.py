"""Hold a suite's problems or rows out, for its items and for decontamination.

Settings: {"suite": {"kind", "problems", "version", "source", "fields"}, "templates", "columns"}.
"""

from mixmerge.core.cli import json_argument, parser, path_argument, run
from mixmerge.core.errors import UserError
from mixmerge.core.section import validated
from mixmerge.data.settings import CodeItems, SuiteSettings
from mixmerge.data.suites import hold_out_problems, hold_out_rows, hold_out_validation


def main() -> None:
    arguments = parser(__doc__)
    arguments.add_argument("--settings", type=json_argument, required=True)
    arguments.add_argument("--corpus", type=path_argument, help="R/data/corpus, if embedded")
    arguments.add_argument(
        "--source", type=path_argument, help="R/data/sources/KEY, if a summary or held-out rows"
    )
    arguments.add_argument(
        "--split", type=path_argument, help="R/data/split/TASK, if held-out rows"
    )
    arguments.add_argument("--out", type=path_argument, required=True, help="R/data/heldout/SUITE")
    options = arguments.parse_args()
    name = options.out.name
    settings = validated(SuiteSettings, options.settings, f"suites.{name}")
    if not isinstance(settings.suite, CodeItems):
        if options.source is None:
            raise UserError("a summary suite needs --source, the fetched source's directory")
        hold_out_rows(name, settings, options.source, options.out)
    elif settings.suite.problems == "held-out":
        if options.source is None or options.split is None:
            raise UserError("a suite of held-out rows needs --source and --split")
        hold_out_validation(name, settings, options.source, options.split, options.out)
    else:
        hold_out_problems(name, settings, options.out, options.corpus)


if __name__ == "__main__":
    run(main)
