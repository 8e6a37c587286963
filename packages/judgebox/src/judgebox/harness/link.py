"""One end of the line between an examiner and a solution.

Both take turns: who has sent a message waits for one. A message says what to do, and carries
values as nodes (`graph`). What is no data stays where it is: its owner *exports* it under a number,
and the other side gets something that stands for it.
"""

import sys
import threading
from pathlib import PosixPath, PurePosixPath, PureWindowsPath
from typing import Any, NamedTuple, Protocol
from uuid import UUID

from judgebox import codec
from judgebox.harness.decoder import Decoder
from judgebox.harness.files import Files
from judgebox.harness.graph import Encoder, Malformed, Node
from judgebox.harness.shared import Shared

#: Modules whose types and functions are named, not exported: both sides have the same.
COMMON = {
    *("builtins", "math", "operator", "collections", "itertools", "functools", "string"),
    *("statistics", "datetime", "decimal", "fractions", "re"),
}
# Exceptions of these steer a test's run; no solution raises them.
_STEERING = frozenset({"pytest", "_pytest", "pluggy", "unittest", "judgebox", "bdb", "solution"})
_VIEWS = {type({}.keys()): "keys", type({}.values()): "values", type({}.items()): "items"}
# Types that are made again of their text.
_BY_TEXT: dict[str, Any] = {
    kind.__name__: kind for kind in (PosixPath, PurePosixPath, PureWindowsPath, UUID)
}
_SINGLE = {"Ellipsis": ..., "NotImplemented": NotImplemented}


class Channel(Protocol):
    """A check's pipes, as the runner hands them to a harness."""

    def send(self, frame: bytes) -> None:
        """Send a frame to the judge."""
        ...

    def receive(self) -> bytes | None:
        """Wait for the judge's next frame; None at the end."""
        ...


class Message(NamedTuple):
    """What one side said to the other."""

    do: str
    at: dict[str, Any]
    """What it is about: numbers and names."""
    values: dict[str, Any]


