"""Rule recipe: write a merge's MergeKit recipe.

--settings holds method, parameters, model_parameters, weights, pivot, dtype, base and specialists.
"""

from pydantic import ValidationError

from mixmerge.errors import UserError
from mixmerge.files import atomic_open
from mixmerge.job import json_argument, parser, path_argument, run
from mixmerge.merge.recipe import RecipeSettings, render_recipe


def main() -> None:
    arguments = parser(__doc__)
    arguments.add_argument("--settings", type=json_argument, required=True)
    arguments.add_argument("--out", type=path_argument, required=True)
    options = arguments.parse_args()
    try:
        settings = RecipeSettings.model_validate(options.settings)
    except ValidationError as error:
        problems = "; ".join(
            ": ".join([*map(str, problem["loc"]), problem["msg"].removeprefix("Value error, ")])
            for problem in error.errors()
        )
        raise UserError(f"--settings: {problems}") from None
    with atomic_open(options.out) as file:
        file.write(render_recipe(settings))


if __name__ == "__main__":
    run(main)
