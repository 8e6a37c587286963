"""What the scripts of the rules share: argument types and the way a job ends."""

import argparse
import json
import os
import sys
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any, NoReturn

from pydantic import ValidationError

from mixmerge.core import parent_watchdog
from mixmerge.core.errors import UserError, refusal
from mixmerge.core.redaction import guard_output
from mixmerge.core.section import explained


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


def named_path(text: str) -> tuple[str, Path]:
    """An ``argparse`` type: ``name=path``."""
    name, separator, path = text.partition("=")
    if not (name and separator and path):
        raise argparse.ArgumentTypeError(f"{text!r} is not of the form name=path")
    return name, Path(path)


def named_seed(text: str) -> tuple[str, int]:
    """An ``argparse`` type: ``name=number``."""
    name, separator, number = text.partition("=")
    if not (name and separator and number.isdecimal()):
        raise argparse.ArgumentTypeError(f"{text!r} is not of the form name=number")
    return name, int(number)


def run(main: Callable[[], None], online: bool = False) -> None:
    """Run a script's ``main``; a user's mistake ends in one message and exit code 1.

    So does what the machine refuses, such as a full disk. Arguments that are none end in exit code
    2, as argparse has it; a bug ends in its traceback.

    No tokenizer may start threads behind our back: a job has the threads its rule declares. And no
    job but those that fetch may ask the hub for anything: their inputs are files.

    Args:
        main: reads its arguments from the command line. Libraries of the hub must be imported in
            it, not before: they read the environment once.
        online: whether the job fetches from the hub; then the user's own settings hold.
    """
    guard_output()
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    if not online:
        os.environ["HF_HUB_OFFLINE"] = "1"
    parent_watchdog.watch()
    try:
        main()
    except UserError as error:
        _end(error, str(error))
    except ValidationError as error:
        # Settings typed by hand; those of a rule come from the checked config.
        _end(error, str(explained(error, "--settings")))
    except Exception as error:
        message = refusal(error, _output(sys.argv))
        if message is None:
            raise
        _end(error, message)


def _end(error: BaseException, message: str) -> NoReturn:
    """Print a message on a line of its own and exit."""
    # Progress bars that were left in their middle end their lines when their loops are let go.
    cause: BaseException | None = error
    while cause is not None:
        traceback.clear_frames(cause.__traceback__)
        cause = cause.__context__
    print(f"error: {message}", file=sys.stderr)
    sys.exit(1)


def _output(arguments: list[str]) -> str:
    """What a script was told to make, for messages."""
    following = arguments[1:]
    outputs = [value for name, value in zip(arguments, following, strict=False) if name == "--out"]
    return outputs[0] if outputs else str(Path.cwd())
