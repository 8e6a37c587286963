"""What the solution's side tells of its functions, classes, objects and iterators."""

import functools
import inspect
import sys
import types
from typing import TYPE_CHECKING, Any

from judgebox.harness.graph import Encoder, Node
from judgebox.harness.link import common_name, exception_names

if TYPE_CHECKING:
    from judgebox.harness.solution import SolutionLink

_ARITHMETIC = (
    *("add", "sub", "mul", "truediv", "floordiv", "mod", "divmod", "pow", "matmul"),
    *("and", "or", "xor", "lshift", "rshift"),
)
#: Operators that see a second value and answer with a judgement or a result of it.
BINARY = frozenset(
    ["__eq__", "__ne__", "__lt__", "__le__", "__gt__", "__ge__", "__contains__"]
    + [f"__{prefix}{name}__" for name in _ARITHMETIC for prefix in ("", "r", "i")]
)
#: All operators that are passed on to objects of the other side.
OPERATORS = BINARY | {
    *("__len__", "__iter__", "__next__", "__reversed__", "__length_hint__"),
    *("__getitem__", "__setitem__", "__delitem__"),
    *("__bool__", "__str__", "__repr__", "__format__", "__bytes__", "__hash__"),
    *("__int__", "__float__", "__complex__", "__index__", "__round__", "__floor__", "__ceil__"),
    *("__trunc__", "__neg__", "__pos__", "__abs__", "__invert__"),
    *("__call__", "__enter__", "__exit__"),
}
_PLAIN = (bool, int, float, complex, str, bytes, list, dict, set, frozenset, tuple, bytearray)
_CALLABLES = (
    *(types.FunctionType, types.BuiltinFunctionType, types.MethodType, types.MethodWrapperType),
    *(types.WrapperDescriptorType, types.MethodDescriptorType, types.ClassMethodDescriptorType),
    *(functools.partial, type(functools.lru_cache(lambda: None))),
)


def exception(error: BaseException, encoder: Encoder, link: "SolutionLink") -> Node:
    """The node of an exception; with its text, where its class makes that itself."""
    kind = type(error)
    text = None
    if "__str__" in _own_names(kind):
        try:
            text = str(error)
        except Exception as failed:
            text = f"<{type(failed).__name__}>"
    own = getattr(error, "__dict__", {})
    attributes = {name: value for name, value in own.items() if not name.startswith("__")}
    given = tuple(error.args)
    if isinstance(error, OSError) and error.filename is not None and len(given) == 2:
        given += (error.filename,)
    arguments, attributes_number = encoder.number(given), encoder.number(attributes)
    return ["e", class_(kind, link), arguments, attributes_number, text]


def class_(kind: type, link: "SolutionLink") -> list[Any]:
    """``[number, description]`` of a class; the description is None where it is known."""
    number = link.export(kind)
    if number in link.known:
        return [number, None]
    link.known.add(number)
    bases = [base for base in kind.__bases__ if _is_own(base)]
    operators = [
        name for name in OPERATORS if getattr(kind, name, None) is not getattr(object, name, None)
    ]
    description = {
        "name": kind.__name__,
        "bases": [class_(base, link) for base in bases],
        "errors": exception_names(kind) if issubclass(kind, BaseException) else [],
        "own": _is_own(kind),
        "operators": sorted(operators),
        "hashable": getattr(kind, "__hash__", None) is not None,
        "methods": sorted(_methods(kind)),
        "plain": _plain_base(kind) is not None,
        "doc": kind.__doc__ if isinstance(kind.__doc__, str) else None,
    }
    return [number, description]


def described(value: Any, link: "SolutionLink") -> dict[str, Any]:
    """What the examiner needs to let something stand for a value."""
    if isinstance(value, type):
        return {"kind": "class", "class": class_(value, link)}
    if inspect.iscoroutine(value):
        return {"kind": "coroutine"}
    if inspect.isgenerator(value):
        return {"kind": "generator"}
    if isinstance(value, _CALLABLES):
        name, doc = getattr(value, "__name__", ""), getattr(value, "__doc__", None)
        return {
            "kind": "callable",
            "name": name if isinstance(name, str) else "",
            "doc": doc if isinstance(doc, str) else None,
        }
    iterates = hasattr(type(value), "__next__")
    if iterates and not _is_own(type(value)):
        return {"kind": "iterator"}
    return {"kind": "object", "class": class_(type(value), link), "iterates": iterates}


def plain(value: Any) -> Any:
    """The data in an object of a subclass of a builtin that compares as the builtin does.

    Raises:
        TypeError: there is none.
    """
    base = _plain_base(type(value))
    if base is None:
        raise TypeError("no plain data")
    return base(value)


def is_plain(value: Any) -> bool:
    """Whether `plain` has an answer."""
    return _plain_base(type(value)) is not None


def fields(value: Any) -> tuple[str, ...] | None:
    """The names of a named tuple that compares as a tuple does; None of anything else."""
    kind = type(value)
    names = getattr(kind, "_fields", None)
    if not isinstance(value, tuple) or not isinstance(names, tuple):
        return None
    compares: Any = kind.__eq__
    return names if compares is tuple.__eq__ and len(names) == len(value) else None


def _plain_base(kind: type) -> Any:
    for base in _PLAIN:
        if issubclass(kind, base) and kind is not base and kind.__eq__ is base.__eq__:
            return base
    return None


def is_imported(value: Any) -> bool:
    """Whether a value is a module, or has its name in another one than the solution."""
    if isinstance(value, types.ModuleType):
        return True
    if type(value).__module__ == "solution":
        return False
    home = sys.modules.get(str(getattr(value, "__module__", None)))
    name = getattr(value, "__name__", None)
    if home is None or home.__name__ == "solution" or not isinstance(name, str):
        return False
    return vars(home).get(name) is value


def _is_own(kind: type) -> bool:
    """Whether a class is the solution's, not one of a library."""
    if kind is object or common_name(kind) is not None:
        return False
    root = str(getattr(kind, "__module__", "")).split(".")[0]
    return root in ("solution", "builtins") or root not in sys.modules


def _own_names(kind: type) -> set[str]:
    return {name for base in kind.__mro__ if _is_own(base) for name in vars(base)}


def _methods(kind: type) -> set[str]:
    return {
        name
        for base in kind.__mro__
        for name, value in vars(base).items()
        if isinstance(value, types.FunctionType) and not name.startswith("__")
    }
