"""Judging of the hostile programs: test cases from references, then a command that a test watches.

The command, ``python hostile_judge.py FOLDER``, does with the folder's completions what a scorer
does: workers side by side, and what may have been starved is run again.
"""

import json
import sys
from functools import partial
from pathlib import Path
from typing import Any

from judgebox import Program, Workers, judge, record_reference
from judgebox.evalplus import checked_problems, expect_request
from judgebox.judging import Clocks
from judgebox.workers import Request

CLOCKS = Clocks(min_time_limit=0.3, memory_bytes=512 * 2**20)
#: Many programs wait for a clock, so that more work side by side than there are cores.
SIDE_BY_SIDE = 6
#: Suites whose problems bring inputs, with their oracles; the others' bring unit tests.
_ORACLES = {"main": "other", "mbpp": "mbpp", "humaneval": "humaneval"}


def make_test_cases(folder: Path, problems: list[dict[str, Any]]) -> None:
    """Write each problem to ``suites/SUITE/problems.jsonl`` below a folder, and the test cases that
    its canonical solution makes to ``truth/SUITE/TASK.tests``.
    """
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
    requests = [_judge_request(folder, one["problem"], one["text"]) for one in programs]
    with Workers(SIDE_BY_SIDE) as workers:
        verdicts = {
            programs[number]["name"]: "fail" if outcomes is None else outcomes["base"].verdict
            for number, outcomes in workers.judged(requests)
        }
    (folder / "scores").mkdir()
    (folder / "scores" / "verdicts.json").write_text(json.dumps(verdicts), encoding="utf-8")


def _judge_request(folder: Path, row: dict[str, Any], text: str) -> Request:
    recorded = row["suite"] not in _ORACLES
    code = f"{row['prompt']}\n{text}" if recorded else text
    oracle, atol = _ORACLES.get(row["suite"], "other"), row.get("atol", 1e-6)
    program = Program(code, row["entry_point"], oracle, atol, recorded)
    return partial(judge, program=program, cases=_cases(folder, row), clocks=CLOCKS)


def _cases(folder: Path, row: dict[str, Any]) -> Path:
    return folder / "truth" / row["suite"] / f"{row['task_id'].replace('/', '-')}.tests"


if __name__ == "__main__":
    main()
