# expect: fail-or-timeout
# problem: number
# ruff: noqa
"""Compiles source whose nesting and constants exhaust the compiler."""

import ast


def solve(numbers):
    for source in (
        "(" * 5000 + ")" * 5000,
        "-" * 200_000 + "1",
        "a." * 100_000 + "a",
        "[" * 90 + "]" * 90,
    ):
        try:
            compile(source, "<bomb>", "eval")
        except (SyntaxError, MemoryError, RecursionError):
            pass
    tree = ast.parse("1", mode="eval")
    for _ in range(100_000):
        tree.body = ast.UnaryOp(ast.USub(), tree.body)
    compile(ast.fix_missing_locations(tree), "<bomb>", "eval")
    return 1
