"""Problem files in EvalPlus's format."""

import math
from pathlib import Path
from typing import Any

from mixmerge.core.errors import UserError
from mixmerge.core.io import read_jsonl

_FIELDS: dict[str, type | tuple[type, ...]] = {
    "task_id": str,
    "prompt": str,
    "entry_point": str,
    "canonical_solution": str,
    "base_input": list,
    "plus_input": list,
    "atol": (int, float),
}


def read_problems(path: Path, plus: bool) -> dict[str, dict[str, Any]]:
    """Read a ``problems.jsonl``; returns task id -> problem, in the file's order.

    Args:
        path: one problem a line, with the fields of HumanEval+ and MBPP+.
        plus: whether ``plus_input`` is needed.

    Raises:
        UserError: a field that is missing or of another type, a task id that comes twice, a
            problem without tests, no problem at all.
    """
    problems: dict[str, dict[str, Any]] = {}
    for number, row in enumerate(read_jsonl(path), start=1):
        if row.get("plus_input") == {}:
            row["plus_input"] = []  # MBPP+ has one such problem, without plus tests
        for name, kind in _FIELDS.items():
            if name == "plus_input" and not plus:
                continue
            if not isinstance(row.get(name), kind):
                found = type(row[name]).__name__ if name in row else "missing"
                raise UserError(
                    f"{path}: problem {row.get('task_id', number)!r}: field {name!r} is {found}; "
                    "EvalPlus's format needs it (`plus: false` for a suite without plus tests)"
                )
        task = row["task_id"]
        if task in problems:
            raise UserError(f"{path}: problem {task!r} comes twice")
        if not row["base_input"]:
            raise UserError(f"{path}: problem {task!r}: base_input is empty, so nothing is tested")
        problems[task] = row
    if not problems:
        raise UserError(f"{path}: holds no problems")
    return problems


def inputs(problem: dict[str, Any], tests: str, dataset: str) -> list[Any]:
    """The argument lists of a problem's ``base`` or ``plus`` tests, with MBPP's types restored.

    JSON has no tuples, sets or complex numbers; EvalPlus knows by task number where MBPP's
    inputs have them.
    """
    raw: list[Any] = problem[f"{tests}_input"]
    if dataset != "mbpp":
        return raw
    from evalplus.data.mbpp import mbpp_deserialize_inputs

    restored: list[Any] = mbpp_deserialize_inputs(problem["task_id"], raw)
    return restored


def coarse_seconds(seconds: float) -> float:
    """A measured time, rounded up to a power of two; 0 below a tenth of a second.

    Times only widen a test's limit where the reference is slow. Coarse ones are the same in
    nearly every run, so the ground truth's bytes are, too.
    """
    return 0.0 if seconds < 0.1 else float(2.0 ** math.ceil(math.log2(seconds)))
