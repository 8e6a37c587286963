"""Ground truth of suites with unit tests: which problems' tests can judge, and how long they take.

A problem is kept if its reference solution passes its tests twice, and if a solution that only
raises does not. Others are dropped and reported: nobody's completion could be judged by them.
"""

import sys
from collections import Counter
from pathlib import Path
from typing import Any

from tqdm import tqdm

from mixmerge.config.evaluation import CodeScoring
from mixmerge.errors import UserError
from mixmerge.evaluate.groundtruth import INDEX
from mixmerge.evaluate.problems import coarse_seconds
from mixmerge.evaluate.settings import GroundTruthSettings
from mixmerge.evaluate.workers import WorkerDied, Workers
from mixmerge.files import atomic_dir, read_jsonl, sha256, write_json, write_jsonl
from mixmerge.manifest import write_manifest, write_provenance

#: Problems that are not judged, with the reason.
DROPPED = "dropped.jsonl"
REPORT = "report.json"

# Processor time of a reference solution; who needs more makes no test for hundreds of checkpoints.
_REFERENCE_SECONDS = 30.0

# Every name is there and raises what no `except Exception` and no `pytest.raises` expects.
_ABSENT = """
class _Absent(BaseException):
    pass


def _absent(*arguments, **named):
    raise _Absent


{names} = _absent
"""


def make_unit_truth(problems_path: Path, out: Path, settings: GroundTruthSettings) -> None:
    """Run the reference solutions and publish what judges into ``out``.

    Args:
        problems_path: the suite's ``problems.jsonl``: ``task_id``, ``prompt``, ``entry_point``,
            ``canonical_solution``, ``test``, and ``names`` where tests use more than one.
        out: directory of kind "groundtruth": ``tasks.jsonl``, ``tests/*.json``, ``dropped.jsonl``
            (``{"id", "reason"}``) and ``report.json``.
        settings: the form of the tests, and how they are run.

    Raises:
        UserError: no problem is left.
    """
    problems = list(read_jsonl(problems_path))
    with (
        atomic_dir(out) as target,
        Workers(settings.code.workers, settings.code.memory_bytes) as workers,
    ):
        (target / "tests").mkdir()
        files = [f"tests/{number:05d}.json" for number in range(len(problems))]
        for name, problem in zip(files, problems, strict=True):
            write_json(target / name, _program(problem, settings.tests))
        answers = _answers(workers, target, files, problems)
        rows, dropped = _sorted_out(target, files, problems, answers, settings.tests)
        reasons = dict(sorted(Counter(row["reason"] for row in dropped).items()))
        if not rows:
            raise UserError(
                f"{problems_path}: none of {len(problems)} problems can be judged ({reasons}); "
                "check the columns that hold tests and solution"
            )
        write_jsonl(target / INDEX, rows)
        write_jsonl(target / DROPPED, dropped)
        if dropped:
            tqdm.write(
                f"warning: {problems_path}: {len(dropped)} of {len(problems)} problems are not "
                f"judged: {reasons}",
                file=sys.stderr,
            )
        report = {"problems": len(problems), "judged": len(rows), "dropped": reasons}
        write_json(target / REPORT, report)
        write_provenance(
            target,
            inputs=[problems_path],
            settings=settings.model_dump(mode="json"),
            seed=None,
            packages=["evalplus", "pytest", "numpy"],
        )
        facts = {
            "n": len(rows),
            "dataset": settings.dataset,
            "plus": settings.plus,
            "problems": sha256(problems_path),
            "tests": settings.tests,
            "dropped": reasons,
        }
        write_manifest(target, "groundtruth", facts)


