"""A problem's tests on disk: inputs, expected outputs and reference times, one file a problem."""

import io
import pickle
from dataclasses import dataclass, field
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
    """Write test sets (``base``, ``plus``) to ``path``.

    Raises:
        pickle.PicklingError, AttributeError, TypeError: an output that cannot be stored.
        pickle.UnpicklingError: an output of a type that `load` would refuse.
    """
    plain = {name: (one.inputs, one.expected, one.times) for name, one in sets.items()}
    data = pickle.dumps(plain, protocol=5)
    _DataUnpickler(io.BytesIO(data)).load()
    path.write_bytes(data)


def load(path: Path) -> dict[str, TestSet]:
    """Read what `dump` wrote, refusing anything but plain data.

    Raises:
        pickle.UnpicklingError: the file holds something else.
    """
    with path.open("rb") as file:
        plain = _DataUnpickler(file).load()
    return {name: TestSet(*parts) for name, parts in plain.items()}
