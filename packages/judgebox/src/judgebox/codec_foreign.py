"""Types of others in the codec: numpy's arrays and scalars, and subclasses of builtin types.

numpy itself is imported only where one of its values is met.
"""

import re
import sys
from collections import ChainMap, UserDict, UserList, UserString
from collections.abc import Callable
from math import prod
from numbers import Integral, Rational, Real
from types import MappingProxyType
from typing import Any, Literal

#: Plain types: no objects, no records.
_DTYPE = re.compile(r"[<>|=](?:[biufcUS]\d{1,9}|[mM]8(?:\[[0-9a-zA-Z]{1,12}\])?)")

#: Types of numpy's strings without a character.
_NO_TEXT = ("<U0", ">U0", "|S0")


class CodecError(Exception):
    """A value that can't be packed, or bytes that hold none."""


def listed(content: Any, *types: type | tuple[type, ...]) -> list[Any]:
    """A list of as many items as there are types, each of its own.

    Raises:
        CodecError: ``content`` is anything else.
    """
    if type(content) is not list or len(content) != len(types):
        raise CodecError("an extension of another shape")
    for item, kind in zip(content, types, strict=True):
        if not isinstance(item, kind):
            raise CodecError("an extension's part of another type")
    return content


def numpy_parts(value: Any) -> tuple[Literal["array", "scalar", "objects"], Any] | None:
    """What a value of numpy's is, and plain values that hold it; None for anything else."""
    numpy = sys.modules.get("numpy")
    kind = type(value)
    if numpy is None:
        return None
    if kind is not numpy.ndarray:
        if kind not in numpy.sctypeDict.values() or not _DTYPE.fullmatch(value.dtype.str):
            return None
        return "scalar", [value.dtype.str, value.tobytes()]
    if value.dtype == object:
        return "objects", [list(value.shape), list(value.flat)]
    if not _DTYPE.fullmatch(value.dtype.str):
        return None
    return "array", [value.dtype.str, list(value.shape), value.tobytes()]


def array(content: Any) -> Any:
    """The array of a type, a shape and bytes.

    Raises:
        CodecError: they don't fit each other.
    """
    import numpy

    text, shape, data = listed(content, str, list, bytes)
    if not _DTYPE.fullmatch(text):
        raise CodecError("an array of another type")
    dtype = numpy.dtype(text)
    _check_shape(shape, dtype.itemsize, len(data))
    return numpy.frombuffer(data, dtype).reshape(shape) if data else numpy.empty(shape, dtype)


def scalar(content: Any) -> Any:
    """The scalar of a type and bytes.

    Raises:
        CodecError: they don't fit each other.
    """
    import numpy

    text, data = listed(content, str, bytes)
    if text in _NO_TEXT:
        return numpy.dtype(text).type()
    return array([text, [1], data])[0]


def objects(content: Any) -> Any:
    """The array of any objects, of a shape and its items.

    Raises:
        CodecError: they don't fit each other.
    """
    import numpy

    shape, items = listed(content, list, list)
    _check_shape(shape, 1, len(items))
    made = numpy.empty(len(items), object)
    for number, item in enumerate(items):
        made[number] = item
    return made.reshape(shape)


def _check_shape(shape: list[Any], itemsize: int, size: int) -> None:
    if not itemsize or any(type(length) is not int or length < 0 for length in shape):
        raise CodecError("an array of no shape")
    if prod(shape) * itemsize != size:
        raise CodecError("an array of another size")


#: Builtin type -> what gives the plain value of an instance of a subclass, whatever that overrides.
_PLAIN: dict[type, Callable[[Any], Any]] = {
    int: int.__int__,
    float: float.__float__,
    complex: complex.__pos__,
    str: str.__str__,
    bytes: lambda value: bytes(memoryview(value)),
    bytearray: lambda value: bytearray(memoryview(value)),
    tuple: lambda value: tuple(tuple.__iter__(value)),
    list: lambda value: list(list.__iter__(value)),
    set: lambda value: set(set.__iter__(value)),
    frozenset: lambda value: frozenset(frozenset.__iter__(value)),
    dict: lambda value: dict(dict.items(value)),
}
#: Type that is no subclass -> the builtin as which it compares.
_OTHERS: dict[type, type] = {
    UserString: str,
    UserList: list,
    memoryview: bytes,
    **dict.fromkeys((UserDict, ChainMap, MappingProxyType), dict),
}
#: Builtin type -> its stand-in subclass.
STAND_INS: dict[type, type] = {
    base: type(f"Subclass of {base.__name__}", (base,), {}) for base in _PLAIN
}
#: Builtin types by their names.
BY_NAME = {base.__name__: base for base in _PLAIN}


def as_builtin(value: Any) -> tuple[str, Any] | None:
    """The name of the builtin type as which a value compares, and its value as one of that.

    None where it is another's, or where its class compares as it likes: that is no data.
    """
    kind = type(value)
    for base, made in _PLAIN.items():
        if isinstance(value, base):
            same = kind.__eq__ is base.__eq__ and base in kind.__mro__
            return (base.__name__, made(value)) if same else None
    if kind in _OTHERS:
        return _OTHERS[kind].__name__, _OTHERS[kind](value)
    if isinstance(value, Integral):  # such as sympy's
        return "int", int(value)
    if isinstance(value, Real) and not isinstance(value, Rational):
        return "float", float(value)
    return None
