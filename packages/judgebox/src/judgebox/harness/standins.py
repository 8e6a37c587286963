"""What stands in the examiner's process for things that the solution keeps.

An object of the solution is a `Handle` of a class made for it here: each operator and attribute is
asked of the solution, but a handle never equals data, nor is it ordered or found among data. So
an object that calls itself equal to everything gains nothing.
"""

from collections.abc import Generator, Iterator
from operator import itemgetter
from typing import TYPE_CHECKING, Any

from judgebox.harness.describing import BINARY, OPERATORS
from judgebox.harness.graph import Malformed
from judgebox.harness.link import exception_class

if TYPE_CHECKING:
    from judgebox.harness.examiner import ExaminerLink

_COMPARE = frozenset({"__eq__", "__ne__", "__lt__", "__le__", "__gt__", "__ge__"})
# Names with two underscores that are looked up in the solution's own objects.
_ASKED = frozenset({"__dict__", "__annotations__", "__wrapped__"})


class Opaque:
    """A value of the solution that tests can't look into; equals nothing but itself."""

    def __init__(self, number: int, name: str) -> None:
        self._mixmerge_number, self._name = number, name

    def __repr__(self) -> str:
        return f"<{self._name} of the solution>"


class Function:
    """Stands for a function of the solution."""

    def __init__(self, link: "ExaminerLink", number: int, name: str, doc: str | None) -> None:
        self._mixmerge_link, self._mixmerge_number = link, number
        self.__name__ = self.__qualname__ = name
        self.__doc__ = doc
        self.__module__ = "solution"

    def __call__(self, *arguments: Any, **named: Any) -> Any:
        """Let the solution call it."""
        return self._mixmerge_link.call(self._mixmerge_number, arguments, named)

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__") and name not in _ASKED:
            raise AttributeError(name)
        return self._mixmerge_link.look(self, name)

    def __deepcopy__(self, memo: Any) -> "Function":
        return self


class Method:
    """A method of a handle; looked up where it is called."""

    def __init__(self, handle: "Handle", name: str) -> None:
        self.__self__, self.__name__ = handle, name

    def __call__(self, *arguments: Any, **named: Any) -> Any:
        """Let the solution call it."""
        handle = self.__self__
        at = {"on": handle._mixmerge_number, "name": self.__name__}
        link = handle._mixmerge_link
        return link.ask(f".{self.__name__}()", "method", at, args=arguments, named=named)


class Items:
    """Stands for an iterator of the solution."""

    def __init__(self, link: "ExaminerLink", number: int) -> None:
        self._mixmerge_link, self._mixmerge_number = link, number

    def __iter__(self) -> Iterator[Any]:
        return self

    def __next__(self) -> Any:
        return self._mixmerge_link.ask("next()", "next", {"on": self._mixmerge_number})


def generator(link: "ExaminerLink", number: int) -> Generator[Any, Any, Any]:
    """Stands for a generator of the solution; takes one item at a time, when it is asked for."""
    sent = None
    while True:
        at: dict[str, Any] = {"on": number}
        try:
            if sent is None:
                item = link.ask("next()", "next", at)
            else:
                at["name"] = "send"
                item = link.ask("next()", "method", at, args=(sent,), named={})
        except StopIteration as end:
            return end.value
        sent = yield item


class Kind(type):
    """The type of the classes that stand for the solution's."""

    _mixmerge_class: "tuple[ExaminerLink, int]"

    def __call__(cls, *arguments: Any, **named: Any) -> Any:
        """Let the solution make an object."""
        if "_mixmerge_class" not in vars(cls):
            raise TypeError("a class of the tests can't be made from one of the solution")
        link, number = cls._mixmerge_class
        return link.call(number, arguments, named)

    def __getattr__(cls, name: str) -> Any:
        if name.startswith("__") and name not in _ASKED:
            raise AttributeError(name)
        return cls._mixmerge_class[0].look(cls, name)

    def __setattr__(cls, name: str, value: Any) -> None:
        if name.startswith("__"):
            super().__setattr__(name, value)
        else:
            link, number = cls._mixmerge_class
            link.ask("", "set", {"on": number, "name": name}, value=value)

    def __iter__(cls) -> Any:
        return cls._mixmerge_class[0].operate(cls, "__iter__", ())

    def __len__(cls) -> Any:
        return cls._mixmerge_class[0].operate(cls, "__len__", ())

    def __bool__(cls) -> bool:
        return True

    def __contains__(cls, item: Any) -> Any:
        return cls._mixmerge_class[0].operate(cls, "__contains__", (item,))

    def __getitem__(cls, name: Any) -> Any:
        return cls._mixmerge_class[0].operate(cls, "__getitem__", (name,))


