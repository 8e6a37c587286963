"""All suites of one checkpoint scored: a row per item, and the summary in ``scores.json``."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mixmerge.artifacts.manifest import MANIFEST, read_manifest, write_manifest, write_provenance
from mixmerge.core.errors import UserError
from mixmerge.core.io import atomic_dir, write_json, write_jsonl
from mixmerge.evaluate.settings import CodeJudging, CodeScoring, ScoreSettings
from mixmerge.evaluate.suite import Completion, read_completions, read_items

if TYPE_CHECKING:
    from mixmerge.evaluate.verdicts import Judged

_PACKAGES = [
    "evalplus",
    "msgpack",
    "tree-sitter",
    "tree-sitter-python",
    "nltk",
    "sacrebleu",
    "rouge-score",
]


def score(
    completions: Path,
    suites: dict[str, Path],
    ground_truths: dict[str, Path],
    nltk_data: Path | None,
    out: Path,
    settings: ScoreSettings,
    processes: int | None = None,
) -> None:
    """Score every suite and publish ``{suite}.jsonl`` each and ``scores.json`` into ``out``.

    Args:
        completions: directory of kind "completions".
        suites: suite -> its directory, of kind "suite".
        ground_truths: code suite -> its directory, of kind "groundtruth".
        nltk_data: made by `mixmerge.evaluate.nltk_data`; needed where METEOR is asked for.
        out: directory that is published whole, of kind "scores".
        settings: one entry a suite.
        processes: how many run side by side; by default ``settings.code.workers``. Changes no
            score.

    Raises:
        UserError: unfinished inputs, or inputs that do not belong together.
    """
    read_manifest(completions, "completions")
    items = {name: read_items(directory) for name, directory in suites.items()}
    answers = {
        name: read_completions(completions / f"{name}.jsonl", [item.id for item in rows])
        for name, rows in items.items()
    }
    _prepare_meteor(settings, nltk_data)
    processes = processes or settings.code.workers
    code = settings.code.model_copy(update={"workers": processes})
    judged = _judge(answers, suites, ground_truths, settings, code)
    rows: dict[str, Sequence[Mapping[str, Any]]] = {}
    summary: dict[str, dict[str, Any]] = {}
    for name, judging in settings.suites.items():
        directory = suites[name]
        if isinstance(judging, CodeJudging):
            rows[name] = [asdict(row) for row in judged[name].rows]
            from mixmerge.evaluate.verdicts import pass_at_1

            metrics = pass_at_1(judged[name].rows, judging.plus)
            details = {
                "not_extracted": judged[name].not_extracted,
                "timeouts": judged[name].timeouts,
                "release": read_manifest(directory, "suite")["facts"].get("release"),
            }
        else:
            from mixmerge.evaluate.summaries import means, score_summaries

            wanted = list(judging.metrics)
            pairs = score_summaries(
                answers[name], items[name], directory / "items.jsonl", list(wanted), processes
            )
            rows[name] = pairs
            metrics = means(pairs, list(wanted))
            details = {}
        summary[name] = {
            "n": len(rows[name]),
            "metrics": metrics,
            **_ends(answers[name]),
            **details,
        }
    with atomic_dir(out) as target:
        for name, table in rows.items():
            write_jsonl(target / f"{name}.jsonl", (dict(row) for row in table))
        write_json(target / "scores.json", summary)
        inputs = [completions, *suites.values(), *ground_truths.values()]
        write_provenance(
            target,
            inputs=[path / MANIFEST for path in inputs]
            + ([nltk_data / MANIFEST] if nltk_data else []),
            settings=settings.model_dump(mode="json"),
            seed=None,
            packages=_PACKAGES,
        )
        facts = {
            "suites": {name: entry["n"] for name, entry in summary.items()},
            "releases": {
                name: entry["release"] for name, entry in summary.items() if "release" in entry
            },
        }
        write_manifest(target, "scores", facts)


def _judge(
    answers: Mapping[str, list[Completion]],
    suites: Mapping[str, Path],
    ground_truths: Mapping[str, Path],
    settings: ScoreSettings,
    code: CodeScoring,
) -> "dict[str, Judged]":
    """Verdicts of all code suites; they are judged together, so that no core waits for another."""
    judgings = {n: j for n, j in settings.suites.items() if isinstance(j, CodeJudging)}
    if not judgings:
        return {}
    from mixmerge.evaluate.verdicts import CodeSuite, judge_suites

    given = {
        name: CodeSuite(
            answers[name], suites[name] / "problems.jsonl", ground_truths[name], judging
        )
        for name, judging in judgings.items()
    }
    return judge_suites(given, code)


def _ends(rows: list[Completion]) -> dict[str, float]:
    """How completions ended: the share that stopped by themselves, and their mean length."""
    return {
        "stopped": sum(row.stop_reason != "length" for row in rows) / len(rows),
        "completion_tokens": sum(row.completion_tokens for row in rows) / len(rows),
    }


def _prepare_meteor(settings: ScoreSettings, nltk_data: Path | None) -> None:
    users = [
        name
        for name, judging in settings.suites.items()
        if not isinstance(judging, CodeJudging) and "meteor" in judging.metrics
    ]
    if not users:
        return
    if nltk_data is None:
        raise UserError(f"--nltk-data: missing, but suite {users[0]!r} is scored with METEOR")
    from mixmerge.evaluate.metrics import use_nltk_data

    read_manifest(nltk_data, "nltk_data")
    use_nltk_data(nltk_data)
