"""Files that another stage wrote, and that somebody may have edited since."""

from collections.abc import Iterator
from contextlib import contextmanager
from math import isfinite
from pathlib import Path
from typing import Any

from mixmerge.core.errors import UserError


@contextmanager
def handed(path: Path, rule: str) -> Iterator[None]:
    """Take a file's content apart within the block.

    Args:
        path: the file, for messages.
        rule: the rule that writes it.

    Raises:
        UserError: something that the block looks for is not there, or is no number.
    """
    try:
        yield
    except KeyError as error:
        why = f"no entry {error}"
    except (TypeError, ValueError, AttributeError, IndexError) as error:
        why = f"not what the rule writes ({error})"
    else:
        return
    raise UserError(
        f"{path}: {why}; it was edited, or written by another version of mixmerge. Delete the file "
        f"and run its rule ({rule}) again"
    )


def number(value: Any, low: float = float("-inf"), high: float = float("inf")) -> float:
    """A finite number.

    Args:
        value: from a JSON file.
        low: least that it may be.
        high: most that it may be.

    Raises:
        ValueError: it is no number, not finite, or outside its range.
    """
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise ValueError(f"{value!r} is no number")
    if not (isfinite(value) and low <= value <= high):
        raise ValueError(f"{value} is out of range")
    return float(value)
