"""What the scripts of the rules share: argument types and the way a job ends."""

import argparse
import json
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from mixmerge.errors import UserError


def json_argument(text: str) -> Any:
    """An ``argparse`` type: a JSON value, as rules pass settings on the command line."""
    try:
        return json.loads(text)
    except json.JSONDecodeError as error:
        raise argparse.ArgumentTypeError(f"not valid JSON: {error}") from None


def parser(description: str | None) -> argparse.ArgumentParser:
    """A parser for a rule's script; ``description`` is the script's docstring."""
    return argparse.ArgumentParser(
        description=description, formatter_class=argparse.RawDescriptionHelpFormatter
    )


def path_argument(text: str) -> Path:
    """An ``argparse`` type: a path."""
    return Path(text)


def run(main: Callable[[], None]) -> None:
    """Run a script's ``main``; a user's mistake ends in one message and exit code 1.

    Nothing here runs on the hub: jobs may sit on nodes without internet, so everything below the
    fetch rules is told to stay offline, and no tokenizer may start threads behind our back.
    """
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    try:
        main()
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(1)
