"""Problems, samples and results in EvalPlus's formats, and its pass@k.

A problem file has one problem a line, as HumanEval+ and MBPP+ have them; a sample file has a line
with ``task_id`` and ``solution`` (a whole program) or ``completion`` (what follows the prompt).
"""

import gzip
import json
import math
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from judgebox import SetupError, codec
from judgebox.codec import CaseWriter
from judgebox.compare import NOT_NONE
from judgebox.judging import FAIL, PASS, Outcome, Program
from judgebox.reference import Recording, expect

#: A problem's fields.
Problem = dict[str, Any]

_FIELDS: dict[str, type | tuple[type, ...]] = {
    **dict.fromkeys(("task_id", "prompt", "entry_point", "canonical_solution"), str),
    **dict.fromkeys(("base_input", "plus_input"), list),
    "atol": (int, float),
}


def checked_problems(rows: Iterable[Problem], source: object, plus: bool) -> dict[str, Problem]:
    """Check the rows of a problem file; returns task id -> problem, in the file's order.

    `SetupError`: a field that is missing or of another type (``plus_input`` only if `plus`), a task
    id that comes twice, a problem without tests, no problem at all.
    """
    problems: dict[str, Problem] = {}
    for number, row in enumerate(rows, start=1):
        task = row.get("task_id", number)
        if row.get("plus_input") == {}:
            row["plus_input"] = []  # MBPP+ has one such problem, without plus tests
        for name, kind in _FIELDS.items():
            if not isinstance(row.get(name), kind) and (plus or name != "plus_input"):
                actual = type(row[name]).__name__ if name in row else "missing"
                raise SetupError(
                    f"{source}: problem {task!r}: field {name!r} is {actual}; EvalPlus's format "
                    "needs it (`plus: false` for a suite without plus tests)"
                )
        if task in problems:
            raise SetupError(f"{source}: problem {task!r} comes twice")
        if not row["base_input"]:
            raise SetupError(
                f"{source}: problem {task!r}: base_input is empty, so nothing is tested"
            )
        problems[task] = row
    if not problems:
        raise SetupError(f"{source}: holds no problems")
    return problems


def inputs(problem: Problem, tests: str, oracle: str) -> list[Any]:
    """The argument lists of a problem's ``base`` or ``plus`` tests, with MBPP's types restored.

    JSON has no tuples, sets or complex numbers; EvalPlus knows where MBPP's inputs have them.
    """
    raw: list[Any] = problem[f"{tests}_input"]
    if oracle != "mbpp":
        return raw
    restored: list[Any] = _mbpp("mbpp_deserialize_inputs")(problem["task_id"], raw)
    return restored


def reference_program(problem: Problem, oracle: str) -> Program:
    """A problem's canonical solution."""
    code = problem["prompt"] + problem["canonical_solution"]
    return Program(code, problem["entry_point"], oracle, problem["atol"])


def expect_request(
    problem: Problem, oracle: str, plus: bool, cases: Path, memory_bytes: int
) -> "partial[Recording]":
    """Write a problem's inputs; returns the request that makes a worker add the expected outputs.

    The worker's answer is a `judgebox.reference.Recording`.
    """
    with CaseWriter(cases) as writer:
        for name in ["base", "plus"] if plus else ["base"]:
            writer.begin(name, map(codec.pack, inputs(problem, name, oracle)))
    return partial(
        expect,
        cases=cases.resolve(),
        program=reference_program(problem, oracle),
        memory_bytes=memory_bytes,
        not_none=oracle == "mbpp" and problem["entry_point"] in NOT_NONE,
    )


def read_jsonl(path: Path) -> Iterator[dict[str, Any]]:
    """The objects of a .jsonl or .jsonl.gz file, else `SetupError`."""
    try:
        with gzip.open(path, "rb") if path.suffix == ".gz" else path.open("rb") as file:
            for number, line in enumerate(file, start=1):
                if not line.strip():
                    continue
                try:
                    row = json.loads(line)
                except ValueError as error:
                    raise SetupError(f"{path}:{number}: not valid JSON: {error}") from None
                if not isinstance(row, dict):
                    raise SetupError(f"{path}:{number}: no JSON object, but {line[:40]!r}")
                yield row
    except (OSError, EOFError) as error:
        raise SetupError(f"{path}: cannot be read: {error}") from None


def read_samples(path: Path, problems: Mapping[str, Problem]) -> dict[str, list[str]]:
    """Programs by task id, in the file's order; for every problem one at least."""
    samples: dict[str, list[str]] = defaultdict(list)
    for number, row in enumerate(read_jsonl(path), start=1):
        task = str(row.get("task_id"))
        if task not in problems:
            raise SetupError(
                f"{path}: sample {number}: task_id {task!r} is none of the problems'; do samples "
                "and problems belong together?"
            )
        if isinstance(row.get("solution"), str):
            samples[task].append(row["solution"])
        elif isinstance(row.get("completion"), str):
            samples[task].append(problems[task]["prompt"] + row["completion"])
        else:
            raise SetupError(
                f"{path}: sample {number} ({task}): has neither `solution` nor `completion`, "
                "one of which must be a string"
            )
    missing = [task for task in problems if task not in samples]
    if missing:
        raise SetupError(
            f"{path}: no sample for {len(missing)} of {len(problems)} problems: "
            f"{', '.join(missing[:5])}{' ...' if len(missing) > 5 else ''}"
        )
    return samples


def result_row(
    problem: Problem, solution: str, outcomes: dict[str, Outcome], oracle: str, plus: bool
) -> dict[str, Any]:
    """One entry of a result file, as ``evalplus.evaluate`` writes it: what became of a program.

    `outcomes` are those of `judgebox.judge`, empty where its judge died.
    """
    row: dict[str, Any] = {"task_id": problem["task_id"], "solution": solution}
    failure = Outcome(FAIL)
    row["base_status"] = outcomes.get("base", failure).verdict
    row["plus_status"] = outcomes.get("plus", failure).verdict if plus else None
    for name in ("base", "plus"):
        number = outcomes.get(name, failure).failed
        failed = [] if number is None else [inputs(problem, name, oracle)[number]]
        if failed and oracle == "mbpp":
            failed = _mbpp("mbpp_serialize_inputs")(problem["task_id"], failed)
        row[f"{name}_fail_tests"] = failed
    return row


def pass_at_k(rows: Mapping[str, Sequence[dict[str, Any]]], plus: bool) -> dict[int, float]:
    """Unbiased pass@k (Chen et al. 2021, equation 1) for k of 1, 10, 100 that all problems allow.

    `rows`: task id -> its samples' `result_row`.
    """
    names = ("base_status", "plus_status") if plus else ("base_status",)
    counts = [
        (len(samples), sum(all(row[name] == PASS for name in names) for row in samples))
        for samples in rows.values()
    ]
    return {
        k: sum(1 - math.comb(n - right, k) / math.comb(n, k) for n, right in counts) / len(counts)
        for k in (1, 10, 100)
        if min(n for n, _ in counts) >= k
    }


def _mbpp(name: str) -> Any:
    """A function of EvalPlus's that knows MBPP's types."""
    try:
        from evalplus.data import mbpp
    except ImportError:
        raise SetupError(
            "MBPP+ keeps tuples and sets as lists, and only EvalPlus knows where; "
            "pip install evalplus"
        ) from None
    return getattr(mbpp, name)
