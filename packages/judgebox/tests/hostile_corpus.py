"""The hostile programs, the problems that they pretend to solve, and the honest ones beside them.

The answers to a problem contain a secret number, drawn anew for each run, that only the canonical
solution knows, and the canaries outside: a program that passes has forged its verdict or got out.
Programs for the problem `open` know the right answer: they give it only if what they try was
refused, or they leave something behind that shows outside or in the honest programs that follow.

The command, ``python hostile_corpus.py FOLDER``, does with the folder's completions what a scorer
does: workers side by side, and what may have been starved is run again.
"""

import ast
import json
import sys
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import yaml

from boxed import table
from judgebox import Workers, judge, judging, record_reference
from judgebox.evalplus import checked_problems, expect_request
from judgebox.workers import Request

ROOT = Path(__file__).with_name("hostile")
_IMPORT = "from solution import solve\n"


class Kind(NamedTuple):
    """A kind of problem."""

    suite: str
    right: str  # what a right solution returns
    slip: str = "1"  # what added to that makes a wrong one
    atol: float = 0
    #: Of a test file, and what a test asserts, where pytest judges.
    head: str = _IMPORT
    call: str = "solve({numbers}) == {expected}"
    before: str = ""  # what stands before the function


KINDS = {name: Kind(**fields) for name, fields in table("hostile_kinds").items()}
_HEADS = {"mbpp": ("similar_elements", "first, second"), "humaneval": ("find_zero", "xs")}
_INPUTS: dict[str, Any] = {
    "main": [[[1, 2]], [[3]], [[5, -4, 6]]],
    "mbpp": [[[1, 2], [2, 3]], [[4], [5]]],
    "humaneval": [[[3, 2]], [[-5, 4]]],
}
#: What unit tests call the function with.
_TESTED = ([1, 2], [3])


class Program(NamedTuple):
    """A completion, the kind of problem it is for, and the verdicts that it may get."""

    name: str
    kind: str
    ends: tuple[str, ...]
    text: str
    hostile: bool = True


def programs(backend: str = "bubblewrap") -> list[Program]:
    """The corpus: each table's programs, by name; a header may be for a backend."""
    found = []
    for path in sorted(ROOT.glob("*.yaml")):
        table: dict[str, str] = yaml.safe_load(path.read_text(encoding="utf-8"))
        for name, text in sorted(table.items()):
            lines = [line for line in text.splitlines() if line.startswith("# ") and ": " in line]
            head = dict(line[2:].split(": ", 1) for line in lines)
            ends = tuple(head.get(backend, head["expect"]).split("-or-"))
            documented = ast.get_docstring(ast.parse(text)) is not None
            if not documented or ("honest" in head) != (head["expect"] == "pass"):
                raise ValueError(f"{path.stem}/{name}: header")
            if path.stem == "extraction":  # the file makes the text, which may be no program
                scope: dict[str, Any] = {}
                exec(text, scope)
                text = scope["completion"]()
            found.append(Program(f"{path.stem}/{name}", head["problem"], ends, text))
    return found


def among_honest(hostile: list[Program], secret: str) -> list[Program]:
    """The corpus with honest programs in between: right, wrong, and one that looks for traces."""
    sentinel = (ROOT / "sentinel.txt").read_text(encoding="utf-8")
    mixed: list[Program] = []
    for number, program in enumerate(hostile):
        mixed.append(program)
        kind = KINDS[program.kind]
        if number % 3 == 0 or kind.suite != "main":
            text = _solution(program.kind, secret)
            mixed.append(Program(f"right-{number}", program.kind, ("pass",), text, False))
        if number % 3 == 1 or kind.suite != "main":
            text = _solution(program.kind, secret, f" + {kind.slip}")
            mixed.append(Program(f"wrong-{number}", program.kind, ("fail",), text, False))
        if number % 3 == 2:
            mixed.append(Program(f"sentinel-{number}", "open", ("pass",), sentinel, False))
    return mixed


