"""A code suite's ground truth: expected outputs of its canonical solutions; one file a problem.

Problems in EvalPlus's format bring inputs; the canonical solution's outputs become the expected
ones. Problems with unit tests bring a program: the calls that it makes of the canonical solution
are recorded, and judge in the same way (`judgebox.reference`).
"""

import sys
import tempfile
from collections import Counter
from pathlib import Path
from typing import Any

from tqdm import tqdm

from judgebox.evalplus import checked_problems, expect_request, reference_program
from judgebox.judging import Program
from judgebox.reference import TOLERANCE
from judgebox.verdict import Clocks
from judgebox.workers import WorkerDied, Workers, judge_request
from mixmerge.artifacts.manifest import read_manifest, write_manifest, write_provenance
from mixmerge.core.errors import UserError
from mixmerge.core.io import atomic_dir, read_jsonl, sha256, write_json, write_jsonl
from mixmerge.evaluate.judges import judges
from mixmerge.evaluate.settings import CodeJudging, GroundTruthSettings

#: Index of a ground truth's directory: one row a problem.
INDEX = "tasks.jsonl"
#: Problems whose tests can't be recorded, with the reason, and how many there are of each.
DROPPED, REPORT = "dropped.jsonl", "report.json"
#: Absolute tolerance of HumanEval/32, whose check asks that a polynomial be near zero.
_ZERO_ATOL = 1e-4

# Above EvalPlus's limit for all tests of a problem, so that a failing check fails by its outputs
# and not by a clock that a loaded machine makes run fast.
_NO_LIMIT = 1000.0


def make_ground_truth(problems_path: Path, out: Path, settings: GroundTruthSettings) -> None:
    """Compute and check the expected outputs of every problem, and publish them into ``out``.

    What EvalPlus caches under the home directory as one pickle of all problems becomes one file of
    data a problem here (`judgebox.testcases`).

    Args:
        problems_path: the suite's ``problems.jsonl``.
        out: directory of kind "groundtruth": ``tasks.jsonl`` and ``tests/*.tests``.
        settings: the suite's data set and how tests are run.

    Raises:
        UserError: a canonical solution that raises, has outputs that cannot be stored, or does
            not pass the tests made from it.
    """
    names = ["base", "plus"] if settings.plus else ["base"]
    with (
        atomic_dir(out) as target,
        tempfile.TemporaryDirectory(prefix="mixmerge-truth-") as drafts,
        judges(settings.code) as workers,
    ):
        problems = checked_problems(read_jsonl(problems_path), problems_path, settings.plus)
        (target / "tests").mkdir()
        rows = [
            {
                "id": task,
                "tests": f"tests/{number:05d}.tests",
                "entry_point": problem["entry_point"],
                "atol": problem["atol"],
                "prompt": problem["prompt"],
            }
            for number, (task, problem) in enumerate(problems.items())
        ]
        requests = [
            expect_request(
                problem,
                settings.dataset,
                settings.plus,
                Path(drafts, f"{number}.tests"),
                target / rows[number]["tests"],
            )
            for number, problem in enumerate(problems.values())
        ]
        for number, answer in _with_bar(workers, requests, "expected outputs"):
            error = "gave no answer" if isinstance(answer, WorkerDied) else answer["error"]
            if error:
                raise UserError(
                    f"{problems_path}: {rows[number]['id']}: the canonical solution failed on its "
                    f"own inputs ({error}); mend the problem or drop it from the file"
                )
            rows[number]["seconds"] = answer["seconds"]
        clocks = Clocks(_NO_LIMIT, 1, settings.code.memory_bytes)
        checks = [
            judge_request(
                target / row["tests"], reference_program(problem, settings.dataset), clocks
            )
            for row, problem in zip(rows, problems.values(), strict=True)
        ]
        for number, answer in _with_bar(workers, checks, "checked"):
            verdicts = {} if isinstance(answer, WorkerDied) else answer["verdicts"]
            _check_canonical(f"{problems_path}: {rows[number]['id']}", verdicts, names)
        _publish(target, rows, problems_path, settings, ["evalplus", "msgpack", "numpy"], {})


def make_recorded_truth(problems_path: Path, out: Path, settings: GroundTruthSettings) -> None:
    """Record the calls of every problem's tests, and publish them into ``out``.

    Args:
        problems_path: the suite's ``problems.jsonl``: ``task_id``, ``prompt``, ``entry_point``,
            ``canonical_solution``, ``test``, and ``names`` where tests use more than one.
        out: directory of kind "groundtruth": besides what `make_ground_truth` writes,
            ``dropped.jsonl`` (``{"id", "reason"}``) and ``report.json``.
        settings: the form of the tests, and how they are run.

    Raises:
        UserError: no problem is left.
    """
    problems = list(read_jsonl(problems_path))
    rows: list[dict[str, Any]] = []
    dropped: list[dict[str, str]] = []
    with atomic_dir(out) as target, judges(settings.code) as workers:
        (target / "tests").mkdir()
        drafts = [
            _recorded_row(number, problem, settings) for number, problem in enumerate(problems)
        ]
        requests = [
            {
                "do": "record",
                "cases": str((target / row["tests"]).resolve()),
                # HumanEval's solutions are bodies.
                "solution": row["prompt"] + problem["canonical_solution"],
                "tests": problem["test"],
                "names": problem.get("names") or [problem["entry_point"]],
                "form": settings.tests,
                "prelude": row["prompt"],
                "oracle": _oracle(settings),
                "atol": row["atol"],
            }
            for row, problem in zip(drafts, problems, strict=True)
        ]
        answers = dict(_with_bar(workers, requests, "recorded tests"))
        for number, row in enumerate(drafts):
            answer = answers[number]
            reason = "reference_fails" if isinstance(answer, WorkerDied) else answer["reason"]
            if reason is None:
                rows.append(row | {"seconds": answer["seconds"]})
            else:
                dropped.append({"id": row["id"], "reason": reason})
                (target / row["tests"]).unlink(missing_ok=True)
        reasons = dict(sorted(Counter(row["reason"] for row in dropped).items()))
        if not rows:
            raise UserError(
                f"{problems_path}: none of {len(problems)} problems can be judged ({reasons}); "
                "check the columns that hold tests and solution"
            )
        if dropped:
            tqdm.write(
                f"warning: {problems_path}: {len(dropped)} of {len(problems)} problems are not "
                f"judged: {reasons}",
                file=sys.stderr,
            )
        write_jsonl(target / DROPPED, dropped)
        report = {"problems": len(problems), "judged": len(rows), "dropped": reasons}
        write_json(target / REPORT, report)
        facts = {"tests": settings.tests, "dropped": reasons}
        _publish(target, rows, problems_path, settings, ["msgpack", "numpy", "pytest"], facts)


