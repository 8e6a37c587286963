"""A problem's tests on disk: inputs, expected outputs and reference times, one file a problem."""

import io
import pickle
from dataclasses import dataclass, field
from itertools import accumulate
from pathlib import Path
from typing import Any

#: What expected outputs may be made of. A pickle can name any callable; these only hold data.
_DATA = {
    ("builtins", "complex"),
    ("builtins", "set"),
    ("builtins", "frozenset"),
    ("builtins", "bytearray"),
    ("builtins", "range"),
    ("builtins", "slice"),
    ("collections", "Counter"),
    ("collections", "OrderedDict"),
    ("collections", "deque"),
    ("datetime", "date"),
    ("datetime", "datetime"),
    ("datetime", "timedelta"),
    ("decimal", "Decimal"),
    ("fractions", "Fraction"),
    ("_codecs", "encode"),
}


@dataclass
class TestSet:
    """One set of tests, base or plus."""

    inputs: list[Any]
    """Argument lists."""

    expected: list[Any] = field(default_factory=list)
    """Outputs of the canonical solution."""

    times: list[float] = field(default_factory=list)
    """Seconds that the canonical solution took, coarsely."""

    __test__ = False  # the name is pytest's pattern


class _DataUnpickler(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Any:
        if (module, name) not in _DATA:
            raise pickle.UnpicklingError(f"{module}.{name} is not plain data")
        return super().find_class(module, name)


def dump(sets: dict[str, TestSet], path: Path) -> None:
    """Write test sets (``base``, ``plus``) to ``path``, so that each can be read alone.

    Raises:
        pickle.PicklingError, AttributeError, TypeError: an output that cannot be stored.
        pickle.UnpicklingError: an output of a type that `load` would refuse.
    """
    parts: list[bytes] = []
    for one in sets.values():
        data = pickle.dumps((one.inputs, one.expected, one.times), protocol=5)
        _DataUnpickler(io.BytesIO(data)).load()
        parts.append(data)
    index = pickle.dumps(dict(zip(sets, map(len, parts), strict=True)), protocol=5)
    path.write_bytes(b"".join([index, *parts]))


class Reader:
    """A file of test sets; each is read when it is asked for, and the file is closed in between.

    Args:
        path: what `dump` wrote.

    Raises:
        pickle.UnpicklingError: the file holds something else than plain data.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        with path.open("rb") as file:
            self._sizes: dict[str, int] = _DataUnpickler(file).load()
            starts = accumulate(self._sizes.values(), initial=file.tell())
        self._starts = dict(zip(self._sizes, starts, strict=False))
        self.names = list(self._sizes)
        self.bytes_read = 0

    def read(self, name: str) -> TestSet:
        """One set."""
        self.bytes_read += self._sizes[name]
        with self._path.open("rb") as file:
            file.seek(self._starts[name])
            return TestSet(*_DataUnpickler(file).load())


def load(path: Path) -> dict[str, TestSet]:
    """Read all that `dump` wrote."""
    sets = Reader(path)
    return {name: sets.read(name) for name in sets.names}
