"""A code suite's ground truth: expected outputs of its canonical solutions; one file a problem.

Problems in EvalPlus's format bring inputs; the canonical solution's outputs become the expected
ones. Problems with unit tests bring a program: the calls that it makes of the canonical solution
are recorded, and judge in the same way (`judgebox.reference`).
"""

import sys
from collections import Counter
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from tqdm import tqdm

from judgebox import SetupError
from judgebox.evalplus import checked_problems, expect_request
from judgebox.judging import FAIL, PASS, TIMEOUT, Clocks, Outcome, Program, judge
from judgebox.reference import TOLERANCE, Recording, record_reference
from judgebox.runtime import PackageError
from judgebox.workers import Workers
from mixmerge.artifacts.manifest import publish, read_manifest
from mixmerge.core.errors import UserError
from mixmerge.core.io import read_jsonl, sha256, write_json, write_jsonl
from mixmerge.evaluate.settings import CodeJudging, CodeScoring, GroundTruthSettings

#: A problem, or what is kept of it in the index.
Row = dict[str, Any]

#: A ground truth's files: one row a problem; problems whose unit tests can't be recorded, with the
#: reason; how many there are of each.
INDEX, DROPPED, REPORT = "tasks.jsonl", "dropped.jsonl", "report.json"
#: Absolute tolerance of HumanEval/32, whose check asks that a polynomial be near zero.
_ZERO_ATOL = 1e-4
#: Seconds of a canonical solution's check, above EvalPlus's limit for all tests of a problem: one
#: that fails does so by its outputs, not by a clock that a loaded machine makes run fast.
_NO_LIMIT = 1000.0
#: A progress bar around answers.
bar = partial(tqdm, unit="program", mininterval=1)


@contextmanager
def judges(code: CodeScoring) -> Iterator[Workers]:
    """Judgebox's workers; within, what judgebox refuses is the user's error."""
    try:
        with Workers(code.workers, code.packages) as workers:
            yield workers
    except SetupError as error:
        setting = "code_scoring.packages: " if isinstance(error, PackageError) else ""
        raise UserError(f"{setting}{error}") from error


def make_ground_truth(problems_path: Path, out: Path, settings: GroundTruthSettings) -> None:
    """Run the canonical solution of every problem and publish a directory of kind "groundtruth".

    Problems are in EvalPlus's format, or have ``task_id``, ``prompt``, ``entry_point``,
    ``canonical_solution``, ``test``, and ``names`` where unit tests use more than one. Tests are
    written as `judgebox.codec` has them.

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
        requests = [
            _request(problem, row, artifact.path / row["tests"], settings)
            for problem, row in zip(problems, rows, strict=True)
        ]
        failures: dict[int, str] = {}
        answers = workers.answers(requests)
        for number, recording in bar(answers, "reference solutions", len(requests)):
            if recording is None:
                recording = Recording("reference_fails" if recorded else "gave no answer")
            reason: str | None = recording.reason
            if reason is None:
                rows[number]["seconds"] = recording.seconds
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
            truth = GroundTruth(artifact.path, settings, {row["id"]: row for row in rows})
            clocks = Clocks(_NO_LIMIT, 1, settings.code.memory_bytes)
            _check_canonical(problems, truth, clocks, problems_path, workers)
        write_jsonl(artifact.path / INDEX, rows)
        artifact.facts |= {"n": len(rows), **_origin(problems_path, settings)}


def _origin(problems: Path, judging: CodeJudging) -> Row:
    """The facts that tell for which suite a ground truth was made."""
    return {"problems": sha256(problems), "dataset": judging.dataset, "plus": judging.plus}


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


def _request(
    problem: Row, row: Row, file: Path, settings: GroundTruthSettings
) -> "partial[Recording]":
    """The request that makes a worker run a problem's canonical solution and write its tests."""
    memory_bytes = settings.code.memory_bytes
    if settings.tests == "inputs":
        return expect_request(problem, settings.dataset, settings.plus, file, memory_bytes)
    return partial(
        record_reference,
        cases=file.resolve(),
        # HumanEval's prompts are programs: helpers, and the head of which a solution is the body.
        solution=row["prompt"] + problem["canonical_solution"],
        tests=problem["test"],
        names=problem.get("names") or [problem["entry_point"]],
        form=settings.tests,
        prelude=row["prompt"],
        oracle=settings.oracle,
        atol=row["atol"],
        memory_bytes=memory_bytes,
    )


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
        warn(f"{source}: {len(failures)} of {len(rows)} problems are not judged: {reasons}")
    dropped = [{"id": rows[n]["id"], "reason": failures[n]} for n in sorted(failures)]
    for number in failures:
        (target / rows[number]["tests"]).unlink(missing_ok=True)
    judged = [row for number, row in enumerate(rows) if number not in failures]
    write_jsonl(target / DROPPED, dropped)
    report = {"problems": len(rows), "judged": len(judged), "dropped": reasons}
    write_json(target / REPORT, report)
    return judged, reasons


