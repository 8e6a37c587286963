"""A program as a problem in EvalPlus's format (the keys of HumanEval+, in its order)."""

import random
from typing import Any

from embedded_study.grammar import base_inputs, every_step_matters, plus_inputs
from embedded_study.program import VARIABLES, Program

_CLASSES = {"ints": "list", "int": "int", "text": "str", "words": "list", "table": "dict"}
_DRAWS = 200


def prompt(program: Program, docstring: str) -> str:
    """Signature and docstring, up to where the body begins."""
    return f'{program.signature}    """{docstring}"""\n'


def problem(program: Program, docstring: str, rng: random.Random, task_id: str) -> dict[str, Any]:
    """The problem with inputs on which every step of the program matters.

    ``base_input`` and ``plus_input`` are lists of argument lists, as EvalPlus has them; the
    expected outputs are what EvalPlus computes from ``prompt + canonical_solution``.
    """
    for _ in range(_DRAWS):
        base = base_inputs(program.source, rng)
        plus = plus_inputs(program.source, rng)
        if every_step_matters(program, base, plus):
            break
    else:
        raise AssertionError(f"no telling inputs found for {program.composition}")
    argument = VARIABLES[program.source]
    asserts = "".join(
        f"    assert candidate({value!r}) == {output!r}\n"
        for value, output in zip(base, program.outputs(base), strict=True)
    )
    return {
        "task_id": task_id,
        "prompt": prompt(program, docstring),
        "entry_point": program.name,
        "canonical_solution": program.body(),
        "test": f"\n\ndef check(candidate):\n{asserts}\n",
        "contract": f"\n    assert type({argument}) == {_CLASSES[program.source]}, "
        '"invalid inputs" # $_CONTRACT_$\n',
        "base_input": [[value] for value in base],
        "atol": 0,
        "plus_input": [[value] for value in plus],
    }
