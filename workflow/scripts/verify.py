"""Rule verify: read every file of a study that has a digest, and compare it.

Exit code 1 where something rotted, was edited or lost. Nothing is changed.
"""

import sys
import time

from mixmerge.config.load import parse_config
from mixmerge.core.cli import json_argument, parser, run
from mixmerge.study.plan import Study
from mixmerge.verify.verify import rendered, verify


def main() -> None:
    arguments = parser(__doc__)
    arguments.add_argument("--config", type=json_argument, required=True, help="the study's")
    arguments.add_argument(
        "--options", default="", help="of the command line that makes the study, for the ways out"
    )
    arguments.add_argument(
        "--remote", action="store_true", help="completions and scores lie on a bucket"
    )
    options = arguments.parse_args()
    start = time.monotonic()
    verdict = verify(Study(parse_config(options.config, "config")), options.options, options.remote)
    print(rendered(verdict, time.monotonic() - start), flush=True)
    if verdict.faults:
        sys.exit(1)


if __name__ == "__main__":
    run(main)
