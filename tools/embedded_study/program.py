"""A composition of operations as a Python function: its code, and what it computes."""

from collections.abc import Callable
from copy import deepcopy
from dataclasses import dataclass
from typing import Any

from embedded_study.operation import SEPARATORS, VARIABLES, Operation

Style = str  # "tidy" or "loose"


@dataclass(frozen=True)
class Step:
    """An operation with its constant chosen (empty where it has none)."""

    operation: Operation
    constant: str = ""

    def expression(self, value: str, *, careless: bool = False) -> str:
        """The step applied to the expression ``value``."""
        template = self.operation.careless if careless else self.operation.code
        separator = SEPARATORS.get(self.constant, "")
        return template.format(x=value, k=self.constant, d=separator)


@dataclass(frozen=True)
class Program:
    """Steps applied one after another to one argument."""

    name: str
    steps: tuple[Step, ...]

    @property
    def source(self) -> str:
        """Type of the argument."""
        return self.steps[0].operation.source

    @property
    def composition(self) -> tuple[str, ...]:
        """Names of the operations, sorted: what the data are split by.

        Order and constants are left out, so the same operations in another order, or with other
        constants, always fall into the same split.
        """
        return tuple(sorted(step.operation.name for step in self.steps))

    @property
    def signature(self) -> str:
        """The ``def`` line, with its newline."""
        return f"def {self.name}({VARIABLES[self.source]}):\n"

    def body(self, style: Style = "tidy") -> str:
        """The function's body, indented, with a final newline.

        ``tidy`` names each value by its type and treats edge cases; ``loose`` uses single letters
        and the hasty form of an expression.
        """
        value = VARIABLES[self.source]
        lines = []
        for number, step in enumerate(self.steps):
            expression = step.expression(value, careless=style == "loose")
            if number == len(self.steps) - 1:
                lines.append(f"    return {expression}\n")
            else:
                letter = "abcdefgh"[number]
                value = letter if style == "loose" else VARIABLES[step.operation.target]
                lines.append(f"    {value} = {expression}\n")
        return "".join(lines)

    def code(self, style: Style = "tidy") -> str:
        """The whole function without docstring, with a final newline."""
        return self.signature + self.body(style)

    def without(self, index: int) -> "Program":
        """The program that lacks step ``index`` (its types may no longer fit)."""
        return Program(self.name, self.steps[:index] + self.steps[index + 1 :])

    def outputs(self, inputs: list[Any]) -> list[Any]:
        """What the function returns for each of ``inputs`` (one value each: its only argument).

        Raises:
            Exception: whatever the function raises on one of them.
        """
        scope: dict[str, Any] = {}
        # Our own grammar's text, never a model's: no sandbox needed.
        exec(self.code(), scope)
        function: Callable[[Any], Any] = scope[self.name]
        return [function(deepcopy(value)) for value in inputs]