def _recorded_row(
    number: int, problem: dict[str, Any], settings: GroundTruthSettings
) -> dict[str, Any]:
    check = settings.tests == "check"
    zero = check and problem["entry_point"] == "find_zero"
    return {
        "id": problem["task_id"],
        "tests": f"tests/{number:05d}.tests",
        "entry_point": problem["entry_point"],
        "atol": _ZERO_ATOL if zero else TOLERANCE,
        # A program of its own: helpers, and the head of which a completion may be the body.
        "prompt": problem["prompt"] if check else "",
    }


def _publish(
    target: Path,
    rows: list[dict[str, Any]],
    problems_path: Path,
    settings: GroundTruthSettings,
    packages: list[str],
    facts: dict[str, Any],
) -> None:
    """Write a ground truth's index, provenance and manifest."""
    write_jsonl(target / INDEX, rows)
    write_provenance(
        target,
        inputs=[problems_path],
        settings=settings.model_dump(mode="json"),
        seed=None,
        packages=packages,
    )
    common = {
        "n": len(rows),
        "dataset": settings.dataset,
        "plus": settings.plus,
        "problems": sha256(problems_path),
    }
    write_manifest(target, "groundtruth", common | facts)


def read_ground_truth(
    directory: Path, problems_path: Path, dataset: str, plus: bool
) -> dict[str, dict[str, Any]]:
    """Read a ground truth's index: task id -> row.

    Raises:
        UserError: it is unfinished, was made from other problems or settings, or of pickles.
    """
    facts = read_manifest(directory, "groundtruth")["facts"]
    expected = {"problems": sha256(problems_path), "dataset": dataset, "plus": plus}
    for name, value in expected.items():
        if facts.get(name) != value:
            raise UserError(
                f"{directory}: was made from another {name} ({facts.get(name)!r}, not {value!r}); "
                "run the rule ground_truth again"
            )
    rows = {row["id"]: row for row in read_jsonl(directory / INDEX)}
    if any(not row["tests"].endswith(".tests") for row in rows.values()):
        raise UserError(
            f"{directory}: an earlier version made it, of pickles, or of test programs, which are "
            "not read any more; remove it and run the rule ground_truth again"
        )
    return rows


def dropped_problems(directory: Path) -> set[str]:
    """Ids of the problems whose tests can't be recorded."""
    path = directory / DROPPED
    return {row["id"] for row in read_jsonl(path)} if path.exists() else set()


def _oracle(judging: CodeJudging) -> str:
    """Whose special oracles judge a suite's outputs."""
    return "humaneval" if judging.tests == "check" else judging.dataset


def _check_canonical(where: str, verdicts: dict[str, str], names: list[str]) -> None:
    """Refuse a problem whose own solution fails; one that is merely slow is only told of."""
    for name in names:
        if verdicts.get(name) == "timeout":
            tqdm.write(
                f"warning: {where}: the canonical solution is still busy with its {name} tests "
                "after a minute, when EvalPlus gives up: hardly any solution will pass",
                file=sys.stderr,
            )
            return
        if verdicts.get(name) != "pass":
            raise UserError(
                f"{where}: the canonical solution does not pass its own {name} tests when run "
                "again: its outputs vary from run to run, or it leaves the limits of a check "
                "(code.memory_bytes among them); mend the problem or drop it"
            )


def solution_request(
    directory: Path, row: dict[str, Any], solution: str, judging: CodeJudging, clocks: Clocks
) -> dict[str, Any]:
    """The request that makes a worker judge one solution of one problem.

    Args:
        directory: the ground truth's.
        row: the problem's in its index.
        solution: what is judged.
        judging: the suite's.
        clocks: what a program may use.
    """
    recorded = judging.tests != "inputs"
    # HumanEval's prompts import, and define helpers, that a solution may use.
    code = f"{row['prompt']}\n{solution}" if recorded else solution
    program = Program(code, row["entry_point"], _oracle(judging), row["atol"], recorded)
    return judge_request(directory / row["tests"], program, clocks)


def _with_bar(workers: Workers, requests: list[dict[str, Any]], what: str) -> Any:
    bar = tqdm(total=len(requests), desc=what, unit="problem", mininterval=1)
    with bar:
        for answer in workers.answers(requests):
            bar.update()
            yield answer
