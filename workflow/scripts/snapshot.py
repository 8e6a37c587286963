"""Rule snapshot: fetch or copy a base model's checkpoint and check it.

--settings is the model's section of the config as JSON, kind `hub` or `local`.
"""

from typing import Annotated

from pydantic import Field

from mixmerge.checkpoint.settings import HubCheckpoint, LocalCheckpoint
from mixmerge.checkpoint.snapshot import snapshot
from mixmerge.core.cli import json_argument, parser, path_argument, run
from mixmerge.core.section import validated


def main() -> None:
    arguments = parser(__doc__)
    arguments.add_argument("--model", required=True, help="the model's key")
    arguments.add_argument("--settings", type=json_argument, required=True)
    arguments.add_argument("--out", type=path_argument, required=True)
    options = arguments.parse_args()
    union = Annotated[HubCheckpoint | LocalCheckpoint, Field(discriminator="kind")]
    settings = validated(union, options.settings, f"models.{options.model}")
    snapshot(options.model, settings, options.out)


if __name__ == "__main__":
    run(main, online=True)
