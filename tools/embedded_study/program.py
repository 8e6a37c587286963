"""Operations, read from ``operations.tsv`` beside this module, and functions composed of them."""

import csv
from collections.abc import Callable
from copy import deepcopy
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

#: The table of operations: tab separated, one a line; a workflow names it as an input of its own.
OPERATIONS_FILE = Path(__file__).with_name("operations.tsv")

#: Type name -> the name of a parameter or variable of that type.
VARIABLES = {
    "ints": "numbers",
    "int": "number",
    "text": "text",
    "words": "words",
    "table": "table",
    "bool": "answer",
}
#: Type name -> how a docstring calls a function's argument.
NOUNS = {
    "ints": "the list",
    "int": "the number",
    "text": "the text",
    "words": "the words",
    "table": "the dict",
}
#: Constants that are words in a docstring and a character in code.
SEPARATORS = {"dash": "-", "comma": ",", "space": " "}


@dataclass(frozen=True)
class Operation:
    """One row of the table.

    Attributes:
        name: unique name; a composition is made of these.
        source: type of the value it takes (a key of `VARIABLES`).
        target: type of the value it returns.
        position: where in a function it may stand: ``any``, ``first`` or ``last``.
        code: expression of the value ``{x}``, a constant ``{k}`` and a separator ``{d}``.
        careless: what a hasty author writes, wrong on some edge case; or ``code``.
        constants: what ``{k}`` may be; empty where there is none.
        steps: wordings as an instruction, such as "square each number".
        noun: wording as a noun phrase around ``{x}``, such as "the squares of {x}".
        note: terse wording, such as "squared".
    """

    name: str
    source: str
    target: str
    position: str
    code: str
    careless: str
    constants: tuple[str, ...]
    steps: tuple[str, ...]
    noun: str
    note: str


@cache
def operations() -> dict[str, Operation]:
    """All operations by name, in the table's order."""
    table: dict[str, Operation] = {}
    with OPERATIONS_FILE.open(encoding="utf-8", newline="") as file:
        for row in csv.DictReader(file, delimiter="\t", quoting=csv.QUOTE_NONE):
            assert row["name"] not in table, f"operation {row['name']} stands twice"
            table[row["name"]] = Operation(
                name=row["name"],
                source=row["source"],
                target=row["target"],
                position=row["position"],
                code=row["code"],
                careless=row["careless"] or row["code"],
                constants=tuple(row["constants"].split()),
                steps=tuple(row["steps"].split(" / ")),
                noun=row["noun"],
                note=row["note"],
            )
    return table


@cache
def operations_from(source: str) -> tuple[Operation, ...]:
    """The operations that take a value of type ``source``, in the table's order."""
    return tuple(op for op in operations().values() if op.source == source)


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