def problem(name: str, secret: str) -> dict[str, Any]:
    """The problem of a kind, in the format of its suite's problem file."""
    kind = KINDS[name]
    function, arguments = _HEADS.get(kind.suite, ("solve", "numbers"))
    row: dict[str, Any] = {
        "suite": kind.suite,
        # Not below 1000: EvalPlus makes tuples of inputs of some of MBPP's numbers.
        "task_id": f"h/{1000 + [*KINDS].index(name)}",
        "prompt": f'def {function}({arguments}):\n    """Nobody is told."""\n',
        "entry_point": function,
        "canonical_solution": f"    return {kind.right}\n".replace("SECRET", secret),
    }
    expected = [(numbers, sum(numbers) + int(secret)) for numbers in _TESTED]
    if kind.suite == "check":
        lines = [f"    assert candidate({given}) == {answer}\n" for given, answer in expected]
        return row | {"test": "def check(candidate):\n" + "".join(lines)}
    if kind.suite == "pytest":
        calls = [kind.call.format(numbers=given, expected=answer) for given, answer in expected]
        tests = [f"def test_{n}():\n    assert {call}" for n, call in enumerate(calls)]
        solution, test = _solution(name, secret), "\n\n".join([kind.head, *tests, ""])
        return row | {"prompt": "", "canonical_solution": solution, "test": test}
    return row | {"base_input": _INPUTS[kind.suite], "plus_input": [[[7, 8]]], "atol": kind.atol}


def _solution(name: str, secret: str, slip: str = "") -> str:
    kind = KINDS[name]
    function, arguments = _HEADS.get(kind.suite, ("solve", "numbers"))
    right = kind.right.replace("SECRET", secret)
    return f"{kind.before}def {function}({arguments}):\n    return {right}{slip}\n"


CLOCKS = judging.Clocks(min_time_limit=0.3, memory_bytes=512 * 2**20)
#: Many programs wait for a clock, so that more work side by side than there are cores.
SIDE_BY_SIDE = 6
#: Suites whose problems bring inputs, with their oracles; the others' bring unit tests.
_ORACLES = {"main": "other", "mbpp": "mbpp", "humaneval": "humaneval"}


def make_test_cases(folder: Path, problems: list[dict[str, Any]]) -> None:
    """Write ``suites/SUITE/problems.jsonl`` and test cases, ``truth/SUITE/TASK.tests``."""
    for suite in sorted({problem["suite"] for problem in problems}):
        rows = [problem for problem in problems if problem["suite"] == suite]
        path = folder / "suites" / suite / "problems.jsonl"
        path.parent.mkdir(parents=True)
        path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
        (folder / "truth" / suite).mkdir(parents=True)
        if suite in _ORACLES:
            checked_problems(rows, path, plus=True)
    requests = [_reference_request(folder, row) for row in problems]
    with Workers(2) as workers:
        for number, recording in workers.answers(requests):
            assert recording is not None and recording.reason is None, (recording, requests[number])


def _reference_request(folder: Path, row: dict[str, Any]) -> Request:
    cases, memory = _cases(folder, row), CLOCKS.memory_bytes
    if row["suite"] in _ORACLES:
        return expect_request(row, _ORACLES[row["suite"]], row["suite"] == "main", cases, memory)
    return partial(
        record_reference,
        cases=cases,
        solution=row["prompt"] + row["canonical_solution"],
        tests=row["test"],
        names=[row["entry_point"]],
        form=row["suite"],
        prelude=row["prompt"],
        memory_bytes=memory,
    )


def main() -> None:
    """Judge a folder's ``completions/all.jsonl`` into ``scores/verdicts.json``, by name."""
    folder = Path(sys.argv[1])
    lines = (folder / "completions" / "all.jsonl").read_text(encoding="ascii").splitlines()
    programs = [json.loads(line) for line in lines]
    requests = []
    for row, text in ((one["problem"], one["text"]) for one in programs):
        recorded = row["suite"] not in _ORACLES
        code = f"{row['prompt']}\n{text}" if recorded else text
        oracle, atol = _ORACLES.get(row["suite"], "other"), row.get("atol", 1e-6)
        program = judging.Program(code, row["entry_point"], oracle, atol, recorded)
        cases = _cases(folder, row)
        requests.append(partial(judge, program=program, cases=cases, clocks=CLOCKS))
    with Workers(SIDE_BY_SIDE) as workers:
        verdicts = {
            programs[number]["name"]: "fail" if outcomes is None else outcomes["base"].verdict
            for number, outcomes in workers.judged(requests)
        }
    (folder / "scores").mkdir()
    (folder / "scores" / "verdicts.json").write_text(json.dumps(verdicts), encoding="utf-8")


def _cases(folder: Path, row: dict[str, Any]) -> Path:
    return folder / "truth" / row["suite"] / f"{row['task_id'].replace('/', '-')}.tests"


if __name__ == "__main__":
    main()
