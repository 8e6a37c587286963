"""Problems, samples and results in EvalPlus's formats, and its pass@k."""

import gzip
import json
import math
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
    """Check a problem file's rows; returns task id -> problem. `SetupError`: the first mistake."""
    problems: dict[str, Problem] = {}
    for number, row in enumerate(rows, start=1):
        task = row.get("task_id", number)
        where = f"{source}: problem {task!r}"
        if row.get("plus_input") == {}:
            row["plus_input"] = []  # MBPP+ has one such problem, without plus tests
        for name, kind in _FIELDS.items():
            if not isinstance(row.get(name), kind) and (plus or name != "plus_input"):
                actual = type(row[name]).__name__ if name in row else "missing"
                way_out = (
                    "EvalPlus's format needs it (`plus: false` for a suite without plus tests)"
                )
                raise SetupError(f"{where}: field {name!r} is {actual}; {way_out}")
        if task in problems:
            raise SetupError(f"{where} comes twice")
        if not row["base_input"]:
            raise SetupError(f"{where}: base_input is empty, so nothing is tested")
        problems[task] = row
    if not problems:
        raise SetupError(f"{source}: holds no problems")
    return problems


def inputs(problem: Problem, tests: str, oracle: str) -> list[Any]:
    """A problem's ``base`` or ``plus`` inputs, with what JSON has no types for in MBPP's."""
    raw: list[Any] = problem[f"{tests}_input"]
    if oracle != "mbpp":
        return raw
    restored: list[Any] = _mbpp("mbpp_deserialize_inputs")(problem["task_id"], raw)
    return restored


def expect_request(
    problem: Problem, oracle: str, plus: bool, cases: Path, memory_bytes: int
) -> "partial[Recording]":
    """Write a problem's inputs; the request makes a worker add outputs (a `Recording`)."""
    code = problem["prompt"] + problem["canonical_solution"]
    with CaseWriter(cases) as writer:
        for name in ["base", "plus"] if plus else ["base"]:
            writer.begin(name, map(codec.pack, inputs(problem, name, oracle)))
    return partial(
        expect,
        cases=cases.resolve(),
        program=Program(code, problem["entry_point"], oracle, problem["atol"]),
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
                    yield {**json.loads(line)}
                except (ValueError, TypeError) as error:
                    raise SetupError(f"{path}:{number}: no JSON object: {error}") from None
    except (OSError, EOFError) as error:
        raise SetupError(f"{path}: cannot be read: {error}") from None


def read_samples(path: Path, problems: Mapping[str, Problem]) -> list[tuple[str, str]]:
    """Task ids and programs, in the file's order; for every problem one at least."""
    samples = []
    for number, row in enumerate(read_jsonl(path), start=1):
        task, where = str(row.get("task_id")), f"{path}: sample {number}"
        if task not in problems:
            raise SetupError(f"{where}: task_id {task!r} is none of the problems'; another file?")
        if isinstance(row.get("solution"), str):
            samples.append((task, row["solution"]))
        elif isinstance(row.get("completion"), str):
            samples.append((task, problems[task]["prompt"] + row["completion"]))
        else:
            raise SetupError(f"{where} ({task}): needs `solution` or `completion`, a string")
    if missing := sorted(problems.keys() - dict(samples)):
        names = ", ".join(missing[:5]) + (" ..." if len(missing) > 5 else "")
        count = f"{len(missing)} of {len(problems)} problems"
        raise SetupError(f"{path}: no sample for {count}: {names}")
    return samples


def result_row(
    problem: Problem, solution: str, outcomes: dict[str, Outcome], oracle: str, plus: bool
) -> dict[str, Any]:
    """One entry of a result file, as ``evalplus.evaluate`` writes it; no outcomes are a failure."""
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
    """Unbiased pass@k (Chen et al. 2021, equation 1) for k of 1, 10, 100 that all tasks allow."""
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
        words = "MBPP+ keeps tuples and sets as lists; only EvalPlus knows where"
        raise SetupError(f"{words}: pip install evalplus") from None
    return getattr(mbpp, name)
