"""Rule snapshot: fetch or copy a base model's checkpoint and check it.

--settings is the model's section of the config as JSON, kind `hub` or `local`.
"""

from typing import Annotated

from pydantic import Field, TypeAdapter, ValidationError

from mixmerge.checkpoint.snapshot import snapshot
from mixmerge.config.models import HubModel, LocalModel
from mixmerge.errors import UserError
from mixmerge.job import json_argument, parser, path_argument, run


def main() -> None:
    arguments = parser(__doc__)
    arguments.add_argument("--settings", type=json_argument, required=True)
    arguments.add_argument("--out", type=path_argument, required=True)
    options = arguments.parse_args()
    union = Annotated[HubModel | LocalModel, Field(discriminator="kind")]
    adapter: TypeAdapter[HubModel | LocalModel] = TypeAdapter(union)
    try:
        settings = adapter.validate_python(options.settings)
    except ValidationError as error:
        problems = "; ".join(
            ": ".join([*map(str, problem["loc"]), problem["msg"].removeprefix("Value error, ")])
            for problem in error.errors()
        )
        raise UserError(f"--settings: {problems}") from None
    snapshot(settings, options.out)


if __name__ == "__main__":
    run(main)
