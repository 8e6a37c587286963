"""All suites of one checkpoint scored: a row per item, and the summary in ``scores.json``."""

import sys
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

from judgebox.judging import FAIL, PASS, Clocks
from mixmerge.artifacts.manifest import MANIFEST, publish, read_manifest
from mixmerge.core.errors import UserError
from mixmerge.core.io import write_json, write_jsonl
from mixmerge.evaluate.groundtruth import GroundTruth, bar, judges, read_ground_truth, warn
from mixmerge.evaluate.metrics import score_summaries, use_nltk_data
from mixmerge.evaluate.program import programs_in
from mixmerge.evaluate.settings import CodeJudging, CodeScoring, Extraction, ScoreSettings
from mixmerge.evaluate.suite import Completion, listed, read_completions, read_items

_CODE_PACKAGES = ["evalplus", "msgpack", "tree-sitter", "tree-sitter-python"]
Programs = Sequence[tuple[str, str | None]]  # task and program; None: the search was given up


class Verdict(NamedTuple):
    """One row of a code suite's scores."""

    id: str
    solution: str
    base: str  # pass, fail or timeout
    plus: str | None  # the same; None without such tests
    timed_out: bool  # whether it failed because a test, or all of a set, took longer than it may


def score(
    completions: Path,
    suites: dict[str, Path],
    ground_truths: dict[str, Path],
    nltk_data: Path | None,
    out: Path,
    settings: ScoreSettings,
) -> None:
    """Score every suite and publish ``{suite}.jsonl`` each and ``scores.json`` into ``out``.

    Each code suite has a ground truth. `UserError`: inputs unfinished, or not of the same suites.
    """
    read_manifest(completions, "completions")
    items = {name: read_items(directory) for name, directory in suites.items()}
    answers: dict[str, list[Completion]] = {}
    truths: dict[str, GroundTruth] = {}
    for name, judging in settings.suites.items():
        ids = [item.id for item in items[name]]
        answers[name] = read_completions(completions / f"{name}.jsonl", ids)
        if judging.kind == "code":
            problems = suites[name] / "problems.jsonl"
            truths[name] = read_ground_truth(ground_truths[name], problems, judging)
        elif "meteor" in judging.metrics:
            if nltk_data is None:
                raise UserError(f"--nltk-data: missing, but suite {name!r} is scored with METEOR")
            use_nltk_data(nltk_data)
    programs: dict[str, Programs] = {}
    truth_of = dict(truths)
    for name, truth in truths.items():
        own, *others = programs_of(answers[name], truth, settings.code).items()
        programs[name], known = own[1], {*own[1]}
        for other, found in others:  # where its programs differ, a suite of their own
            programs[f"{name} by {other}"] = [pair for pair in found if pair not in known]
            truth_of[f"{name} by {other}"] = truth
    # All suites together, so that no core waits for another.
    verdicts = judge(programs, truth_of, settings.code)
    inputs = [completions, *suites.values(), *ground_truths.values(), nltk_data]
    with publish(
        out,
        "scores",
        inputs=[path / MANIFEST for path in inputs if path],
        settings=settings.model_dump(mode="json"),
        packages=[*_CODE_PACKAGES, "nltk", "sacrebleu", "rouge-score"],
    ) as artifact:
        summary: dict[str, dict[str, Any]] = {}
        for name, judging in settings.suites.items():
            ended = answers[name]
            entry: dict[str, Any] = {
                # The share that stopped by itself, and the mean length.
                "stopped": sum(row.stop_reason != "length" for row in ended) / len(ended),
                "completion_tokens": sum(row.completion_tokens for row in ended) / len(ended),
            }
            if judging.kind == "code":
                rows = [verdict._asdict() for verdict in verdicts[name]]
                entry |= {
                    "metrics": pass_at_1(verdicts[name], judging.plus),
                    **compare_extractions(name, verdicts, judging, settings.code),
                    "not_extracted": [id_ for id_, text in programs[name] if text is None],
                    "timeouts": sum(row["timed_out"] for row in rows),
                    "release": read_manifest(suites[name], "suite")["facts"].get("release"),
                }
            else:
                metrics = judging.metrics
                rows = score_summaries(ended, items[name], suites[name] / "items.jsonl", metrics)
                entry["metrics"] = {m: sum(row[m] for row in rows) / len(rows) for m in metrics}
            entry["n"] = write_jsonl(artifact.path / f"{name}.jsonl", rows)
            summary[name] = entry
        write_json(artifact.path / "scores.json", summary)
        artifact.facts["suites"] = {name: entry["n"] for name, entry in summary.items()}
        artifact.facts["releases"] = {name: summary[name]["release"] for name in truths}
        artifact.facts["extractions"] = {name: summary[name]["extraction"] for name in truths}


