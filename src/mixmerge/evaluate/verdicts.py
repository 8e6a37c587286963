"""Judges the completions of a code suite."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tqdm import tqdm

from mixmerge.config.evaluation import CodeScoring
from mixmerge.errors import UserError
from mixmerge.evaluate.extraction import solution
from mixmerge.evaluate.groundtruth import judge_request, read_ground_truth
from mixmerge.evaluate.settings import CodeJudging
from mixmerge.evaluate.suite import Completion, listed
from mixmerge.evaluate.workers import WorkerDied, Workers


@dataclass(frozen=True)
class Verdict:
    """One row of a code suite's scores."""

    id: str
    solution: str
    base: str
    plus: str | None


def judge_suite(
    completions: list[Completion],
    problems_path: Path,
    ground_truth: Path,
    judging: CodeJudging,
    code: CodeScoring,
) -> list[Verdict]:
    """Extract each completion's solution and judge it; rows come in the completions' order.

    Raises:
        UserError: the ground truth is not that of the suite's problems.
    """
    tasks = read_ground_truth(ground_truth, problems_path, judging.dataset, judging.plus)
    unknown = [row.id for row in completions if row.id not in tasks]
    if unknown:
        raise UserError(
            f"{problems_path}: the suite's items name problems it does not hold: {listed(unknown)}"
        )
    bar = tqdm(completions, desc="extract", unit="completion", mininterval=1)
    programs = [(row.id, solution(row.completion, tasks[row.id]["entry_point"])) for row in bar]
    verdicts = judge(programs, tasks, ground_truth, judging, code)
    return [Verdict(task, text, *verdicts[task, text]) for task, text in programs]


def judge(
    programs: list[tuple[str, str]],
    tasks: dict[str, dict[str, Any]],
    ground_truth: Path,
    judging: CodeJudging,
    code: CodeScoring,
) -> dict[tuple[str, str], tuple[str, str | None]]:
    """Judge each distinct ``(task, solution)`` once; returns its base and plus verdicts.

    What failed by the clock while it did not have a core for itself is judged again, alone.
    """
    nothing = ("fail", "fail" if judging.plus else None)
    verdicts = {pair: nothing for pair in programs if not pair[1].strip()}
    pairs = [pair for pair in dict.fromkeys(programs) if pair not in verdicts]
    # Large tests first: a long check that starts last would leave the other workers idle.
    pairs.sort(key=lambda pair: (-(ground_truth / tasks[pair[0]]["tests"]).stat().st_size, pair))
    requests = [
        judge_request(
            ground_truth,
            tasks[task],
            text,
            judging.dataset,
            code.min_time_limit,
            code.time_limit_factor,
        )
        for task, text in pairs
    ]
    starved: list[int] = []
    with (
        Workers(code.workers, code.memory_bytes) as workers,
        tqdm(total=len(pairs), desc="judge", unit="program", mininterval=1) as bar,
    ):
        for number, answer in workers.answers(requests):
            bar.update()
            verdicts[pairs[number]] = _verdict(answer, judging.plus)
            if not isinstance(answer, WorkerDied) and answer["starved"]:
                starved.append(number)
        for number in sorted(starved):
            for _, answer in workers.answers([requests[number]]):
                verdicts[pairs[number]] = _verdict(answer, judging.plus)
    return verdicts


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
