"""All suites of one checkpoint scored: a row per item, and the summary in ``scores.json``."""

import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from tqdm import tqdm

from judgebox.judging import FAIL, PASS
from judgebox.verdict import Clocks
from judgebox.workers import WorkerDied, needs_another_run
from mixmerge.artifacts.manifest import MANIFEST, publish, read_manifest
from mixmerge.core.errors import UserError
from mixmerge.core.io import write_json, write_jsonl
from mixmerge.evaluate.extraction import module_of
from mixmerge.evaluate.groundtruth import GroundTruth, answered, judges, read_ground_truth
from mixmerge.evaluate.metrics import score_summaries, use_nltk_data
from mixmerge.evaluate.settings import (
    CodeJudging,
    CodeScoring,
    ScoreSettings,
    SummaryJudging,
)
from mixmerge.evaluate.suite import Completion, listed, read_completions, read_items

_PACKAGES = [
    *("evalplus", "msgpack", "tree-sitter", "tree-sitter-python", "nltk", "sacrebleu"),
    "rouge-score",
]


class Verdict(NamedTuple):
    """One row of a code suite's scores."""

    id: str
    solution: str
    base: str
    """pass, fail or timeout."""
    plus: str | None
    """The same, None where there are no plus tests."""
    timed_out: bool
    """Whether it failed because a test, or all of a set, took longer than it may."""


def score(
    completions: Path,
    suites: dict[str, Path],
    ground_truths: dict[str, Path],
    nltk_data: Path | None,
    out: Path,
    settings: ScoreSettings,
) -> None:
    """Score every suite and publish ``{suite}.jsonl`` each and ``scores.json`` into ``out``.

    Args:
        completions: directory of kind "completions".
        suites: suite -> its directory.
        ground_truths: code suite -> its directory.
        nltk_data: made by `mixmerge.evaluate.nltk_data`; needed where METEOR is asked for.
        out: directory of kind "scores".
        settings: one entry a suite.

    Raises:
        UserError: unfinished inputs, or inputs that do not belong together.
    """
    read_manifest(completions, "completions")
    items = {name: read_items(directory) for name, directory in suites.items()}
    answers = {
        name: read_completions(completions / f"{name}.jsonl", [item.id for item in rows])
        for name, rows in items.items()
    }
    summaries = {n: s for n, s in settings.suites.items() if isinstance(s, SummaryJudging)}
    users = [name for name, judging in summaries.items() if "meteor" in judging.metrics]
    if users:
        if nltk_data is None:
            raise UserError(f"--nltk-data: missing, but suite {users[0]!r} is scored with METEOR")
        use_nltk_data(nltk_data)
    truths = {
        name: read_ground_truth(ground_truths[name], suites[name] / "problems.jsonl", judging)
        for name, judging in settings.suites.items()
        if isinstance(judging, CodeJudging)
    }
    programs = {name: programs_of(answers[name], truths[name], settings.code) for name in truths}
    # All suites together, so that no core waits for another.
    verdicts = judge(programs, truths, settings.code) if truths else {}
    inputs = [completions, *suites.values(), *ground_truths.values()]
    with publish(
        out,
        "scores",
        inputs=[path / MANIFEST for path in [*inputs, *([nltk_data] if nltk_data else [])]],
        settings=settings.model_dump(mode="json"),
        packages=_PACKAGES,
    ) as artifact:
        summary: dict[str, dict[str, Any]] = {}
        for name, judging in settings.suites.items():
            if isinstance(judging, CodeJudging):
                rows = [verdict._asdict() for verdict in verdicts[name]]
                metrics = pass_at_1(verdicts[name], judging.plus)
                details = {
                    "not_extracted": [id_ for id_, text in programs[name] if text is None],
                    "timeouts": sum(row["timed_out"] for row in rows),
                    "release": read_manifest(suites[name], "suite")["facts"].get("release"),
                }
            else:
                source, count = suites[name] / "items.jsonl", settings.code.workers
                rows = score_summaries(answers[name], items[name], source, judging.metrics, count)
                metrics = {m: sum(row[m] for row in rows) / len(rows) for m in judging.metrics}
                details = {}
            ended = answers[name]
            summary[name] = details | {
                "n": len(rows),
                "metrics": metrics,
                # The share that stopped by itself, and the mean length.
                "stopped": sum(row.stop_reason != "length" for row in ended) / len(ended),
                "completion_tokens": sum(row.completion_tokens for row in ended) / len(ended),
            }
            write_jsonl(artifact.path / f"{name}.jsonl", rows)
        write_json(artifact.path / "scores.json", summary)
        artifact.facts["suites"] = {name: entry["n"] for name, entry in summary.items()}
        artifact.facts["releases"] = {name: summary[name]["release"] for name in truths}


