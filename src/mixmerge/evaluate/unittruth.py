"""Ground truth of suites with unit tests: which problems' tests can judge, and how long they take.

A problem is kept if its reference solution passes its tests twice, and if these fail solutions that
only raise, that answer with an empty list, and that agree to everything
(`mixmerge.evaluate.probes`). Others are dropped and reported: nobody's completion could be judged
by them. So are tests that run text as a program: the solution's would then run where its verdict is
found.

What the reference let its tests do with objects is kept as the problem's *interface*; see
`judgebox.harness.examiner`.
"""

import sys
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

from tqdm import tqdm

from mixmerge.artifacts.manifest import write_manifest, write_provenance
from mixmerge.core.errors import UserError
from mixmerge.core.io import atomic_dir, read_jsonl, sha256, write_json, write_jsonl
from mixmerge.evaluate.groundtruth import INDEX
from mixmerge.evaluate.probes import probes, runs_answers
from mixmerge.evaluate.problems import coarse_seconds
from mixmerge.evaluate.settings import GroundTruthSettings
from mixmerge.evaluate.suite_settings import CodeScoring
from mixmerge.evaluate.workers import WorkerDied, Workers

#: Problems that are not judged, with the reason.
DROPPED = "dropped.jsonl"
REPORT = "report.json"

# Processor time of a reference solution; who needs more makes no test for hundreds of checkpoints.
_REFERENCE_SECONDS = 30.0


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
        Workers(settings.code) as workers,
    ):
        (target / "tests").mkdir()
        files = [f"tests/{number:05d}.json" for number in range(len(problems))]
        for name, problem in zip(files, problems, strict=True):
            write_json(target / name, _program(problem, settings.tests))
        found = _reference_answers(workers, target, files, problems)
        kept = [number for number, one in enumerate(found) if one.reason is None]
        for number in kept:
            one = found[number]
            program = _program(problems[number], settings.tests)
            program |= {"passed": one.passed, "interface": one.interface}
            write_json(target / files[number], program)
        for number in _passed_by_probes(workers, target, files, problems, kept):
            found[number] = found[number]._replace(reason="tests_nothing")
        rows, dropped = _sorted_out(target, files, problems, found, settings.tests)
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
            packages=["pytest", "numpy"],
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


class _Found(NamedTuple):
    """What running a reference solution showed."""

    reason: str | None
    """Why the problem is dropped, None where it is not."""

    passed: int = 0
    interface: Sequence[str] = ()
    seconds: float = 0.0


def _sorted_out(
    target: Path,
    files: list[str],
    problems: list[dict[str, Any]],
    found: list[_Found],
    form: str,
) -> tuple[list[dict[str, Any]], list[dict[str, str]]]:
    """The index of the problems that are kept, and the dropped ones, whose tests are removed."""
    rows: list[dict[str, Any]] = []
    dropped: list[dict[str, str]] = []
    for name, problem, one in zip(files, problems, found, strict=True):
        if one.reason is not None:
            dropped.append({"id": problem["task_id"], "reason": one.reason})
            (target / name).unlink()
            continue
        rows.append(
            {
                "id": problem["task_id"],
                "tests": name,
                "entry_point": problem["entry_point"],
                # A completion may be no more than the body below this head.
                "prompt": problem["prompt"] if form == "check" else "",
                "seconds": coarse_seconds(one.seconds) if one.seconds >= 0.5 else 0.0,
            }
        )
    return rows, dropped


def _program(problem: dict[str, Any], form: str) -> dict[str, Any]:
    return {
        "form": form,
        # A prompt is a program of its own: helpers that the tests use, and a function with nothing
        # but its docstring, which the solution then defines anew.
        "prelude": problem["prompt"] if form == "check" else "",
        "test": problem["test"],
        "entry_point": problem["entry_point"],
        "passed": 1,
        "interface": None,
    }


def _reference_answers(
    workers: Workers, target: Path, files: list[str], problems: list[dict[str, Any]]
) -> list[_Found]:
    """What each problem's reference solution makes of its tests, run twice."""
    safe = [n for n, problem in enumerate(problems) if not runs_answers(problem["test"])]
    runs = []
    for number in safe:
        problem = problems[number]
        reference = problem["canonical_solution"]
        if "names" not in problem:
            reference = problem["prompt"] + reference  # HumanEval's solutions are bodies
        runs += [(target / files[number], reference)] * 2
    answers = _answers(workers, runs, "reference solutions")
    found = [_Found("runs_answers")] * len(problems)
    for number, first, second in zip(safe, answers[::2], answers[1::2], strict=True):
        found[number] = _examined(first, second)
    return found


def _passed_by_probes(
    workers: Workers,
    target: Path,
    files: list[str],
    problems: list[dict[str, Any]],
    kept: list[int],
) -> set[int]:
    """Numbers of the problems whose tests let a solution pass that must not."""
    runs = [(number, code) for number in kept for code in probes(problems[number])]
    answers = _answers(workers, [(target / files[n], code) for n, code in runs], "probes")
    pairs = zip(runs, answers, strict=True)
    return {number for (number, _), answer in pairs if _verdict(answer) == "pass"}


def _answers(
    workers: Workers, runs: list[tuple[Path, str]], what: str
) -> list[dict[str, Any] | WorkerDied]:
    requests = [_request(tests, code, _REFERENCE_SECONDS) for tests, code in runs]
    answers: list[dict[str, Any] | WorkerDied] = [WorkerDied()] * len(requests)
    with tqdm(total=len(requests), desc=what, unit="run", mininterval=1) as bar:
        for number, answer in workers.answers(requests):
            answers[number] = answer
            bar.update()
    return answers


def _verdict(answer: dict[str, Any] | WorkerDied) -> str:
    return "fail" if isinstance(answer, WorkerDied) else str(answer["verdicts"]["base"])


def _examined(first: dict[str, Any] | WorkerDied, second: dict[str, Any] | WorkerDied) -> _Found:
    """What two runs of a reference solution say of its problem."""
    verdict = _verdict(first)
    if verdict != _verdict(second):
        return _Found("reference_varies")
    if verdict != "pass" or isinstance(first, WorkerDied) or isinstance(second, WorkerDied):
        return _Found("reference_slow" if verdict == "timeout" else "reference_fails")
    return _Found(
        None,
        min(first["passed"], second["passed"]),
        sorted({*first["interface"], *second["interface"]}),
        max(first["seconds"], second["seconds"]),
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
