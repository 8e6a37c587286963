"""Broken score rows: refused in one sentence by the rule that weighs them."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from broken_damage import cut, line, reseal
from broken_material import EVIDENCE, Case, Server, Stage, Worlds, cases
from fixtures import score_rows
from mixmerge.study.layout import uncertainty_settings
from mixmerge.uncertainty.settings import Uncertainty

pytestmark = pytest.mark.slow

SIMULATED = score_rows.study()

MODEL = SIMULATED.models[0]


def write_scored(folder: Path) -> None:
    """Score rows of every checkpoint of a study."""
    score_rows.write_rows(SIMULATED, folder, {"mixed": 0.7}, items=12)


WEIGHED = json.dumps(uncertainty_settings(SIMULATED, MODEL.key, Uncertainty(resamples=1000)))

STAGES = {
    "uncertainty": Stage(
        "uncertainty.py",
        (
            "--scores",
            *(f"{v.name}=in/scores/tiny/{v.name}" for v in MODEL.variants),
            "--settings",
            WEIGHED,
            "--seed",
            "1",
            "--out",
            "out/tiny.json",
        ),
        write_scored,
    ),
}


def sealed(folder: str, damage: Callable[[Path], object]) -> Callable[[Path], object]:
    """Damage a folder and make its manifest fit."""

    def both(inputs: Path) -> None:
        damage(inputs / folder)
        reseal(inputs / folder)

    return both


C, BASE, MIXED = "in/c/s.jsonl", "scores/tiny/base/scores.json", "scores/tiny/mixed"

ROWS = f"in/{MIXED}/explain-test.jsonl"

WEIGHING = [
    Case(
        "a row without id",
        sealed(MIXED, lambda s: line(s / "explain-test.jsonl", 3, '{"bleu4": 0.5, "meteor": 0.5}')),
        (ROWS, "is not a row of scores ('id')", "run its rule (score) again"),
    ),
    Case(
        "NaN as a score",
        sealed(
            MIXED,
            lambda s: line(
                s / "explain-test.jsonl", 3, '{"id": "item/2", "bleu4": NaN, "meteor": 0.5}'
            ),
        ),
        (ROWS, "'item/2'", "nan is no finite number"),
    ),
    Case(
        "text as a score",
        sealed(
            MIXED,
            lambda s: line(
                s / "explain-test.jsonl", 3, '{"id": "item/2", "bleu4": "0.5", "meteor": 0.5}'
            ),
        ),
        (ROWS, "'item/2'", "'0.5' is no finite number"),
    ),
    Case(
        "a list as id",
        sealed(
            MIXED,
            lambda s: line(s / "explain-test.jsonl", 3, '{"id": [1], "bleu4": 0.5, "meteor": 0.5}'),
        ),
        (ROWS, "[1]", "run its rule (score) again"),
    ),
    Case(
        "an item that is there twice",
        sealed(
            MIXED,
            lambda s: line(
                s / "explain-test.jsonl", 3, '{"id": "item/1", "bleu4": 0.5, "meteor": 0.5}'
            ),
        ),
        (f"{ROWS}: item 'item/1' is there twice",),
    ),
    Case(
        "a checkpoint scored on fewer items",
        sealed(MIXED, lambda s: line(s / "explain-test.jsonl", 3, "")),
        (
            f"{ROWS}: has no item 'item/2', which in/scores/tiny/base/explain-test.jsonl has",
            "score again",
        ),
    ),
    Case(
        "no rows",
        sealed(MIXED, lambda s: (s / "explain-test.jsonl").write_text("")),
        (f"{ROWS}: holds no row",),
    ),
    Case(
        "truncated rows",
        sealed(MIXED, lambda s: cut(s / "explain-test.jsonl", 9)),
        (f"{ROWS}:12: not valid JSON",),
    ),
    Case(
        "rows of a suite that are not there",
        sealed(MIXED, lambda s: (s / "explain-test.jsonl").unlink()),
        (f"{ROWS}: file not found",),
    ),
    Case(
        "scores without a manifest",
        lambda i: (i / MIXED / "manifest.json").unlink(),
        (f"in/{MIXED}/manifest.json: no manifest", "Run its rule again"),
    ),
]

CASES = {
    "uncertainty": WEIGHING,
}


@pytest.fixture(scope="module")
def worlds(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Worlds]:
    with Server(*EVIDENCE) as server:
        yield Worlds(server, tmp_path_factory.mktemp("broken"))


@pytest.mark.parametrize(("stage", "case"), cases(CASES))
def test_broken_score_rows_are_told_and_the_mended_go_on(
    worlds: Worlds, stage: str, case: Case
) -> None:
    worlds.check(stage, STAGES[stage], case)
