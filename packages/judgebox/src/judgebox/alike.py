"""Instances of subclasses of builtin types, and of others that compare as a builtin does."""

from collections import ChainMap, UserDict, UserList, UserString
from collections.abc import Callable
from numbers import Integral, Rational, Real
from types import MappingProxyType
from typing import Any

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


def plain(value: Any) -> tuple[str, Any] | None:
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
