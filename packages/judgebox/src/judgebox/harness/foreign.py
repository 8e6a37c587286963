"""What stands in the solution's process for things of the tests'."""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from judgebox.harness.solution import SolutionLink


class ForeignCall:
    """Stands for a function of the tests."""

    def __init__(self, link: "SolutionLink", number: int, name: str) -> None:
        self._link, self._number, self.__name__ = link, number, name

    def __call__(self, *arguments: Any, **named: Any) -> Any:
        """Let the tests call it."""
        return self._link.ask("call", {"on": self._number}, args=arguments, named=named)


class ForeignIterator:
    """Stands for an iterator of the tests."""

    def __init__(self, link: "SolutionLink", number: int) -> None:
        self._link, self._number = link, number

    def __iter__(self) -> Iterator[Any]:
        return self

    def __next__(self) -> Any:
        return self._link.ask("next", {"on": self._number})


class ForeignObject:
    """Stands for an object of a class that the tests define."""

    def __init__(self, link: "SolutionLink", number: int) -> None:
        vars(self).update(_link=link, _number=number)

    @staticmethod
    def kind(name: str, operators: list[str]) -> "type[ForeignObject]":
        """A class for objects with these operators."""

        def made(operator: str) -> Any:
            return lambda self, *arguments: self._link.ask(
                "operator", {"on": self._number, "name": operator}, args=arguments
            )

        return type(name, (ForeignObject,), {operator: made(operator) for operator in operators})

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        return self._link.ask("getattr", {"on": self._number, "name": name})

    def __setattr__(self, name: str, value: Any) -> None:
        self._link.ask("setattr", {"on": self._number, "name": name}, value=value)