def programs_of(
    completions: Sequence[Completion], truth: GroundTruth, code: CodeScoring
) -> list[tuple[str, str | None]]:
    """Task and program of each completion; None where the search for a program was given up.

    Problems that the ground truth dropped are left out.

    Raises:
        UserError: a completion of a problem that the ground truth does not have.
    """
    rows = [row for row in completions if row.id not in truth.dropped]
    unknown = [row.id for row in rows if row.id not in truth.tasks]
    if unknown:
        raise UserError(
            f"{truth.directory}: has no tests for items of the suite: {listed(unknown)}; run the "
            "rules suite and ground_truth again"
        )
    if truth.judging.tests == "pytest":
        texts = [module_of(row.completion) for row in rows]
    else:
        texts = _extracted(rows, truth, code)
    programs = [(row.id, text) for row, text in zip(rows, texts, strict=True)]
    given_up = [id_ for id_, text in programs if text is None]
    if given_up:
        tqdm.write(
            f"warning: {truth.directory}: no program could be found in reasonable time in the "
            f"completions of {listed(given_up)}; they count as failed",
            file=sys.stderr,
        )
    return programs


def _extracted(
    rows: Sequence[Completion], truth: GroundTruth, code: CodeScoring
) -> list[str | None]:
    """The programs of completions, found by workers that judge nothing."""
    requests = [
        {
            "do": "extract",
            "completion": row.completion,
            "entry_point": truth.tasks[row.id]["entry_point"],
            "prompt": truth.tasks[row.id]["prompt"],
        }
        for row in rows
    ]
    with judges(code, "mixmerge.evaluate.extraction") as workers:
        answers = dict(answered(workers, requests, "extract"))
    return [
        None if isinstance(answer, WorkerDied) else answer["program"]
        for _, answer in sorted(answers.items())
    ]


def judge(
    programs: Mapping[str, Sequence[tuple[str, str | None]]],
    truths: Mapping[str, GroundTruth],
    code: CodeScoring,
) -> dict[str, list[Verdict]]:
    """Judge each distinct program of each suite once: a row a task and program, in their order.

    What timed out, or what the machine's load may have failed, is judged again, alone (see
    `judgebox.verdict`). A program that is None, or nothing, counts as failed.
    """
    clocks = Clocks(code.min_time_limit, code.time_limit_factor, code.memory_bytes)
    rows: dict[tuple[str, str, str], Verdict] = {}
    checks = []
    for suite, pairs in programs.items():
        for task, text in dict.fromkeys((task, text or "") for task, text in pairs):
            if text.strip():
                seconds, size = truths[suite].cost(task)
                checks.append((-seconds, -size, suite, task, text))
            else:
                plus = FAIL if truths[suite].judging.plus else None
                rows[suite, task, text] = Verdict(task, text, FAIL, plus, False)
    # The longest first: one that starts last would leave the other workers idle.
    checks.sort()
    requests = [truths[suite].request(task, text, clocks) for _, _, suite, task, text in checks]

    def note(number: int, answer: Any) -> bool:
        """Keep a program's row, instead of an earlier one; returns whether it must run again."""
        _, _, suite, task, text = checks[number]
        rows[suite, task, text] = _verdict(task, text, answer, truths[suite].judging.plus)
        return needs_another_run(answer)

    with judges(code) as workers:
        again = [n for n, answer in answered(workers, requests, "judge") if note(n, answer)]
        for number in tqdm(sorted(again), "judge again", unit="program", mininterval=1):
            for _, answer in workers.answers([requests[number] | {"alone": True}]):
                note(number, answer)
    return {
        suite: [rows[suite, task, text or ""] for task, text in pairs]
        for suite, pairs in programs.items()
    }


def _verdict(task: str, text: str, answer: Any, plus: bool) -> Verdict:
    """The row of an answer; a program that brings down its judge twice has failed."""
    if isinstance(answer, WorkerDied):
        return Verdict(task, text, FAIL, FAIL if plus else None, False)
    sets = answer["verdicts"]
    return Verdict(
        task, text, sets["base"], sets.get("plus") if plus else None, answer["timed_out"]
    )


def pass_at_1(rows: Sequence[Verdict], plus: bool) -> dict[str, float]:
    """Share of problems solved: base, and base and plus together, as EvalPlus counts them."""
    shares = {"base": sum(row.base == PASS for row in rows) / len(rows)}
    if plus:
        both = sum(row.base == row.plus == PASS for row in rows)
        shares["plus"] = both / len(rows)
    return shares
