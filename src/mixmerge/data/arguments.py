"""Argument types of the data stage's scripts."""

import argparse
from pathlib import Path


def named_path(text: str) -> tuple[str, Path]:
    """An ``argparse`` type: ``name=directory``."""
    name, separator, path = text.partition("=")
    if not separator or not name or not path:
        raise argparse.ArgumentTypeError(f"{text!r} is not name=directory")
    return name, Path(path)


def named_seed(text: str) -> tuple[str, int]:
    """An ``argparse`` type: ``name=number``."""
    name, separator, number = text.partition("=")
    if not separator or not name or not number.isdecimal():
        raise argparse.ArgumentTypeError(f"{text!r} is not name=number")
    return name, int(number)
