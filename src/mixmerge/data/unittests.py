"""Test programs of held-out rows, read without running them.

A program is pytest's: it imports what it tests from the module `solution`. Some of KodCode's import
nothing and use the names all the same; those get the import they lack.
"""

import ast
import builtins
import warnings
from dataclasses import dataclass

#: Modules whose use makes a verdict depend on the machine and what else it does.
_CLOCKS = {"time", "timeit", "signal"}

_DEFINITIONS = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)


@dataclass(frozen=True)
class TestProgram:
    """A test program that can be run, and what it asks of a solution."""

    text: str
    """The program, with its import of the solution."""

    names: tuple[str, ...]
    """Functions and classes that the solution must define."""

    __test__ = False  # the name is pytest's pattern


class Unusable(Exception):
    """A test program that cannot judge; the message is the reason's key in reports."""


def read_tests(tests: object, solution: object) -> TestProgram:
    """Examine a row's test program.

    Args:
        tests: the program's text.
        solution: text of the reference solution, which says what names without an import are.

    Raises:
        Unusable: ``no_tests``, ``no_solution`` (blank or no text), ``not_python`` (either does not
            parse), ``clock`` (verdicts would depend on the machine's load), ``tests_itself`` (the
            program uses nothing of the solution, or defines it anew).
    """
    if not isinstance(tests, str) or not tests.strip():
        raise Unusable("no_tests")
    if not isinstance(solution, str) or not solution.strip():
        raise Unusable("no_solution")
    program, reference = _parse(tests), _parse(solution)
    imported, star, clock = _imports(program)
    if clock:
        raise Unusable("clock")
    own = {node.name for node in program.body if isinstance(node, _DEFINITIONS)}
    if imported and not star:
        names = [name for name in imported if name not in own]
        text = tests
    else:
        offered = _defined(reference) - own - set(dir(builtins))
        used = [node for node in ast.walk(program) if isinstance(node, ast.Name)]
        used.sort(key=lambda node: (node.lineno, node.col_offset))
        names = list(dict.fromkeys(node.id for node in used if node.id in offered))
        text = tests if star else f"from solution import {', '.join(names)}\n{tests}"
    if not names:
        raise Unusable("tests_itself")
    return TestProgram(text, tuple(names))


def _parse(text: str) -> ast.Module:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # odd escapes in other people's strings
        try:
            return ast.parse(text)
        except (SyntaxError, ValueError, RecursionError, MemoryError):
            raise Unusable("not_python") from None


def _imports(program: ast.Module) -> tuple[list[str], bool, bool]:
    """Names imported from the solution, whether all of them are, and whether a clock is."""
    names: list[str] = []
    modules: set[str] = set()
    aliases: set[str] = set()
    for node in ast.walk(program):
        if isinstance(node, ast.ImportFrom):
            modules.add((node.module or "").split(".")[0])
            if node.module == "solution":
                names += [alias.name for alias in node.names]
        elif isinstance(node, ast.Import):
            modules |= {alias.name.split(".")[0] for alias in node.names}
            aliases |= {a.asname or a.name for a in node.names if a.name == "solution"}
    for node in ast.walk(program):
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
            names += [node.attr] if node.value.id in aliases else []
    return list(dict.fromkeys(names)), "*" in names, bool(modules & _CLOCKS)


def _defined(module: ast.Module) -> set[str]:
    """Names that a module's top level defines."""
    names = {node.name for node in module.body if isinstance(node, _DEFINITIONS)}
    for node in module.body:
        if isinstance(node, ast.Assign):
            names |= {target.id for target in node.targets if isinstance(target, ast.Name)}
    return names
