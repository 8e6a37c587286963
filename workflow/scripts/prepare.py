"""Map a task's sources to chat messages and drop duplicates.

Settings: {"templates": {"system", "prompt", "answer"}, "columns": {SOURCE: {"columns", "id_column",
"on_empty"}}, "deduplicate": bool}.
"""

from mixmerge.artifacts.record import skip_if_unchanged
from mixmerge.core.cli import json_argument, named_path, parser, path_argument, run
from mixmerge.core.section import validated
from mixmerge.data.prepare import prepare
from mixmerge.data.settings import PrepareSettings


def main() -> None:
    arguments = parser(__doc__)
    arguments.add_argument("--task", required=True, help="the task's key")
    arguments.add_argument(
        "--sources", type=named_path, nargs="+", required=True, help="SOURCE=R/data/sources/SOURCE"
    )
    arguments.add_argument("--settings", type=json_argument, required=True)
    arguments.add_argument("--out", type=path_argument, required=True, help="R/data/tasks/TASK")
    options = arguments.parse_args()
    settings = validated(PrepareSettings, options.settings, f"tasks.{options.task}")
    skip_if_unchanged(
        options.out,
        vars(options),
        lambda: prepare(options.task, settings, dict(options.sources), options.out),
    )


if __name__ == "__main__":
    run(main)
