"""A code suite's ground truth: expected outputs of its canonical solutions; one file a problem.

Problems in EvalPlus's format bring inputs; the canonical solution's outputs become the expected
ones. Problems with unit tests bring a program: the calls that it makes of the canonical solution
are recorded, and judge in the same way (`judgebox.reference`).
"""

import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tqdm import tqdm

from judgebox.evalplus import checked_problems, expect_request, reference_program
from judgebox.judging import FAIL, PASS, Program
from judgebox.reference import TOLERANCE
from judgebox.runtime import PackageError, SetupError
from judgebox.verdict import TIMEOUT, Clocks
from judgebox.workers import WorkerDied, Workers, judge_request
from mixmerge.artifacts.manifest import publish, read_manifest
from mixmerge.core.errors import UserError
from mixmerge.core.io import read_jsonl, sha256, write_json, write_jsonl
from mixmerge.evaluate.settings import CodeJudging, CodeScoring, GroundTruthSettings

#: A problem, or what is kept of it in the index.
Row = dict[str, Any]

#: Index of a ground truth's directory: one row a problem.
INDEX = "tasks.jsonl"
#: Problems whose tests can't be recorded, with the reason, and how many there are of each.
DROPPED, REPORT = "dropped.jsonl", "report.json"
#: Absolute tolerance of HumanEval/32, whose check asks that a polynomial be near zero.
_ZERO_ATOL = 1e-4
#: Seconds of a canonical solution's check, above EvalPlus's limit for all tests of a problem: one
#: that fails does so by its outputs, not by a clock that a loaded machine makes run fast.
_NO_LIMIT = 1000.0


@contextmanager
def judges(code: CodeScoring, module: str = "judgebox.workers") -> Iterator[Workers]:
    """Judgebox's workers, which run a module; within, what judgebox refuses is the user's error."""
    try:
        with Workers(code.workers, code.memory_bytes, code.packages, module=module) as workers:
            yield workers
    except PackageError as error:
        raise UserError(f"code_scoring.packages: {error}") from error
    except SetupError as error:
        raise UserError(str(error)) from error


def answered(workers: Workers, requests: list[Row], title: str) -> Iterator[tuple[int, Any]]:
    """Numbers of requests and their answers, in the order in which they finish, with a bar."""
    bar = tqdm(workers.answers(requests), title, len(requests), unit="program", mininterval=1)
    yield from bar


def make_ground_truth(problems_path: Path, out: Path, settings: GroundTruthSettings) -> None:
    """Run the canonical solution of every problem and publish a directory of kind "groundtruth".

    It holds ``tasks.jsonl`` and ``tests/*.tests`` (`judgebox.testcases`), and, where unit tests are
    recorded, ``dropped.jsonl`` (``{"id", "reason"}``) and ``report.json``.

    Args:
        problems_path: the suite's ``problems.jsonl``, in EvalPlus's format; where unit tests judge:
            ``task_id``, ``prompt``, ``entry_point``, ``canonical_solution``, ``test``, and
            ``names`` where tests use more than one.
        out: the directory.
        settings: the suite's data set or the form of its tests, and how they are run.

    Raises:
        UserError: a canonical solution that raises, has outputs that cannot be stored, or does
            not pass the tests made from it; no problem whose unit tests can be recorded.
    """
    recorded = settings.tests != "inputs"
    with (
        judges(settings.code) as workers,
        publish(
            out,
            "groundtruth",
            inputs=[problems_path],
            settings=settings.model_dump(mode="json"),
            packages=["msgpack", "numpy", "pytest" if recorded else "evalplus"],
        ) as artifact,
    ):
        (artifact.path / "tests").mkdir()
        problems = list(read_jsonl(problems_path))
        if not recorded:
            problems = [*checked_problems(problems, problems_path, settings.plus).values()]
        rows = [_row(number, problem, settings) for number, problem in enumerate(problems)]
        files = [artifact.path / row["tests"] for row in rows]
        requests = [
            _record_request(problem, row, file, settings)
            if recorded
            else expect_request(problem, settings.dataset, settings.plus, file)
            for problem, row, file in zip(problems, rows, files, strict=True)
        ]
        failures: dict[int, str] = {}
        for number, answer in answered(workers, requests, "reference solutions"):
            reason: str | None
            if isinstance(answer, WorkerDied):
                reason = "reference_fails" if recorded else "gave no answer"
            else:
                reason = answer["reason" if recorded else "error"]
            if reason is None:
                rows[number]["seconds"] = answer["seconds"]
            elif recorded:
                failures[number] = reason
            else:
                raise UserError(
                    f"{problems_path}: {rows[number]['id']}: the canonical solution failed on its "
                    f"own inputs ({reason}); mend the problem or drop it from the file"
                )
        if recorded:
            rows, reasons = _without_failures(rows, failures, artifact.path, problems_path)
            artifact.facts |= {"tests": settings.tests, "dropped": reasons}
        else:
            _check_canonical(problems, files, problems_path, settings, workers)
        write_jsonl(artifact.path / INDEX, rows)
        artifact.facts |= {
            "n": len(rows),
            "dataset": settings.dataset,
            "plus": settings.plus,
            "problems": sha256(problems_path),
        }


