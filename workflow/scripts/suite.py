"""Make a suite's items: prompts, and references where it has them.

Settings: {"suite": {"kind", "prompt", "sample", "limit"}, "templates", "columns"}.
"""

from mixmerge.core.cli import json_argument, parser, path_argument, run
from mixmerge.core.errors import UserError
from mixmerge.core.section import validated
from mixmerge.data.settings import SuiteSettings
from mixmerge.data.suites import make_suite


def main() -> None:
    arguments = parser(__doc__)
    arguments.add_argument("--settings", type=json_argument, required=True)
    arguments.add_argument("--heldout", type=path_argument, help="R/data/heldout/SUITE, if code")
    arguments.add_argument("--source", type=path_argument, help="R/data/sources/KEY, if a summary")
    arguments.add_argument("--seed", type=int, help="of the draw, if the suite is a sample")
    arguments.add_argument("--out", type=path_argument, required=True, help="R/suites/SUITE")
    options = arguments.parse_args()
    name = options.out.name
    settings = validated(SuiteSettings, options.settings, f"suites.{name}")
    if settings.suite.sample is not None and options.seed is None:
        raise UserError("a sample needs --seed, the seed of its draw")
    option = "heldout" if settings.suite.kind == "code" else "source"
    if (made_from := getattr(options, option)) is None:
        raise UserError(
            f"a {settings.suite.kind} suite needs --{option}, the directory it is made from"
        )
    make_suite(name, settings, made_from, options.out, options.seed)


if __name__ == "__main__":
    run(main)
