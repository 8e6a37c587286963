"""What a solution may do with things that tests hand it: functions, iterators, objects.

It may call functions, take items, and use public attributes of objects whose classes the tests
define; nothing by which it could reach the tests themselves.
"""

import builtins
import io
import sys
import types
from typing import TYPE_CHECKING, Any

from judgebox.harness import describing
from judgebox.harness.graph import Encoder, Malformed, Node

if TYPE_CHECKING:
    from judgebox.harness.link import Link

#: Name of the module that the tests are.
TESTS = "test_solution"

_STREAMS = (io.StringIO, io.BytesIO, io.TextIOWrapper, io.BufferedReader, io.BufferedWriter)


class Lender:
    """Describes what the tests hand to a solution, and does with it what the solution asks.

    Args:
        link: the examiner's end of the line.
    """

    def __init__(self, link: "Link") -> None:
        self._link = link

    def described(self, value: Any, encoder: Encoder) -> Node:
        """The node of a value of the tests'."""
        if (names := describing.fields(value)) is not None:
            return ["n", type(value).__name__, list(names), encoder.numbers(value)]
        if describing.is_plain(value):
            return ["=", encoder.number(describing.plain(value))]
        number = self._link.export(value)
        kind = type(value)
        if _is_open(value):
            operators = [
                name
                for name in describing.OPERATORS
                if getattr(kind, name, None) is not getattr(object, name, None)
            ]
            return ["x", number, "object", sorted(operators), kind.__name__]
        if callable(value):
            return ["x", number, "call", str(getattr(value, "__name__", "function"))]
        if hasattr(kind, "__next__"):
            return ["x", number, "iterator"]
        return ["x", number, "object", [], kind.__name__]

    def do(self, do: str, at: dict[str, Any], values: dict[str, Any]) -> Any:
        """Do what the solution asks.

        Raises:
            Malformed: it may not ask that.
            BaseException: what the tests' function raised.
        """
        if do == "input":
            return str(builtins.input(str(values["prompt"])))
        if do == "stdin":
            name, size = at["name"], at["size"]
            if name not in ("read", "readline") or type(size) is not int:
                raise Malformed("stdin")
            return str(getattr(sys.stdin, name)(size))
        value, name = self._link.exports[at["on"]], at.get("name", "")
        if do == "next" and hasattr(type(value), "__next__"):
            return next(value)
        if do == "call" and callable(value):
            return value(*values.pop("args"), **values.pop("named"))
        if not _is_open(value) or not isinstance(name, str):
            raise AttributeError(f"{type(value).__name__!r} object has no attribute {name!r}")
        if do == "operator" and name in describing.OPERATORS:
            return getattr(type(value), name)(value, *values.pop("args"))
        if name.startswith("_") or (_is_mock(value) and name.endswith("_mock")):
            raise AttributeError(name)
        if do == "getattr":
            return getattr(value, name)
        if do == "setattr" and not callable(getattr(type(value), name, None)):
            if _is_mock(value):
                raise AttributeError(name)
            return setattr(value, name, values.pop("value"))
        raise Malformed(do)


def _is_open(value: Any) -> bool:
    """Whether an object's public attributes may be seen: those of the tests' own classes."""
    kind = type(value)
    if isinstance(value, (type, types.FunctionType, types.ModuleType)):
        return False
    return kind.__module__ == TESTS or isinstance(value, _STREAMS) or _is_mock(value)


def _is_mock(value: Any) -> bool:
    """Whether an object is one of `unittest.mock`, whose record of calls only calls change."""
    mock = sys.modules.get("unittest.mock")
    return mock is not None and isinstance(value, mock.NonCallableMock)
