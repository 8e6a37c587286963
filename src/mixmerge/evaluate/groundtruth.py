"""A code suite's ground truth: expected outputs of its canonical solutions; one file a problem.

Problems in EvalPlus's format bring inputs, others a program of unit tests, whose calls of the
canonical solution are recorded, and judge in the same way (`judgebox.reference`).
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
from mixmerge.evaluate.settings import CodeJudging, CodeRunning, GroundTruthSettings

Row = dict[str, Any]  # a problem, or what is kept of it in the index
_INDEX, _DROPPED = "tasks.jsonl", "dropped.jsonl"
#: Absolute tolerance of HumanEval/32, whose check asks that a polynomial be near zero.
_ZERO_ATOL = 1e-4
#: Seconds of a canonical solution's check: one that fails does so by its outputs, not by a clock.
_NO_LIMIT = 1000.0
bar = partial(tqdm, unit="program", mininterval=1)


@contextmanager
def judges(code: CodeRunning) -> Iterator[Workers]:
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
    ``canonical_solution``, ``test``, and ``names`` where unit tests use more than one. `UserError`:
    a canonical solution that raises, has outputs that cannot be stored, or does not pass the tests
    made from it; no problem whose unit tests can be recorded.
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
        prepared = [_prepared(*entry, artifact.path, settings) for entry in enumerate(problems)]
        rows, requests = [row for row, _ in prepared], [request for _, request in prepared]
        failures: dict[int, str] = {}
        answers = workers.answers(requests)
        for number, recording in bar(answers, "reference solutions", len(requests)):
            if recording is None:
                recording = Recording("reference_fails" if recorded else "gave no answer")
            rows[number]["seconds"] = recording.seconds
            if recording.reason is not None:
                failures[number] = recording.reason
                if not recorded:
                    raise UserError(
                        f"{problems_path}: {rows[number]['id']}: the canonical solution failed on "
                        f"its own inputs ({recording.reason}); mend the problem or drop it"
                    )
        judged = [row for number, row in enumerate(rows) if number not in failures]
        if recorded:
            reasons = dict(sorted(Counter(failures.values()).items()))
            counts = f"{len(failures)} of {len(rows)} problems are not judged: {reasons}"
            if not judged:
                raise UserError(f"{problems_path}: {counts}; check columns with tests and solution")
            if failures:
                warn(f"{problems_path}: {counts}")
            dropped = [{"id": rows[n]["id"], "reason": failures[n]} for n in sorted(failures)]
            for number in failures:
                (artifact.path / rows[number]["tests"]).unlink(missing_ok=True)
            write_jsonl(artifact.path / _DROPPED, dropped)
            report = {"problems": len(rows), "judged": len(judged), "dropped": reasons}
            write_json(artifact.path / "report.json", report)
            artifact.facts |= {"tests": settings.tests, "dropped": reasons}
        else:
            truth = GroundTruth(artifact.path, settings, {row["id"]: row for row in rows})
            _check_canonical(problems, truth, settings.code, problems_path, workers)
        write_jsonl(artifact.path / _INDEX, judged)
        artifact.facts |= {"n": len(judged), **_origin(problems_path, settings)}


def _origin(problems: Path, judging: CodeJudging) -> Row:
    """The facts that tell for which suite a ground truth was made."""
    return {"problems": sha256(problems), "dataset": judging.dataset, "plus": judging.plus}


def _prepared(
    number: int, problem: Row, directory: Path, settings: GroundTruthSettings
) -> "tuple[Row, partial[Recording]]":
    """A problem's row in the index, and the request that runs its solution and writes its tests."""
    tests, memory_bytes = settings.tests, settings.code.memory_bytes
    row = {
        "id": problem["task_id"],
        "tests": f"tests/{number:05d}.tests",
        "entry_point": problem["entry_point"],
        "atol": problem["atol"] if tests == "inputs" else TOLERANCE,
        # A file of pytest's imports a module that needs no head.
        "prompt": "" if tests == "pytest" else problem["prompt"],
    }
    if tests == "check" and problem["entry_point"] == "find_zero":
        row["atol"] = _ZERO_ATOL
    if problem.get("names"):
        row["names"] = problem["names"]
    file = directory / row["tests"]
    if tests == "inputs":
        return row, expect_request(problem, settings.dataset, settings.plus, file, memory_bytes)
    return row, partial(
        record_reference,
        cases=file.resolve(),
        # HumanEval's prompts are programs: helpers, and the head of which a solution is the body.
        solution=row["prompt"] + problem["canonical_solution"],
        tests=problem["test"],
        names=problem.get("names") or [problem["entry_point"]],
        form=tests,
        prelude=row["prompt"],
        oracle=settings.oracle,
        atol=row["atol"],
        memory_bytes=memory_bytes,
    )


def _check_canonical(
    problems: list[Row], truth: "GroundTruth", code: CodeRunning, source: Path, workers: Workers
) -> None:
    """Refuse a problem whose own solution fails; one that is merely slow is only told of."""
    clocks = Clocks(_NO_LIMIT, 1, code.memory_bytes)
    programs = [(row["task_id"], row["prompt"] + row["canonical_solution"]) for row in problems]
    requests = [partial(truth.request(*program, clocks), alone=False) for program in programs]
    for number, outcomes in bar(workers.answers(requests), "checked", len(requests)):
        where = f"{source}: {problems[number]['task_id']}: the canonical solution"
        for name, outcome in (outcomes or {"base": Outcome(FAIL)}).items():
            if outcome.verdict == TIMEOUT:
                busy = f"still busy with its {name} tests after a minute, when EvalPlus gives up"
                warn(f"{where} is {busy}: hardly any solution will pass")
                break
            if outcome.verdict != PASS:
                raise UserError(
                    f"{where} does not pass its own {name} tests when run again: its outputs vary, "
                    "or it leaves the limits (code.memory_bytes); mend the problem or drop it"
                )


def warn(message: str) -> None:
    """Tell the user on a line of its own between progress bars."""
    tqdm.write(f"warning: {message}", file=sys.stderr)


@dataclass(frozen=True)
class GroundTruth:
    """What a code suite's programs are judged by."""

    directory: Path
    judging: CodeJudging
    tasks: dict[str, Row]  # id -> row of the index
    dropped: Collection[str] = ()  # ids of the problems whose unit tests can't be recorded

    def request(self, task: str, solution: str, clocks: Clocks) -> "partial[dict[str, Outcome]]":
        """The request that makes a worker judge one solution of one problem."""
        row, recorded = self.tasks[task], self.judging.tests != "inputs"
        code = f"{row['prompt']}\n{solution}" if recorded else solution
        program = Program(code, row["entry_point"], self.judging.oracle, row["atol"], recorded)
        cases = (self.directory / row["tests"]).resolve()
        return partial(judge, program=program, cases=cases, clocks=clocks)


def read_ground_truth(directory: Path, problems_path: Path, judging: CodeJudging) -> GroundTruth:
    """Read a ground truth, which must be finished and made from these problems and settings."""
    facts = read_manifest(directory, "groundtruth")["facts"]
    for name, value in _origin(problems_path, judging).items():
        if facts.get(name) != value:
            difference = f"was made from another {name} ({facts.get(name)!r}, not {value!r})"
            raise UserError(f"{directory}: {difference}; run the rule ground_truth again")
    tasks = {row["id"]: row for row in read_jsonl(directory / _INDEX)}
    recorded = judging.tests != "inputs"
    dropped = {row["id"] for row in read_jsonl(directory / _DROPPED)} if recorded else set()
    return GroundTruth(directory, judging, tasks, dropped)