def programs_of(
    completions: Sequence[Completion], truth: GroundTruth, code: CodeScoring
) -> dict[Extraction, Programs]:
    """Find each completion's programs, first by the extraction that the suite is judged by.

    Problems that the ground truth dropped are left out.
    """
    extractions = truth.judging.extractions(code.extraction)
    rows = [row for row in completions if row.id not in truth.dropped]
    if unknown := [row.id for row in rows if row.id not in truth.tasks]:
        raise UserError(
            f"{truth.directory}: has no tests for items of the suite: {listed(unknown)}; run the "
            "rules suite and ground_truth again"
        )
    find = partial(programs_in, extractions=extractions)
    requests = [partial(find, completion=row.completion, task=truth.tasks[row.id]) for row in rows]
    with judges(code) as workers:
        texts = dict(bar(workers.answers(requests), "extract", len(requests)))
    nothing = [None] * len(extractions)
    programs: dict[Extraction, Programs] = {
        extraction: [(row.id, (texts[n] or nothing)[place]) for n, row in enumerate(rows)]
        for place, extraction in enumerate(extractions)
    }
    if given_up := [id_ for id_, text in programs[extractions[0]] if text is None]:
        search = "no program could be found in reasonable time in the completions of"
        warn(f"{truth.directory}: {search} {listed(given_up)}; they count as failed")
    return programs


def judge(
    programs: Mapping[str, Programs], truths: Mapping[str, GroundTruth], code: CodeScoring
) -> dict[str, list[Verdict]]:
    """Judge the programs of each suite: a row a task and program, in their order.

    Without a program, or where it brings down its judge twice, it has failed.
    """
    clocks = Clocks(code.min_time_limit, code.time_limit_factor, code.memory_bytes)
    failed = {suite: FAIL if truth.judging.plus else None for suite, truth in truths.items()}
    rows = {
        suite: [Verdict(task, text or "", FAIL, failed[suite], False) for task, text in pairs]
        for suite, pairs in programs.items()
    }

    def seconds(check: tuple[str, int]) -> float:
        """Time of a check's reference."""
        suite, place = check
        return float(truths[suite].tasks[rows[suite][place].id]["seconds"])

    checks = [(s, n) for s in rows for n, row in enumerate(rows[s]) if row.solution.strip()]
    # The longest first: one that starts last would leave the other workers idle.
    checks.sort(key=seconds, reverse=True)
    requests = [truths[s].request(rows[s][n].id, rows[s][n].solution, clocks) for s, n in checks]
    if not requests:
        return rows
    with judges(code) as workers:
        for number, outcomes in bar(workers.judged(requests), "judge", len(requests)):
            if outcomes is None:
                continue
            suite, place = checks[number]
            rows[suite][place] = rows[suite][place]._replace(
                base=outcomes["base"].verdict,
                plus=failed[suite] and outcomes["plus"].verdict,
                timed_out=any(outcome.timed_out for outcome in outcomes.values()),
            )
    return rows


def pass_at_1(rows: Sequence[Verdict], plus: bool) -> dict[str, float]:
    """Share of problems solved: base, and base and plus together, as EvalPlus counts them."""
    return {name: len(ids) / len(rows) for name, ids in _solved(rows, plus).items()}


def _solved(rows: Sequence[Verdict], plus: bool) -> dict[str, set[str]]:
    solved = {"base": {row.id for row in rows if row.base == PASS}}
    if plus:
        solved["plus"] = {row.id for row in rows if row.base == row.plus == PASS}
    return solved


def compare_extractions(
    name: str, verdicts: Mapping[str, Sequence[Verdict]], judging: CodeJudging, code: CodeScoring
) -> dict[str, Any]:
    """By what extraction a suite was judged, and which of its verdicts the other would turn.

    Told on the console, too. A suite with files for pytest has no other.
    """
    own, *others = judging.extractions(code.extraction)
    entry: dict[str, Any] = {"extraction": own}
    for other in others:
        rows, ours = verdicts[f"{name} by {other}"], _solved(verdicts[name], judging.plus)
        ids, turned, words = {row.id for row in rows}, dict[str, Any](), list[str]()
        for metric, solved in _solved(rows, judging.plus).items():
            passed, failed = sorted(solved - ours[metric]), sorted(ours[metric] & ids - solved)
            turned[metric] = {"passed": passed, "failed": failed}
            words.append(f"{len(passed)} {metric} verdicts to pass and {len(failed)} to fail")
        entry[f"by_{other}"] = {"programs": len(rows), "turned": turned}
        print(
            f"{name}: judged by extraction {own!r}; {other!r} takes {len(rows)} other programs of "
            f"{len(verdicts[name])} and would turn {', '.join(words)}",
            file=sys.stderr,
        )
    return entry