class Link:
    """Messages of one side, and what it exports.

    Args:
        channel: pipes to the judge, who passes the messages on.
        first: 0 on one side and 1 on the other.
    """

    def __init__(self, channel: Channel, first: int) -> None:
        self.channel = channel
        self.shared = Shared(first)
        self.files: Files | None = None
        self.exports: dict[int, Any] = {}
        self.lock = threading.RLock()
        self.lends = first == 0
        self.lent: set[tuple[str, ...]] = set()
        self._numbers: dict[int, int] = {}

    def export(self, value: Any) -> int:
        """The number under which the other side speaks of a value of ours."""
        number = self._numbers.setdefault(id(value), len(self.exports))
        self.exports[number] = value
        return number

    def pack(self, do: str, at: dict[str, Any] | None = None, **values: Any) -> bytes:
        """A message."""
        # The other side still learns what became of that which this one no longer holds.
        gone = self.shared.unheld()
        encoder = Encoder(self.shared, self.describe, self._folder())
        numbers = {name: encoder.number(value) for name, value in values.items()}
        nodes = encoder.finish()
        self.shared.forget(gone)
        files = [] if self.files is None else self.files.changes()
        return codec.pack([do, at or {}, gone, numbers, nodes, files])

    def unpack(self, data: bytes) -> Message:
        """Read a message.

        Raises:
            Malformed: it is none.
        """
        try:
            do, at, gone, numbers, nodes, files = codec.unpack(data)
            if not isinstance(do, str) or not isinstance(at, dict):
                raise Malformed("no message")
            decoder = Decoder(nodes, self.shared, self.resolve, self._folder(), self.takes_hollow)
            values = {name: decoder.value(number) for name, number in numbers.items()}
            self.shared.forget(gone)
            if self.files is not None:
                self.files.apply(files)
        except Exception as error:
            raise Malformed(f"{type(error).__name__}: {error}") from None
        return Message(do, at, values)

    def _folder(self) -> str | None:
        return None if self.files is None else str(self.files.root)

    def takes_hollow(self) -> bool:
        """Whether the other side may send an array without items."""
        return True

    def describe(self, value: Any, encoder: Encoder) -> Node:
        """The node of a value that is no plain data."""
        if (view := _VIEWS.get(type(value))) is not None:
            return ["v", view, encoder.numbers(value)]
        if type(value).__name__ in _BY_TEXT and type(value) is _BY_TEXT[type(value).__name__]:
            return ["p", type(value).__name__, encoder.number(str(value))]
        if value is Ellipsis or value is NotImplemented:
            return ["1", repr(value)]
        if (name := common_name(value)) is not None:
            # A function that the tests lent goes back under its name; no other of the solution's.
            if self.lends:
                self.lent.add(tuple(name))
            if isinstance(value, type) or tuple(name) in self.lent:
                return ["g", [name]]
        return self.describe_own(value, encoder)

    def resolve(self, node: Node, decoder: Decoder) -> Any:
        """The value of such a node."""
        tag = node[0]
        if tag == "v":
            values = decoder.values(node[2])
            if node[1] == "keys":
                return dict.fromkeys(values).keys()
            return dict(values).items() if node[1] == "items" else dict(enumerate(values)).values()
        if tag == "p":
            return _BY_TEXT[node[1]](decoder.value(node[2]))
        if tag == "1":
            return _SINGLE[node[1]]
        if tag == "g":
            return self.resolve_name(node[1])
        if tag == "=":
            return decoder.value(node[1])
        if tag == "y":
            return self.exports[node[1]]
        return self.resolve_own(node, decoder)

    def describe_own(self, value: Any, encoder: Encoder) -> Node:
        """The node of a value that only this side has."""
        raise NotImplementedError

    def resolve_own(self, node: Node, decoder: Decoder) -> Any:
        """What stands for a value that only the other side has."""
        raise NotImplementedError

    def resolve_name(self, names: list[list[str]]) -> Any:
        """The first of these types or functions that this side has."""
        raise NotImplementedError


def common_name(value: Any) -> list[str] | None:
    """Module and name of a type or function that both sides have; None of anything else."""
    if not callable(value) or not isinstance(getattr(value, "__name__", None), str):
        return None
    module = str(getattr(value, "__module__", "")).lstrip("_")
    name = value.__name__
    if module in COMMON and vars(sys.modules.get(module, object)).get(name) is value:
        return [module, name]
    return None


def exception_names(kind: type[BaseException]) -> list[list[str]]:
    """Modules and names of an exception's class and its bases, nearest first."""
    bases = [base for base in kind.__mro__ if issubclass(base, BaseException)]
    return [[base.__module__, base.__qualname__] for base in bases]


def exception_class(names: list[list[str]]) -> type[BaseException]:
    """The nearest class of `exception_names` that this process knows and that steers no test.

    Raises:
        Malformed: there is none.
    """
    for module, name in names:
        root = module.split(".")[0]
        if root in _STEERING or module not in sys.modules:
            continue
        found = vars(sys.modules[module]).get(name)
        if not isinstance(found, type) or not issubclass(found, BaseException):
            continue
        if root == "builtins" or issubclass(found, Exception):
            return found
    raise Malformed("no exception")


def made_exception(
    kind: type[BaseException], arguments: tuple[Any, ...], attributes: dict[str, Any]
) -> BaseException:
    """An exception as it was on the other side; no constructor but a builtin's is run."""
    error: BaseException | None = None
    if kind.__module__ == "builtins":
        try:
            error = kind(*arguments)
        except Exception:
            error = None
    if error is None:
        error = kind.__new__(kind, *arguments)
        error.args = arguments
    for name, value in attributes.items():
        if isinstance(name, str) and not name.startswith("__"):
            error.__dict__[name] = value
    return error