def _check_canonical(
    problems: list[Row], truth: "GroundTruth", clocks: Clocks, source: Path, workers: Workers
) -> None:
    """Refuse a problem whose own solution fails; one that is merely slow is only told of."""
    programs = [(row["task_id"], row["prompt"] + row["canonical_solution"]) for row in problems]
    requests = [partial(truth.request(*program, clocks), alone=False) for program in programs]
    for number, outcomes in bar(workers.answers(requests), "checked", len(requests)):
        where = f"{source}: {problems[number]['task_id']}"
        ends = (outcomes or {"base": Outcome(FAIL)}).items()
        name, verdict = next((end for end in ends if end[1].verdict != PASS), ("", Outcome(PASS)))
        if verdict.verdict == TIMEOUT:
            warn(
                f"{where}: the canonical solution is still busy with its {name} tests after a "
                "minute, when EvalPlus gives up: hardly any solution will pass"
            )
        elif name:
            raise UserError(
                f"{where}: the canonical solution does not pass its own {name} tests when run "
                "again: its outputs vary from run to run, or it leaves the limits of a check "
                "(code.memory_bytes among them); mend the problem or drop it"
            )


def warn(message: str) -> None:
    """Tell the user on a line of its own between progress bars."""
    tqdm.write(f"warning: {message}", file=sys.stderr)


@dataclass(frozen=True)
class GroundTruth:
    """What a code suite's programs are judged by: task id -> row of the index."""

    directory: Path
    judging: CodeJudging
    tasks: dict[str, Row]
    #: Ids of the problems whose unit tests can't be recorded.
    dropped: Collection[str] = ()

    def request(self, task: str, solution: str, clocks: Clocks) -> "partial[dict[str, Outcome]]":
        """The request that makes a worker judge one solution of one problem."""
        row, recorded = self.tasks[task], self.judging.tests != "inputs"
        # HumanEval's prompts import, and define helpers, that a solution may use.
        code = f"{row['prompt']}\n{solution}" if recorded else solution
        program = Program(code, row["entry_point"], self.judging.oracle, row["atol"], recorded)
        cases = (self.directory / row["tests"]).resolve()
        return partial(judge, program=program, cases=cases, clocks=clocks)


def read_ground_truth(directory: Path, problems_path: Path, judging: CodeJudging) -> GroundTruth:
    """Read a ground truth, which must be finished and made from these problems and settings."""
    facts = read_manifest(directory, "groundtruth")["facts"]
    for name, value in _origin(problems_path, judging).items():
        if facts.get(name) != value:
            raise UserError(
                f"{directory}: was made from another {name} ({facts.get(name)!r}, not {value!r}); "
                "run the rule ground_truth again"
            )
    tasks = {row["id"]: row for row in read_jsonl(directory / INDEX)}
    dropped = directory / DROPPED
    ids = {row["id"] for row in read_jsonl(dropped)} if dropped.exists() else set()
    return GroundTruth(directory, judging, tasks, ids)