def _row(number: int, problem: Row, settings: GroundTruthSettings) -> Row:
    """A problem's row in the index, which its reference's seconds join."""
    atol = problem["atol"] if settings.tests == "inputs" else TOLERANCE
    if settings.tests == "check" and problem["entry_point"] == "find_zero":
        atol = _ZERO_ATOL
    return {
        "id": problem["task_id"],
        "tests": f"tests/{number:05d}.tests",
        "entry_point": problem["entry_point"],
        "atol": atol,
        # A file of pytest's imports a module that needs no head.
        "prompt": "" if settings.tests == "pytest" else problem["prompt"],
    }


def _record_request(problem: Row, row: Row, file: Path, settings: GroundTruthSettings) -> Row:
    return {
        "do": "record",
        "cases": str(file.resolve()),
        # HumanEval's prompts are programs: helpers, and the head of which a solution is the body.
        "solution": row["prompt"] + problem["canonical_solution"],
        "tests": problem["test"],
        "names": problem.get("names") or [problem["entry_point"]],
        "form": settings.tests,
        "prelude": row["prompt"],
        "oracle": _oracle(settings),
        "atol": row["atol"],
    }


def _without_failures(
    rows: list[Row], failures: dict[int, str], target: Path, source: Path
) -> tuple[list[Row], dict[str, int]]:
    """The rows whose tests were recorded; the others are written down, and counted by reason."""
    reasons = dict(sorted(Counter(failures.values()).items()))
    if len(failures) == len(rows):
        raise UserError(
            f"{source}: none of {len(rows)} problems can be judged ({reasons}); "
            "check the columns that hold tests and solution"
        )
    if failures:
        _warn(f"{source}: {len(failures)} of {len(rows)} problems are not judged: {reasons}")
    dropped = [{"id": rows[n]["id"], "reason": failures[n]} for n in sorted(failures)]
    write_jsonl(target / DROPPED, dropped)
    for number in failures:
        (target / rows[number]["tests"]).unlink(missing_ok=True)
    rows = [row for number, row in enumerate(rows) if number not in failures]
    report = {"problems": len(rows) + len(dropped), "judged": len(rows), "dropped": reasons}
    write_json(target / REPORT, report)
    return rows, reasons


def _check_canonical(
    problems: list[Row],
    files: list[Path],
    source: Path,
    settings: GroundTruthSettings,
    workers: Workers,
) -> None:
    """Refuse a problem whose own solution fails; one that is merely slow is only told of."""
    clocks = Clocks(_NO_LIMIT, 1, settings.code.memory_bytes)
    requests = [
        judge_request(file, reference_program(problem, settings.dataset), clocks)
        for problem, file in zip(problems, files, strict=True)
    ]
    for number, answer in answered(workers, requests, "checked"):
        where = f"{source}: {problems[number]['task_id']}"
        verdicts = {"base": FAIL} if isinstance(answer, WorkerDied) else answer["verdicts"]
        name = next((name for name, verdict in verdicts.items() if verdict != PASS), None)
        if name and verdicts[name] == TIMEOUT:
            _warn(
                f"{where}: the canonical solution is still busy with its {name} tests after a "
                "minute, when EvalPlus gives up: hardly any solution will pass"
            )
        elif name:
            raise UserError(
                f"{where}: the canonical solution does not pass its own {name} tests when run "
                "again: its outputs vary from run to run, or it leaves the limits of a check "
                "(code.memory_bytes among them); mend the problem or drop it"
            )


def _warn(message: str) -> None:
    tqdm.write(f"warning: {message}", file=sys.stderr)


@dataclass(frozen=True)
class GroundTruth:
    """What a code suite's programs are judged by, as `make_ground_truth` left it."""

    directory: Path
    judging: CodeJudging
    tasks: dict[str, Row]
    """Task id -> row of the index."""
    dropped: set[str]
    """Ids of the problems whose tests can't be recorded."""

    def request(self, task: str, solution: str, clocks: Clocks) -> Row:
        """The request that makes a worker judge one solution of one problem."""
        row, recorded = self.tasks[task], self.judging.tests != "inputs"
        # HumanEval's prompts import, and define helpers, that a solution may use.
        code = f"{row['prompt']}\n{solution}" if recorded else solution
        program = Program(code, row["entry_point"], _oracle(self.judging), row["atol"], recorded)
        return judge_request(self.directory / row["tests"], program, clocks)

    def cost(self, task: str) -> tuple[float, int]:
        """Seconds of a problem's reference and bytes of its tests, by which checks are sorted."""
        row = self.tasks[task]
        return row["seconds"], (self.directory / row["tests"]).stat().st_size


def read_ground_truth(directory: Path, problems_path: Path, judging: CodeJudging) -> GroundTruth:
    """Read a ground truth's index.

    Raises:
        UserError: it is unfinished, or was made from other problems or settings.
    """
    facts = read_manifest(directory, "groundtruth")["facts"]
    expected = {"problems": sha256(problems_path), "dataset": judging.dataset, "plus": judging.plus}
    for name, value in expected.items():
        if facts.get(name) != value:
            raise UserError(
                f"{directory}: was made from another {name} ({facts.get(name)!r}, not {value!r}); "
                "run the rule ground_truth again"
            )
    dropped = directory / DROPPED
    return GroundTruth(
        directory,
        judging,
        {row["id"]: row for row in read_jsonl(directory / INDEX)},
        {row["id"] for row in read_jsonl(dropped)} if dropped.exists() else set(),
    )


def _oracle(judging: CodeJudging) -> str:
    """Whose special oracles judge a suite's outputs."""
    return "humaneval" if judging.tests == "check" else judging.dataset
