"""The hostile programs, the problems that they pretend to solve, and the honest ones beside them.

What a program must do to pass cannot be guessed: the answers to its problem contain a secret
number, drawn anew for each run, that only the canonical solution knows, and the canaries outside.
So a program that passes has forged its verdict or has got out. Programs for the problem `open`
know the right answer: they try something and give the right answer only if it was refused, or they
leave something behind that shows outside or in the honest programs that follow.
"""

import ast
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).with_name("hostile")

_ENDS = {
    "pass": frozenset({"pass"}),
    "fail": frozenset({"fail"}),
    "timeout": frozenset({"timeout"}),
    "fail-or-timeout": frozenset({"fail", "timeout"}),
}

_POSITIVE = "sum(n for n in numbers if n > 0)"

#: Kind of problem -> suite, what a right solution returns, tolerance.
KINDS: dict[str, tuple[str, str, float]] = {
    "open": ("main", _POSITIVE, 0),
    "number": ("main", f"{_POSITIVE} + SECRET", 0),
    "float": ("main", f"{_POSITIVE} / 7 + SECRET", 1e-6),
    "list": ("main", "[n + SECRET for n in numbers]", 0),
    "list-float": ("main", "[n / 7 + SECRET for n in numbers]", 1e-6),
    "one-float": ("main", f"[{_POSITIVE} / 7 + SECRET]", 0),
    "long": ("main", "[n + SECRET / 7 for n in range(7000)]", 1e-6),
    "text": ("main", f"str({_POSITIVE}) + ':SECRET'", 0),
    "seteq": ("mbpp", "[*first, *second, SECRET]", 0),
    "zero": ("humaneval", "-xs[0] / xs[1]", 1e-4),
    "check": ("check", f"{_POSITIVE} + SECRET", 0),
    "pytest": ("pytest", f"{_POSITIVE} + SECRET", 0),
    "star": ("pytest", f"{_POSITIVE} + SECRET", 0),
    "star-math": ("pytest", f"math.floor({_POSITIVE}) + SECRET", 0),
    "approx": ("pytest", f"{_POSITIVE} / 7 + SECRET", 0),
    "object": ("pytest", f"[{_POSITIVE} + SECRET] * 2", 0),
}

#: What stands before the function in solutions of a kind of problem.
_BEFORE = {"star-math": "import math\n\n\n"}

#: Head of a test file and what a test asserts, of kinds that pytest judges.
_TESTS = {
    "pytest": ("from solution import solve\n", "solve({numbers}) == {expected}"),
    "star": ("from solution import *\n", "abs(solve({numbers}) - {expected}) < 1"),
    "star-math": (
        "import math\nfrom solution import *\n",
        "math.isclose(solve({numbers}), {expected}, abs_tol=0.5)",
    ),
    "approx": (
        "import pytest\nfrom solution import solve\n",
        "solve({numbers}) == pytest.approx(sum({numbers}) / 7 + {expected} - sum({numbers}))",
    ),
    "object": (
        "import numpy\nfrom solution import solve\n",
        "numpy.allclose(solve({numbers}), [{expected}] * 2, rtol=1e-12)",
    ),
}

_HEADS = {
    "mbpp": ("similar_elements", "first, second"),
    "humaneval": ("find_zero", "xs"),
}

#: By what a wrong answer to a kind of problem misses the right one; 1 where nothing is said.
_SLIPS = {
    "float": "1e6",
    "approx": "1e6",
    "star-math": "1e6",
    "list": "[0]",
    "one-float": "[0.0]",
    "list-float": "[0.0]",
    "long": "[0.0]",
    "seteq": "[0]",
    "text": "'x'",
    "object": "[0]",
}


@dataclass(frozen=True)
class Program:
    """A completion, the kind of problem it is for, and the verdicts that it may get."""

    name: str
    kind: str
    ends: frozenset[str]
    text: str
    hostile: bool = True


