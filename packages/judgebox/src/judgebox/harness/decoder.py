"""Values of a message made again of its nodes; see `judgebox.harness.graph`."""

from collections import defaultdict, deque
from collections.abc import Callable, Iterable
from typing import Any

from judgebox.harness.graph import (
    DICTS,
    FACTORIES,
    FOLDER,
    SHELLS,
    Malformed,
    Node,
    is_flat,
    is_leaf,
)
from judgebox.harness.shared import Shared, is_array


class Decoder:
    """Makes the values of one message again.

    Args:
        nodes: the message's.
        shared: this side's table; containers that it holds are changed in place.
        resolve: makes the value of a node that is no data.
        folder: this side's.
        takes_hollow: whether an array without items may be one; else it becomes a list.

    Raises:
        Malformed: the nodes are not what `Encoder` makes.
    """

    def __init__(
        self,
        nodes: list[Node],
        shared: Shared,
        resolve: "Callable[[Node, Decoder], Any]",
        folder: str | None = None,
        takes_hollow: Callable[[], bool] = lambda: True,
    ) -> None:
        self._nodes = nodes
        self._resolve = resolve
        self._folder = folder
        self._values: dict[int, Any] = {}
        spoken: list[tuple[Node, Any]] = []
        for number, node in enumerate(nodes):
            if node[0] == "k":
                self._values[number] = container = shared.get(node[1])
                if container is None:
                    raise Malformed("an unknown key")
            elif node[0] in SHELLS or node[0] == "a":
                container = shared.get(node[1])
                if container is None:
                    container = _shell(node)
                    if node[0] == "a" and not container.size and not takes_hollow():
                        self._values[number] = container.tolist()
                        continue
                    shared.add(container, node[1])
                self._values[number] = container
                spoken.append((node, container))
        for node, container in spoken:
            self._fill(node, container)
        for _, container in spoken:
            shared.remember(container)

    def value(self, number: int) -> Any:
        """The value of a node."""
        if number not in self._values:
            self._values[number] = self._made(self._nodes[number])
        return self._values[number]

    def values(self, numbers: Iterable[int]) -> list[Any]:
        """The values of several nodes."""
        return [self.value(number) for number in numbers]

    def _made(self, node: Node) -> Any:
        if node[0] == "d":
            if not is_leaf(node[1]):
                raise Malformed("no plain value")
            return node[1]
        if node[0] == "r":
            return node[1].replace(FOLDER, self._folder or "")
        if node[0] == "t":
            return tuple(self.values(node[1]))
        if node[0] == "f":
            return frozenset(self.values(node[1]))
        return self._resolve(node, self)

    def _fill(self, node: Node, container: Any) -> None:
        tag, content = node[0], node[2]
        if tag == "a":
            if not is_array(container) or not is_array(content):
                raise Malformed("no array")
            if container.shape == content.shape and container.dtype == content.dtype:
                container[...] = content
            return
        if not isinstance(container, SHELLS[tag]):
            raise Malformed("another type")
        if tag == "L":
            if not is_flat(content):
                raise Malformed("no plain items")
            container[:] = content
        elif tag == "l":
            container[:] = self.values(content)
        elif tag == "b":
            container[:] = content
        elif tag in "mM":
            keys, values = (node[3], node[4]) if tag == "M" else map(self.values, node[3:5])
            if tag == "M" and not (is_flat(keys) and is_flat(values)):
                raise Malformed("no plain items")
            container.clear()
            for key, value in zip(keys, values, strict=True):
                container[key] = value
        else:
            values = self.values(content)
            container.clear()
            (container.update if tag == "s" else container.extend)(values)


def _shell(node: Node) -> Any:
    """An empty container of a node's kind."""
    tag = node[0]
    if tag == "a":
        if not is_array(node[2]):
            raise Malformed("no array")
        return node[2].copy()
    if tag == "q":
        return deque(maxlen=node[3])
    if tag in "mM":
        name, factory = node[2]
        if name == "defaultdict":
            return defaultdict(FACTORIES.get(factory))
        return DICTS[name]()
    return SHELLS[tag]()
