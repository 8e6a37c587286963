"""What the scripts of the rules share: argument types and the way a job ends."""

import argparse
import itertools
import json
import os
import sys
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from mixmerge.core import parent_watchdog
from mixmerge.core.errors import UserError, refusal
from mixmerge.core.redaction import guard_output
from mixmerge.core.section import explained

path_argument = Path  # an ``argparse`` type


def json_argument(text: str) -> Any:
    """An ``argparse`` type: a JSON value, as rules pass settings on the command line."""
    try:
        return json.loads(text)
    except json.JSONDecodeError as error:
        raise argparse.ArgumentTypeError(f"not valid JSON: {error}") from None


def named_path(text: str) -> tuple[str, Path]:
    """An ``argparse`` type: ``name=path``."""
    name, _, path = text.partition("=")
    if not (name and path):
        raise argparse.ArgumentTypeError(f"{text!r} is not of the form name=path")
    return name, Path(path)


def parser(description: str | None) -> argparse.ArgumentParser:
    """A parser for a rule's script; ``description`` is the script's docstring."""
    return argparse.ArgumentParser(
        description=description, formatter_class=argparse.RawDescriptionHelpFormatter
    )


def run(main: Callable[[], None], online: bool = False) -> None:
    """Run a script's ``main``; a user's mistake ends in one message and exit code 1.

    So does what the machine refuses, such as a full disk; a bug ends in its traceback. ``main``
    imports the hub's libraries itself, since they read the environment once; only an ``online``
    job finds the hub switched on.
    """
    guard_output()
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")  # a job has its rule's threads
    if not online:
        os.environ["HF_HUB_OFFLINE"] = "1"
    parent_watchdog.watch()
    try:
        main()
    except Exception as error:
        message: str | None = str(error)
        if isinstance(error, ValidationError):  # settings typed by hand: a rule's are checked
            message = str(explained(error, "--settings"))
        elif not isinstance(error, UserError):
            outputs = [value for name, value in itertools.pairwise(sys.argv) if name == "--out"]
            message = refusal(error, (outputs or [str(Path.cwd())])[0])
        if message is None:
            raise
        # Progress bars that were left in their middle end their lines when their loops are let go.
        cause: BaseException | None = error
        while cause is not None:
            traceback.clear_frames(cause.__traceback__)
            cause = cause.__context__
        print(f"error: {message}", file=sys.stderr)
        sys.exit(1)
