"""Docstrings of a program, in three styles and several wordings each."""

import random
from itertools import product

from embedded_study.program import NOUNS, Program, Step

#: ``steps``: "Keep the even numbers, then square each number."
#: ``nested``: "Return the squares of the even numbers in the list."
#: ``notes``: "even only; squared"
STYLES = ("steps", "nested", "notes")


def _steps(phrases: list[str]) -> str:
    text = ", ".join(phrases[:-1])
    text = f"{text}, then {phrases[-1]}" if text else phrases[-1]
    return text[0].upper() + text[1:] + "."


def _phrase(step: Step, wording: int) -> str:
    steps = step.operation.steps
    return steps[wording % len(steps)].format(k=step.constant)


def nested(program: Program) -> str:
    """The program as one noun phrase: "Return the squares of the even numbers in the list."."""
    text = NOUNS[program.source]
    for step in program.steps:
        text = step.operation.noun.format(x=text, k=step.constant)
    return f"Return {text}."


def notes(program: Program) -> str:
    """The program in telegram style, one note a step: "even only; squared"."""
    return "; ".join(step.operation.note.format(k=step.constant) for step in program.steps)


def steps(program: Program, rng: random.Random, house: float) -> str:
    """The program as instructions; each step takes its first wording with probability ``house``."""
    return _steps([_phrase(step, int(rng.random() >= house)) for step in program.steps])


def wordings(program: Program) -> list[str]:
    """Every docstring the grammar has for a program, all distinct."""
    choices = product(*[range(len(step.operation.steps)) for step in program.steps])
    texts = [
        _steps([_phrase(step, choice) for step, choice in zip(program.steps, chosen, strict=True)])
        for chosen in choices
    ]
    return list(dict.fromkeys([*texts, nested(program), notes(program)]))


def docstring(program: Program, rng: random.Random, weights: dict[str, float], house: float) -> str:
    """Draw one docstring.

    Args:
        program: what to describe.
        rng: source of the choice.
        weights: style (of `STYLES`) -> relative frequency.
        house: probability that a step takes its first wording, the "house style".
    """
    style = rng.choices(list(weights), list(weights.values()))[0]
    if style == "nested":
        return nested(program)
    if style == "notes":
        return notes(program)
    return steps(program, rng, house)