def _sorted_out(
    target: Path,
    files: list[str],
    problems: list[dict[str, Any]],
    answers: list[list[dict[str, Any] | WorkerDied]],
    form: str,
) -> tuple[list[dict[str, Any]], list[dict[str, str]]]:
    """The index of the problems that are kept, and the dropped ones, whose tests are removed."""
    rows: list[dict[str, Any]] = []
    dropped: list[dict[str, str]] = []
    for name, problem, found in zip(files, problems, answers, strict=True):
        reason, passed, seconds = _examined(found)
        if reason is not None:
            dropped.append({"id": problem["task_id"], "reason": reason})
            (target / name).unlink()
            continue
        write_json(target / name, _program(problem, form) | {"passed": passed})
        rows.append(
            {
                "id": problem["task_id"],
                "tests": name,
                "entry_point": problem["entry_point"],
                # A completion may be no more than the body below this head.
                "prompt": problem["prompt"] if form == "check" else "",
                "seconds": coarse_seconds(seconds) if seconds >= 0.5 else 0.0,
            }
        )
    return rows, dropped


def _program(problem: dict[str, Any], form: str) -> dict[str, Any]:
    check = form == "check"
    return {
        "form": form,
        # A prompt is a program of its own: helpers that the tests use, and a function with nothing
        # but its docstring, which the solution then defines anew.
        "prelude": problem["prompt"] if check else "",
        "test": problem["test"],
        "call": f"check({problem['entry_point']})" if check else "",
        "passed": 1,
    }


def _answers(
    workers: Workers, target: Path, files: list[str], problems: list[dict[str, Any]]
) -> list[list[dict[str, Any] | WorkerDied]]:
    """Answers for each problem: twice the reference solution's, and the one that only raises."""
    requests = []
    for name, problem in zip(files, problems, strict=True):
        reference = problem["canonical_solution"]
        if "names" not in problem:
            reference = problem["prompt"] + reference  # HumanEval's solutions are bodies
        names = problem.get("names") or [problem["entry_point"]]
        for code in (reference, reference, _ABSENT.format(names=" = ".join(names))):
            requests.append(_request(target / name, code, _REFERENCE_SECONDS))
    answers: list[dict[str, Any] | WorkerDied] = [WorkerDied()] * len(requests)
    with tqdm(total=len(requests), desc="reference solutions", unit="run", mininterval=1) as bar:
        for number, answer in workers.answers(requests):
            answers[number] = answer
            bar.update()
    return [answers[start : start + 3] for start in range(0, len(answers), 3)]


def _examined(
    answers: list[dict[str, Any] | WorkerDied],
) -> tuple[str | None, int, float]:
    """Why a problem is dropped (None if it is not), tests passed, and the reference's seconds."""
    found = [{} if isinstance(answer, WorkerDied) else answer for answer in answers]
    verdicts = [answer.get("verdicts", {}).get("base", "fail") for answer in found]
    first, second, absent = verdicts
    if first != second:
        return "reference_varies", 0, 0.0
    if first != "pass":
        return {"timeout": "reference_slow"}.get(first, "reference_fails"), 0, 0.0
    if absent == "pass":
        return "tests_nothing", 0, 0.0
    return (
        None,
        min(answer["passed"] for answer in found[:2]),
        max(answer["seconds"] for answer in found[:2]),
    )


def _request(tests: Path, code: str, seconds: float) -> dict[str, Any]:
    return {"do": "unittests", "tests": str(tests.resolve()), "code": code, "seconds": seconds}


def request(
    directory: Path, row: dict[str, Any], solution: str, code: CodeScoring
) -> dict[str, Any]:
    """The request that makes a worker run the unit tests of one problem on one solution.

    Args:
        directory: the ground truth's.
        row: the problem's in its index.
        solution: the program that is judged.
        code: limits; a solution may take a multiple of the reference's processor time.
    """
    seconds = max(code.min_time_limit, code.time_limit_factor * row["seconds"])
    return _request(directory / row["tests"], solution, seconds)


def dropped_problems(directory: Path) -> set[str]:
    """Ids of the problems that a ground truth with unit tests dropped."""
    return {row["id"] for row in read_jsonl(directory / DROPPED)}
