"""Rule winner: choose a strategy's merge as the tables do, and keep its weights.

The weights were deleted after they were scored, so they are merged once more and must come out
byte for byte. A winner that is there already is not merged again.
"""

import logging
import sys

from mixmerge.artifacts.manifest import MANIFEST
from mixmerge.core.cli import json_argument, named_path, parser, path_argument, run
from mixmerge.core.errors import UserError
from mixmerge.merge.recipe import add_facts, differing, merge_again, write_record
from mixmerge.report.layout import Layout
from mixmerge.report.results import read_results

logger = logging.getLogger("mixmerge.winner")


def main() -> None:
    arguments = parser(__doc__)
    arguments.add_argument("--layout", type=json_argument, required=True, help="a Layout as JSON")
    arguments.add_argument("--shelf", type=path_argument, required=True, help="root of scores/")
    arguments.add_argument(
        "--recipes", type=named_path, nargs="+", required=True, metavar="VARIANT=FILE"
    )
    arguments.add_argument(
        "--records", type=named_path, nargs="+", required=True, metavar="VARIANT=DIR"
    )
    arguments.add_argument("--seed", type=int, required=True)
    arguments.add_argument("--threads", type=int, default=1)
    arguments.add_argument("--out", type=path_argument, required=True)
    options = arguments.parse_args()
    logging.basicConfig(format="%(message)s", stream=sys.stderr)
    logging.getLogger("mixmerge").setLevel(logging.INFO)
    layout = Layout.model_validate(options.layout)
    if len(layout.models) != 1 or len(layout.strategies) != 1:
        raise UserError("--layout: give one model and one strategy")
    [model], [strategy] = layout.models, layout.strategies
    [winner] = read_results(layout, options.shelf, evidence=False).chosen(model)
    recipe, record = dict(options.recipes)[winner.name], dict(options.records)[winner.name]
    if options.out.is_dir() and differing(options.out, record) is None:
        write_record(record, options.out)
    else:
        merge_again(recipe, record, options.out, seed=options.seed, threads=options.threads)
    add_facts(options.out, {"model": model.key, "strategy": strategy.key, "variant": winner.name})
    logger.info("%s: %s keeps %s (%s)", model.key, strategy.key, winner.name, record / MANIFEST)


if __name__ == "__main__":
    run(main)
