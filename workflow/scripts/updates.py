"""Rule updates: how far the specialists' updates agree, for each pair of them."""

from pathlib import Path

from mixmerge.artifacts.record import skip_if_unchanged
from mixmerge.core.cli import parser, path_argument, run
from mixmerge.core.errors import UserError
from mixmerge.core.io import write_json
from mixmerge.weights.statistics import update_agreement


def main() -> None:
    arguments = parser(__doc__)
    arguments.add_argument("--base", type=path_argument, required=True)
    arguments.add_argument("--variants", nargs="+", required=True, metavar="NAME=DIR")
    arguments.add_argument("--out", type=path_argument, required=True)
    options = arguments.parse_args()
    variants: dict[str, Path] = {}
    for given in options.variants:
        name, found, directory = given.partition("=")
        if not found or not name or not directory:
            raise UserError(f"--variants {given}: expected NAME=DIR")
        if name in variants:
            raise UserError(f"--variants {given}: {name!r} is given twice")
        variants[name] = Path(directory)
    if len(variants) < 2:
        raise UserError("--variants: name at least two checkpoints to compare")
    skip_if_unchanged(
        options.out,
        {"base": options.base, "variants": list(variants.items())},
        lambda: write_json(options.out, update_agreement(options.base, variants)),
    )


if __name__ == "__main__":
    run(main)
