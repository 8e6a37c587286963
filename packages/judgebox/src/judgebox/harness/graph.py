"""Values that travel between an examiner and a solution: flat tables of nodes around plain data.

A message names each value by the number of a node. Lists, dicts, sets, arrays and other things that
can change have a key that both sides know as long as both hold them: the same list passed twice is
one list, and what one side does to it reaches the other with the next message. What is no data is
described and found again by `judgebox.harness.link`.
"""

import datetime
from collections import Counter, OrderedDict, defaultdict, deque
from collections.abc import Callable, Iterable
from decimal import Decimal
from fractions import Fraction
from typing import Any

from judgebox.harness.shared import Shared, is_array, is_numpy_scalar

SCALARS = frozenset({type(None), bool, int, float, complex, str, bytes})
_LEAVES = SCALARS | {
    *(Decimal, Fraction, range),
    *(datetime.date, datetime.datetime, datetime.time, datetime.timedelta),
}
DICTS: dict[str, Callable[..., Any]] = {
    kind.__name__: kind for kind in (dict, OrderedDict, Counter, defaultdict)
}
FACTORIES = {kind.__name__: kind for kind in (int, float, str, list, dict, set, bool, tuple)}
_CONTAINERS = (list, set, bytearray, deque, *DICTS.values())
SHELLS: dict[str, Any] = {
    "l": list,
    "L": list,
    "s": set,
    "b": bytearray,
    "q": deque,
    "m": dict,
    "M": dict,
}
# Stands for the folder in texts that go between the sides.
FOLDER = "\0folder\0"

Node = list[Any]


class Malformed(Exception):
    """A message that is not what this module writes."""


def is_flat(values: Any) -> bool:
    """Whether items are all of plain types."""
    return {*map(type, values)} <= SCALARS


def is_leaf(value: Any) -> bool:
    """Whether a value goes as it is, as one node."""
    return (
        type(value) in _LEAVES
        or (type(value) is tuple and is_flat(value))
        or is_numpy_scalar(value)
    )


class Encoder:
    """Makes the nodes of one message.

    Args:
        shared: this side's table.
        describe: makes the node of what is no data; may ask for nodes of other values.
        folder: this side's, where files go between the sides; texts that name it name the other's.
    """

    def __init__(
        self,
        shared: Shared,
        describe: "Callable[[Any, Encoder], Node]",
        folder: str | None = None,
    ) -> None:
        self._folder = folder
        self.nodes: list[Node] = []
        self._shared = shared
        self._describe = describe
        self._numbers: dict[int, int] = {}
        self._alive: list[Any] = []
        self._pending: list[tuple[list[int], list[Any]]] = []
        self._spoken: list[Any] = []
        for container in shared.changed():
            self._content(container, shared.key(container))

    def number(self, value: Any) -> int:
        """The number of a value's node."""
        kind = type(value)
        if kind is str and self._folder is not None and self._folder in value:
            return self._append(["r", value.replace(self._folder, FOLDER)])
        if kind in _LEAVES:
            return self._append(["d", value])
        known = self._numbers.get(id(value))
        if known is not None:
            return known
        if kind in _CONTAINERS or is_array(value):
            key = self._shared.key(value)
            if key is None:
                return self._content(value, self._shared.add(value))
            return self._append(["k", key], value)
        if kind is tuple:
            if self._flat(value):
                return self._append(["d", value], value)
            return self._append(["t", self.numbers(value)], value)
        if kind is frozenset:
            return self._append(["f", self.numbers(value)], value)
        if is_numpy_scalar(value):
            return self._append(["d", value])
        # Its number stands before it is described: it may hold itself.
        number = self._append([], value)
        self.nodes[number].extend(self._describe(value, self))
        return number

    def numbers(self, values: Iterable[Any]) -> list[int]:
        """Numbers of several values' nodes; the list fills before the message is done."""
        found: list[int] = []
        self._pending.append((found, list(values)))
        return found

    def finish(self) -> list[Node]:
        """All nodes of the message, which goes out now."""
        while self._pending:
            found, values = self._pending.pop()
            found.extend(self.number(value) for value in values)
        for container in self._spoken:
            self._shared.remember(container)
        return self.nodes

    def _flat(self, values: Iterable[Any]) -> bool:
        """Whether values are all plain, and none names the folder."""
        folder = self._folder
        return all(
            type(value) in SCALARS
            and (folder is None or type(value) is not str or folder not in value)
            for value in values
        )

    def _append(self, node: Node, value: Any = None) -> int:
        self.nodes.append(node)
        number = len(self.nodes) - 1
        if value is not None:
            self._numbers[id(value)] = number
            self._alive.append(value)
        return number

    def _content(self, value: Any, key: int | None) -> int:
        number = self._append([], value)
        self._spoken.append(value)
        node: Node
        if isinstance(value, list):
            flat = self._flat(value)
            node = ["L", key, list(value)] if flat else ["l", key, self.numbers(value)]
        elif isinstance(value, dict):
            factory = value.default_factory if isinstance(value, defaultdict) else None
            name = getattr(factory, "__name__", None)
            kind = [type(value).__name__, name if FACTORIES.get(name or "") is factory else None]
            keys, values = list(value.keys()), list(value.values())
            if self._flat(keys) and self._flat(values):
                node = ["M", key, kind, keys, values]
            else:
                node = ["m", key, kind, self.numbers(keys), self.numbers(values)]
        elif isinstance(value, bytearray):
            node = ["b", key, bytes(value)]
        elif isinstance(value, deque):
            node = ["q", key, self.numbers(value), value.maxlen]
        elif isinstance(value, set):
            node = ["s", key, self.numbers(value)]
        else:
            node = ["a", key, value]
        self.nodes[number].extend(node)
        return number
