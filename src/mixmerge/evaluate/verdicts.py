"""Judges the completions of a code suite."""

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tqdm import tqdm

from mixmerge.config.evaluation import CodeScoring
from mixmerge.errors import UserError
from mixmerge.evaluate.check import TIMEOUT
from mixmerge.evaluate.groundtruth import judge_request, read_ground_truth
from mixmerge.evaluate.programs import module_of
from mixmerge.evaluate.settings import CodeJudging
from mixmerge.evaluate.suite import Completion, listed
from mixmerge.evaluate.unittruth import dropped_problems, request
from mixmerge.evaluate.workers import WorkerDied, Workers


@dataclass(frozen=True)
class Verdict:
    """One row of a code suite's scores."""

    id: str
    solution: str
    base: str
    plus: str | None


@dataclass(frozen=True)
class Judged:
    """A code suite's scores."""

    rows: list[Verdict]
    """One a problem, in the completions' order."""

    not_extracted: list[str]
    """Ids of completions in which the search for a program was given up; they count as failed."""

    @property
    def timeouts(self) -> int:
        """Problems whose tests, base or plus, ended in a time-out."""
        return sum(TIMEOUT in (row.base, row.plus) for row in self.rows)


def judge_suite(
    completions: list[Completion],
    problems_path: Path,
    ground_truth: Path,
    judging: CodeJudging,
    code: CodeScoring,
) -> Judged:
    """Extract each completion's solution and judge it; rows come in the completions' order.

    Problems that the ground truth dropped have no row.

    Raises:
        UserError: the ground truth is not that of the suite's problems.
    """
    tasks = read_ground_truth(ground_truth, problems_path, judging.dataset, judging.plus)
    dropped = dropped_problems(ground_truth) if judging.tests != "inputs" else set()
    completions = [row for row in completions if row.id not in dropped]
    unknown = [row.id for row in completions if row.id not in tasks]
    if unknown:
        raise UserError(
            f"{problems_path}: the suite's items name problems it does not hold: {listed(unknown)}"
        )
    if judging.tests == "pytest":
        found: list[str | None] = [module_of(row.completion) for row in completions]
    else:
        found = _extracted(completions, tasks, code)
    programs = [(row.id, text or "") for row, text in zip(completions, found, strict=True)]
    verdicts = judge(programs, tasks, ground_truth, judging, code)
    not_extracted = [row.id for row, text in zip(completions, found, strict=True) if text is None]
    if not_extracted:
        tqdm.write(
            f"warning: {problems_path}: no program could be found in reasonable time in the "
            f"completions of {listed(not_extracted)}; they count as failed",
            file=sys.stderr,
        )
    rows = [Verdict(task, text, *verdicts[task, text]) for task, text in programs]
    return Judged(rows, not_extracted)


def judge(
    programs: list[tuple[str, str]],
    tasks: dict[str, dict[str, Any]],
    ground_truth: Path,
    judging: CodeJudging,
    code: CodeScoring,
) -> dict[tuple[str, str], tuple[str, str | None]]:
    """Judge each distinct ``(task, solution)`` once; returns its base and plus verdicts.

    What timed out, or what the machine's load may have failed, is judged again, alone.

    Raises:
        UserError: no sandbox can be had.
    """
    nothing = ("fail", "fail" if judging.plus else None)
    verdicts = {pair: nothing for pair in programs if not pair[1].strip()}
    pairs = [pair for pair in dict.fromkeys(programs) if pair not in verdicts]

    def order(pair: tuple[str, str]) -> tuple[float, int, tuple[str, str]]:
        # A long check that starts last would leave the other workers idle.
        row = tasks[pair[0]]
        return -row["seconds"], -(ground_truth / row["tests"]).stat().st_size, pair

    pairs.sort(key=order)
    requests = [
        judge_request(
            ground_truth,
            tasks[task],
            text,
            judging.dataset,
            code.min_time_limit,
            code.time_limit_factor,
        )
        if judging.tests == "inputs"
        else request(ground_truth, tasks[task], text, code)
        for task, text in pairs
    ]
    again: list[int] = []
    with (
        Workers(code) as workers,
        tqdm(total=len(pairs), desc="judge", unit="program", mininterval=1) as bar,
    ):
        for number, answer in workers.answers(requests):
            bar.update()
            verdicts[pairs[number]] = _verdict(answer, judging.plus)
            if not isinstance(answer, WorkerDied) and (
                answer["starved"] or TIMEOUT in answer["verdicts"].values()
            ):
                again.append(number)
        for number in sorted(again):
            alone = requests[number] | ({"alone": True} if judging.tests == "inputs" else {})
            for _, answer in workers.answers([alone]):
                verdicts[pairs[number]] = _verdict(answer, judging.plus)
    return verdicts


def _extracted(
    completions: list[Completion], tasks: dict[str, dict[str, Any]], code: CodeScoring
) -> list[str | None]:
    """The program in each completion; None where the search was given up.

    In workers of their own: parsers see what a model wrote, and no judge comes after them.
    """
    requests = [
        {
            "do": "extract",
            "completion": row.completion,
            "entry_point": tasks[row.id]["entry_point"],
            "prompt": tasks[row.id].get("prompt", ""),
        }
        for row in completions
    ]
    programs: list[str | None] = [None] * len(requests)
    with (
        Workers(code) as workers,
        tqdm(total=len(requests), desc="extract", unit="completion", mininterval=1) as bar,
    ):
        for number, answer in workers.answers(requests):
            bar.update()
            if not isinstance(answer, WorkerDied):
                programs[number] = answer["program"]
    return programs


def pass_at_1(rows: list[Verdict], plus: bool) -> dict[str, float]:
    """Share of problems solved: base, and base and plus together, as EvalPlus counts them."""
    shares = {"base": sum(row.base == "pass" for row in rows) / len(rows)}
    if plus:
        both = sum(row.base == "pass" and row.plus == "pass" for row in rows)
        shares["plus"] = both / len(rows)
    return shares


def _verdict(answer: dict[str, Any] | WorkerDied, plus: bool) -> tuple[str, str | None]:
    """Verdicts of an answer; a program that brings down its judge twice has failed."""
    if isinstance(answer, WorkerDied):
        return "fail", "fail" if plus else None
    return answer["verdicts"]["base"], answer["verdicts"].get("plus") if plus else None
