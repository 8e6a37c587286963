"""Rule recipe: write a merge's MergeKit recipe.

--settings holds method, parameters, model_parameters, weights, pivot, dtype, base and specialists.
"""

from mixmerge.core.cli import json_argument, parser, path_argument, run
from mixmerge.core.io import atomic_open
from mixmerge.core.section import validated
from mixmerge.merge.recipe import render_recipe
from mixmerge.merge.settings import RecipeSettings


def main() -> None:
    arguments = parser(__doc__)
    arguments.add_argument("--settings", type=json_argument, required=True)
    arguments.add_argument("--out", type=path_argument, required=True)
    options = arguments.parse_args()
    settings = validated(RecipeSettings, options.settings, "--settings")
    with atomic_open(options.out) as file:
        file.write(render_recipe(settings))


if __name__ == "__main__":
    run(main)
