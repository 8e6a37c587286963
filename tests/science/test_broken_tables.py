"""Broken scores and what else the report reads: refused in one sentence."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from broken_damage import cut, edit
from broken_material import EVIDENCE, Case, Server, Stage, Worlds, cases
from fixtures.report_study import decide, layout

pytestmark = pytest.mark.slow

STUDY = layout()


def write_study(folder: Path) -> None:
    """All that the report reads."""
    decide(STUDY, folder)


PRINTED = ("--layout", STUDY.model_dump_json(), "--results", "in", "--out")

STAGES = {
    "tables": Stage("tables.py", (*PRINTED, "out/tables"), write_study),
    "verdict": Stage("verdict.py", (*PRINTED, "out/verdict"), write_study),
}


def value(file: str, *path: Any, put: Any) -> Callable[[Path], object]:
    """Change one value of a JSON file."""

    def change(content: Any) -> None:
        for part in path[:-1]:
            content = content[part]
        content[path[-1]] = put

    return lambda folder: edit(folder / file, change)


def gone(file: str, *path: Any) -> Callable[[Path], object]:
    """Take an entry out of a JSON file."""

    def change(content: Any) -> None:
        for part in path[:-1]:
            content = content[part]
        del content[path[-1]]

    return lambda folder: edit(folder / file, change)


C, BASE, MIXED = "in/c/s.jsonl", "scores/tiny/base/scores.json", "scores/tiny/mixed"

ROW = ("write-test", "metrics", "base")

TABLES = [
    Case(
        "NaN in the scores",
        value(BASE, *ROW, put=float("nan")),
        (
            f"in/{BASE}: no value of metric 'base' for suite 'write-test' (nan is out of range)",
            "run its rule (score) again",
        ),
    ),
    Case(
        "a score edited to text", value(BASE, *ROW, put="0,5"), (f"in/{BASE}", "'0,5' is no number")
    ),
    Case("a score below 0", value(BASE, *ROW, put=-0.1), (f"in/{BASE}", "-0.1 is out of range")),
    Case("a score that is true", value(BASE, *ROW, put=True), (f"in/{BASE}", "True is no number")),
    Case(
        "a suite that was not scored",
        gone(BASE, "write-test"),
        (f"in/{BASE}: no value of metric 'base' for suite 'write-test'",),
    ),
    Case(
        "scores of another version",
        gone(BASE, "write-test", "n"),
        (f"in/{BASE}: no entry 'n'", "another version", "run its rule (score) again"),
    ),
    Case(
        "no items at all",
        value(BASE, "write-test", "n", put=0),
        (f"in/{BASE}", "0 is out of range"),
    ),
    Case(
        "scores that are a list",
        lambda i: (i / BASE).write_text("[]"),
        (f"in/{BASE}: no value of metric",),
    ),
    Case("truncated scores", lambda i: cut(i / BASE, 50), (f"in/{BASE}:1:", "not valid JSON")),
    Case("no scores", lambda i: (i / BASE).unlink(), (f"in/{BASE}: file not found",)),
    Case("empty scores", lambda i: (i / BASE).write_text(""), (f"in/{BASE}:1:1: not valid JSON",)),
    Case(
        "statistics without a task",
        gone("data/statistics.json", "tasks", "write"),
        ("in/data/statistics.json: no entry 'write'", "rule (statistics)"),
    ),
    Case(
        "statistics with NaN",
        value("data/statistics.json", "tasks", "write", "rows", put=float("nan")),
        ("in/data/statistics.json", "nan is out of range"),
    ),
    Case(
        "statistics that are a list",
        lambda i: (i / "data/statistics.json").write_text("[]"),
        ("in/data/statistics.json", "rule (statistics)"),
    ),
    Case(
        "a base without its facts",
        gone("checkpoints/tiny/base/manifest.json", "facts"),
        ("in/checkpoints/tiny/base/manifest.json: no entry 'facts'",),
    ),
    Case(
        "evidence without a checkpoint",
        gone("uncertainty/tiny.json", "intervals", "mixed"),
        ("in/uncertainty/tiny.json: no entry 'mixed'", "rule (uncertainty)"),
    ),
    Case(
        "evidence with NaN",
        value("uncertainty/tiny.json", "comparisons", 0, "p", put=float("nan")),
        ("in/uncertainty/tiny.json", "nan is out of range"),
    ),
    Case(
        "evidence of another version",
        gone("uncertainty/tiny.json", "comparisons", 0, "family"),
        ("in/uncertainty/tiny.json: no entry 'family'",),
    ),
    Case(
        "no evidence",
        lambda i: (i / "uncertainty/tiny.json").unlink(),
        ("in/uncertainty/tiny.json: file not found",),
    ),
]

UPDATES = "weights/tiny/updates.json"

VERDICT = [
    Case(
        "updates without a pair",
        value(UPDATES, "pairs", put=[]),
        (f"in/{UPDATES}: no pair write-at-100 / explain-at-100", "rule (updates) again"),
    ),
    Case(
        "updates of another version",
        gone(UPDATES, "pairs"),
        (f"in/{UPDATES}: no entry 'pairs'", "rule (updates)"),
    ),
    Case(
        "updates with text",
        value(UPDATES, "pairs", 0, "groups", 0, "pearson", put="high"),
        (f"in/{UPDATES}", "'high' is no number"),
    ),
    Case(
        "updates without layers",
        value(UPDATES, "pairs", 0, "groups", put=[]),
        (f"in/{UPDATES}: names no transformer layer",),
    ),
    Case(
        "a truncated updates file",
        lambda i: cut(i / UPDATES, 3),
        (f"in/{UPDATES}:1:", "not valid JSON"),
    ),
    Case(
        "distances that are a list",
        lambda i: (i / "weights/tiny/mixed.json").write_text("[]"),
        ("in/weights/tiny/mixed.json", "Delete the file"),
    ),
]

CASES = {
    "tables": TABLES,
    "verdict": VERDICT,
}


@pytest.fixture(scope="module")
def worlds(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Worlds]:
    with Server(*EVIDENCE) as server:
        yield Worlds(server, tmp_path_factory.mktemp("broken"))


@pytest.mark.parametrize(("stage", "case"), cases(CASES))
def test_a_broken_table_is_told_and_the_mended_goes_on(
    worlds: Worlds, stage: str, case: Case
) -> None:
    worlds.check(stage, STAGES[stage], case)
