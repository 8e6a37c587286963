"""The operations that the grammar composes, read from ``operations.tsv`` beside this module."""

import csv
from dataclasses import dataclass
from functools import cache
from pathlib import Path

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
