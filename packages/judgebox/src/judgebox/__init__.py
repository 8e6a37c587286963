"""A sandbox for programs that a language model wrote, and a judge outside of it: see README.md."""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from judgebox.box import Box as Box
    from judgebox.check import Limits as Limits
    from judgebox.detect import available as available
    from judgebox.judging import Program as Program
    from judgebox.judging import judge as judge
    from judgebox.reference import record_reference as record_reference
    from judgebox.workers import Workers as Workers

#: Public names -> modules; imported when asked for, since the box imports this package, too.
_PUBLIC = {"Box": "box", "Limits": "check", "Workers": "workers", "available": "detect"}
_PUBLIC |= {"Program": "judging", "judge": "judging", "record_reference": "reference"}
__all__ = ["SetupError", *_PUBLIC]


class SetupError(Exception):
    """What whoever runs a judge must put right; the message says how."""


def __getattr__(name: str) -> Any:
    if name not in _PUBLIC:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{_PUBLIC[name]}"), name)
