"""Judges the completions of code suites, of all of them together: the longest check comes first."""

import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

from tqdm import tqdm

from judgebox.verdict import Clocks
from judgebox.workers import WorkerDied, needs_another_run
from mixmerge.core.errors import UserError
from mixmerge.evaluate.extraction import module_of
from mixmerge.evaluate.groundtruth import dropped_problems, read_ground_truth, solution_request
from mixmerge.evaluate.judges import judges
from mixmerge.evaluate.settings import CodeJudging, CodeScoring
from mixmerge.evaluate.suite import Completion, listed


@dataclass(frozen=True)
class Verdict:
    """One row of a code suite's scores."""

    id: str
    solution: str
    base: str
    plus: str | None
    timed_out: bool
    """Whether it failed because a test, or all of a set, took longer than it may."""


@dataclass(frozen=True)
class Judged:
    """A code suite's scores."""

    rows: list[Verdict]
    """One a problem, in the completions' order."""

    not_extracted: list[str]
    """Ids of completions in which the search for a program was given up; they count as failed."""

    @property
    def timeouts(self) -> int:
        """Problems whose tests, base or plus, ran out of time."""
        return sum(row.timed_out for row in self.rows)


class CodeSuite(NamedTuple):
    """What was answered to a code suite, and what it is judged by."""

    completions: list[Completion]
    problems: Path
    ground_truth: Path
    judging: CodeJudging


class Programs(NamedTuple):
    """Programs of one suite."""

    pairs: list[tuple[str, str]]
    """Task and solution each."""

    tasks: Mapping[str, dict[str, Any]]
    """Rows of the ground truth's index."""

    ground_truth: Path
    judging: CodeJudging


@dataclass
class Rulings:
    """What became of a suite's programs."""

    verdicts: dict[tuple[str, str], tuple[str, str | None]] = field(default_factory=dict)
    """Task and solution -> base and plus verdict."""

    timed_out: set[tuple[str, str]] = field(default_factory=set)
    """Those of them that failed by a clock."""


class _Check(NamedTuple):
    """One program to be judged."""

    suite: str
    pair: tuple[str, str]
    request: dict[str, Any]
    cost: tuple[float, int]
    """Seconds of the reference, bytes of its tests."""


def judge_suites(suites: Mapping[str, CodeSuite], code: CodeScoring) -> dict[str, Judged]:
    """Extract each completion's solution and judge it; rows come in the completions' order.

    Problems that the ground truth dropped have no row.

    Raises:
        UserError: a ground truth is not that of its suite's problems.
    """
    programs: dict[str, Programs] = {}
    not_extracted: dict[str, list[str]] = {}
    for name, suite in suites.items():
        programs[name], not_extracted[name] = _programs(suite, code)
    rulings = judge(programs, code)
    found = {}
    for name, (pairs, *_) in programs.items():
        verdicts, timed_out = rulings[name].verdicts, rulings[name].timed_out
        rows = [Verdict(*pair, *verdicts[pair], pair in timed_out) for pair in pairs]
        found[name] = Judged(rows, not_extracted[name])
    return found


def _programs(suite: CodeSuite, code: CodeScoring) -> tuple[Programs, list[str]]:
    """A suite's programs, and the ids of completions in which the search for one was given up."""
    judging, truth = suite.judging, suite.ground_truth
    tasks = read_ground_truth(truth, suite.problems, judging.dataset, judging.plus)
    dropped = dropped_problems(truth)
    completions = [row for row in suite.completions if row.id not in dropped]
    unknown = [row.id for row in completions if row.id not in tasks]
    if unknown:
        raise UserError(
            f"{suite.problems}: the suite's items name problems it does not hold: {listed(unknown)}"
        )
    if judging.tests == "pytest":
        found: list[str | None] = [module_of(row.completion) for row in completions]
    else:
        found = _extracted(completions, tasks, code)
    given_up = [row.id for row, text in zip(completions, found, strict=True) if text is None]
    if given_up:
        tqdm.write(
            f"warning: {suite.problems}: no program could be found in reasonable time in the "
            f"completions of {listed(given_up)}; they count as failed",
            file=sys.stderr,
        )
    pairs = [(row.id, text or "") for row, text in zip(completions, found, strict=True)]
    return Programs(pairs, tasks, truth, judging), given_up


def judge(suites: Mapping[str, Programs], code: CodeScoring) -> dict[str, Rulings]:
    """Judge each distinct program of each suite once.

    What timed out, or what the machine's load may have failed, is judged again, alone (see
    `judgebox.verdict`).

    Raises:
        UserError: no sandbox can be had.
    """
    rulings = {name: Rulings() for name in suites}
    checks = []
    for name, programs in suites.items():
        for pair in dict.fromkeys(programs.pairs):
            if pair[1].strip():
                checks.append(_check(name, pair, programs, code))
            else:
                nothing = ("fail", "fail" if programs.judging.plus else None)
                rulings[name].verdicts[pair] = nothing
    # A long check that starts last would leave the other workers idle.
    checks.sort(key=lambda check: (*(-part for part in check.cost), check.suite, check.pair))
    again: list[int] = []
    with (
        judges(code) as workers,
        tqdm(total=len(checks), desc="judge", unit="program", mininterval=1) as bar,
    ):
        for number, answer in workers.answers([check.request for check in checks]):
            bar.update()
            _rule(rulings, checks[number], answer, suites)
            if needs_another_run(answer):
                again.append(number)
        bar.total = len(checks) + len(again)
        for number in sorted(again):
            check = checks[number]
            for _, answer in workers.answers([check.request | {"alone": True}]):
                bar.update()
                _rule(rulings, check, answer, suites)
    return rulings


def _check(name: str, pair: tuple[str, str], programs: Programs, code: CodeScoring) -> _Check:
    row, truth, judging = programs.tasks[pair[0]], programs.ground_truth, programs.judging
    clocks = Clocks(code.min_time_limit, code.time_limit_factor, code.memory_bytes)
    asked = solution_request(truth, row, pair[1], judging, clocks)
    return _Check(name, pair, asked, (row["seconds"], (truth / row["tests"]).stat().st_size))


def _rule(
    rulings: Mapping[str, Rulings],
    check: _Check,
    answer: dict[str, Any] | WorkerDied,
    suites: Mapping[str, Programs],
) -> None:
    """Note an answer, instead of an earlier one if there was one."""
    ruling, plus = rulings[check.suite], suites[check.suite].judging.plus
    ruling.verdicts[check.pair] = _verdict(answer, plus)
    ruling.timed_out.discard(check.pair)
    if not isinstance(answer, WorkerDied) and answer["timed_out"]:
        ruling.timed_out.add(check.pair)


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
        judges(code, "mixmerge.evaluate.extraction") as workers,
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