class Handle:
    """Stands for an object of the solution; base of the classes that are made for its class."""

    __slots__ = ("__weakref__", "_mixmerge_link", "_mixmerge_number")
    _mixmerge_link: "ExaminerLink"
    _mixmerge_number: int
    _mixmerge_methods: frozenset[str] = frozenset()

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__") and name not in _ASKED:
            raise AttributeError(name)
        if name in type(self)._mixmerge_methods:
            return Method(self, name)
        return self._mixmerge_link.look(self, name)

    def __setattr__(self, name: str, value: Any) -> None:
        self._mixmerge_link.ask("", "set", {"on": self._mixmerge_number, "name": name}, value=value)

    def __delattr__(self, name: str) -> None:
        self._mixmerge_link.ask("", "delete", {"on": self._mixmerge_number, "name": name})

    def __copy__(self) -> Any:
        return _copied(self, deep=False)

    def __deepcopy__(self, memo: Any) -> Any:
        return _copied(self, deep=True)


def _copied(one: Handle, deep: bool) -> Any:
    at = {"on": one._mixmerge_number, "deep": deep}
    return one._mixmerge_link.ask("copy()", "copy", at)


def handle(kind: type, link: "ExaminerLink", number: int) -> Handle:
    """A handle of one object."""
    made: Handle = object.__new__(kind)
    object.__setattr__(made, "_mixmerge_link", link)
    object.__setattr__(made, "_mixmerge_number", number)
    return made


def made_class(
    link: "ExaminerLink", number: int, info: dict[str, Any], bases: tuple[type, ...]
) -> type:
    """A class that stands for one of the solution's.

    Args:
        link: the examiner's.
        number: the class's.
        info: `judgebox.harness.describing.class_`'s description.
        bases: what stands for its bases.
    """
    name = str(info["name"])
    if info["errors"]:
        bases = bases or (exception_class(info["errors"]),)
        return type(name, bases, {"__module__": "solution", "__str__": _text})
    names: dict[str, Any] = {
        operator: _operator(operator, bool(info["plain"]))
        for operator in info["operators"]
        if operator in OPERATORS
    }
    if not info["hashable"]:
        names["__hash__"] = None
    elif "__eq__" in names and "__hash__" not in names:
        names["__hash__"] = object.__hash__
    names |= {"__slots__": (), "__module__": "solution", "__doc__": info["doc"]}
    names |= {"_mixmerge_class": (link, number), "_mixmerge_methods": frozenset(info["methods"])}
    return Kind.__new__(Kind, name, bases or (Handle,), names)


def _operator(name: str, plain: bool) -> Any:
    def operator(self: Handle, *arguments: Any) -> Any:
        link = self._mixmerge_link
        if name in ("__eq__", "__ne__") and plain:
            other = arguments[0]
            mine = link.ask("", "plain", {"on": self._mixmerge_number})
            if isinstance(other, Handle):
                other = link.ask("", "plain", {"on": other._mixmerge_number})
            return (mine == other) is (name == "__eq__")
        if name in _COMPARE and not isinstance(arguments[0], Handle):
            return NotImplemented
        return link.operate(self, name, arguments)

    operator.__name__ = name
    return operator


def _text(self: BaseException) -> str:
    text = self.__dict__.get("_text")
    return text if isinstance(text, str) else BaseException.__str__(self)


def named_tuple(name: str, fields: list[str], values: list[Any]) -> tuple[Any, ...]:
    """A tuple whose items have names, as `collections.namedtuple` makes them.

    Raises:
        Malformed: names that hide something of a tuple's own.
    """
    for field in fields:
        if not field.isidentifier() or field.startswith("_") or hasattr(tuple, field):
            raise Malformed("field names")
    names: dict[str, Any] = {f: property(itemgetter(i)) for i, f in enumerate(fields)}
    names |= {"_fields": tuple(fields), "__slots__": (), "__module__": "solution"}
    names["_asdict"] = lambda self: dict(zip(fields, self, strict=True))
    made: tuple[Any, ...] = type(name, (tuple,), names)(values)
    return made


def sees_operand(name: str) -> bool:
    """Whether an operator shows the solution what it is compared or reckoned with."""
    return name in BINARY
