"""Lists, dicts and other things that can change, and that an examiner and a solution share."""

import sys
from collections.abc import Iterable
from itertools import count
from typing import Any

#: Kinds of numpy's types that are plain data.
_PLAIN = "biufcSUMm"


class _Entry:
    """A container that both sides hold, and what it held when they last spoke of it."""

    __slots__ = ("held", "snapshot")

    def __init__(self, held: Any) -> None:
        self.held = held
        self.snapshot: Any = None


# What `sys.getrefcount` says of an object that nothing but its entry holds.
_ALONE = (lambda entry: sys.getrefcount(entry.held))(_Entry([]))


class Shared:
    """Containers that both sides hold; each side has one such table.

    Args:
        first: the first key that this side gives; the other side's differs by one.
    """

    def __init__(self, first: int) -> None:
        self._fresh = count(first, 2)
        self._entries: dict[int, _Entry] = {}
        self._keys: dict[int, int] = {}

    def key(self, container: Any) -> int | None:
        """A container's key, None where it has none."""
        return self._keys.get(id(container))

    def get(self, key: int) -> Any:
        """The container of a key, None where there is none."""
        entry = self._entries.get(key)
        return None if entry is None else entry.held

    def add(self, container: Any, key: int | None = None) -> int:
        """Share a container, under a key of the other side's or a fresh one."""
        key = next(self._fresh) if key is None else key
        self._entries[key] = _Entry(container)
        self._keys[id(container)] = key
        return key

    def remember(self, container: Any) -> None:
        """Both sides now know what the container holds."""
        self._entries[self._keys[id(container)]].snapshot = _contents(container)

    def changed(self) -> list[Any]:
        """Containers that hold something else than both sides know."""
        return [entry.held for entry in self._entries.values() if _differs(entry)]

    def unheld(self) -> list[int]:
        """Keys of what nothing else here holds."""
        entries = self._entries.items()
        return [key for key, entry in entries if sys.getrefcount(entry.held) <= _ALONE]

    def forget(self, keys: Iterable[int]) -> None:
        """Share these containers no longer."""
        for key in keys:
            entry = self._entries.pop(key, None)
            if entry is not None:
                self._keys.pop(id(entry.held), None)


def _contents(container: Any) -> Any:
    if isinstance(container, dict):
        return [*container.keys(), *container.values()]
    if isinstance(container, (bytearray,)):
        return bytes(container)
    return container.copy() if is_array(container) else list(container)


def _differs(entry: _Entry) -> bool:
    now, then = entry.held, entry.snapshot
    if isinstance(now, bytearray):
        return bool(bytes(now) != then)
    if is_array(now):
        same: bool = now.shape == then.shape and now.dtype == then.dtype
        return not same or bytes(now.tobytes()) != then.tobytes()
    now = _contents(now)
    return len(now) != len(then) or any(a is not b for a, b in zip(now, then, strict=True))


def is_array(value: Any) -> bool:
    """Whether a value is an array of numpy's, of numbers, strings or times."""
    numpy = sys.modules.get("numpy")
    return numpy is not None and type(value) is numpy.ndarray and value.dtype.kind in _PLAIN


def is_numpy_scalar(value: Any) -> bool:
    """Whether a value is such a thing of numpy's alone."""
    numpy = sys.modules.get("numpy")
    return numpy is not None and isinstance(value, numpy.generic) and value.dtype.kind in _PLAIN