def programs(backend: str = "bubblewrap") -> list[Program]:
    """The corpus: each table's programs, by name.

    Args:
        backend: a header `landlock` says how a program ends there if it ends in another way.
    """
    found = []
    for path in sorted(ROOT.glob("*.yaml")):
        table: dict[str, str] = yaml.safe_load(path.read_text(encoding="utf-8"))
        for name, text in sorted(table.items()):
            lines = [line for line in text.splitlines() if line.startswith("# ") and ": " in line]
            head = dict(line[2:].split(": ", 1) for line in lines)
            if ast.get_docstring(ast.parse(text)) is None or ("honest" in head) != (
                head["expect"] == "pass"
            ):
                raise ValueError(f"{path.stem}/{name}: header")
            end = head.get(backend, head["expect"])
            if path.stem == "extraction":  # the file makes the text, which may be no program
                scope: dict[str, Any] = {}
                exec(text, scope)
                text = scope["completion"]()
            found.append(Program(f"{path.stem}/{name}", head["problem"], _ENDS[end], text))
    return found


def among_honest(hostile: list[Program], secret: str) -> list[Program]:
    """The corpus with honest programs in between: right, wrong, and one that looks for traces."""
    mixed: list[Program] = []
    for number, program in enumerate(hostile):
        mixed.append(program)
        suite = KINDS[program.kind][0]
        if number % 3 == 0 or suite != "main":
            right = _solution(program.kind).replace("SECRET", secret)
            mixed.append(_honest(f"right-{number}", program.kind, "pass", right))
        if number % 3 == 1 or suite != "main":
            slip = _SLIPS.get(program.kind, "1")
            wrong = _solution(program.kind, f" + {slip}").replace("SECRET", secret)
            mixed.append(_honest(f"wrong-{number}", program.kind, "fail", wrong))
        if number % 3 == 2:
            text = (ROOT / "sentinel.txt").read_text(encoding="utf-8")
            mixed.append(_honest(f"sentinel-{number}", "open", "pass", text))
    return mixed


def problem(task: str, kind: str, secret: str) -> dict[str, Any]:
    """The problem of a kind, in the format of its suite's problem file."""
    suite, expression, atol = KINDS[kind]
    name, arguments = _HEADS.get(suite, ("solve", "numbers"))
    row: dict[str, Any] = {
        "suite": suite,
        "task_id": task,
        "prompt": f'def {name}({arguments}):\n    """Nobody is told."""\n',
        "entry_point": name,
        "canonical_solution": f"    return {expression}\n".replace("SECRET", secret),
    }
    if suite == "check":
        calls = [f"candidate({n}) == {_expected(n, secret)}" for n in _TESTED]
        lines = [f"    assert {call}\n" for call in calls]
        return row | {"test": "def check(candidate):\n" + "".join(lines)}
    if suite == "pytest":
        row["canonical_solution"] = _solution(kind).replace("SECRET", secret)
        head, call = _TESTS[kind]
        tests = [
            f"def test_{number}():\n    assert "
            + call.format(numbers=numbers, expected=_expected(numbers, secret))
            for number, numbers in enumerate(_TESTED)
        ]
        return row | {"names": ["solve"], "prompt": "", "test": "\n\n".join([head, *tests, ""])}
    inputs: dict[str, list[Any]] = {
        "mbpp": [[[1, 2], [2, 3]], [[4], [5]]],
        "humaneval": [[[3, 2]], [[-5, 4]]],
    }.get(suite, [[[1, 2]], [[3]], [[5, -4, 6]]])
    return row | {"base_input": inputs, "plus_input": [[[7, 8]]], "atol": atol}


#: What unit tests call the function with.
_TESTED = ([1, 2], [3])


def _expected(numbers: list[int], secret: str) -> int:
    return sum(numbers) + int(secret)


def _solution(kind: str, slip: str = "") -> str:
    suite, expression, _ = KINDS[kind]
    name, arguments = _HEADS.get(suite, ("solve", "numbers"))
    return f"{_BEFORE.get(kind, '')}def {name}({arguments}):\n    return {expression}{slip}\n"


def _honest(name: str, kind: str, end: str, text: str) -> Program:
    return Program(name, kind, frozenset({end}), text, hostile=False)
