"""Oracle: the audit of the paper, against arithmetic done in other ways, and planted faults."""

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from fractions import Fraction
from itertools import product
from pathlib import Path

import pytest

from fixtures.paper_study import figures
from mixmerge.report.layout import Column
from mixmerge.report.results import change
from paper_audit import impossible_scores
from paper_audit.consistency import Cell, averages, cells
from paper_audit.hypotheses import Cause, Paper, causes
from paper_audit.page import PAGE
from paper_audit.printed import METRICS, blocks, specialists

COLUMNS = [
    Column(suite="paper", metric=key, header=key, task="any", role="test", digits=metric.digits)
    for key, metric in METRICS.items()
]


@pytest.fixture(scope="module")
def paper(root: Path) -> Paper:
    return figures(root)


@pytest.fixture(scope="module")
def wrong(paper: Paper) -> list[Cell]:
    return [cell for cell in cells(paper.lines) if not cell.follows]


@pytest.fixture(scope="module")
def why(paper: Paper, wrong: Sequence[Cell]) -> dict[Cell, Cause]:
    return causes(wrong, paper)


def test_130_of_1440_are_far_off_and_373_beyond_rounding(paper: Paper, wrong: list[Cell]) -> None:
    found = cells(paper.lines)
    far = [cell for cell in found if cell.far]
    assert (len(found), len(far), len(wrong)) == (1440, 130, 373)
    assert set(far) < set(wrong)
    assert Counter(cell.line.table for cell in far) == {"6": 72, "8": 43, "3": 9, "7": 6}
    assert {cell.line.model for cell in far if cell.line.table == "3"} == {"deepseek-coder-7b"}
    text = PAGE.read_text(encoding="utf-8")
    assert "130 of 1,440 percentages are far off: 72 in Table 6, 43 in Table 8, 9 in" in text
    assert "373 of 1,440 are beyond rounding" in text
    _, *parts = re.split("## The (?:130|243) ", text)
    counts = [len(re.findall(r"^\| [356789] \|", part, re.MULTILINE)) for part in parts]
    assert counts == [130, 243]


def test_recomputed_percentages_are_the_reports(paper: Paper) -> None:
    """Fractions here, floats in the report's own tables: the same 1,440 numbers and averages."""
    exact = {(cell.line, cell.metric): cell.recomputed for cell in cells(paper.lines)}
    means = {entry.line: entry.recomputed for entry in averages(paper.lines)}
    for block in blocks(paper.lines).values():
        reference = specialists(block).values
        for line in block:
            changes = []
            for column in COLUMNS:
                metric = column.metric
                changes.append(change(column, float(line.values[metric]), float(reference[metric])))
                assert changes[-1] == pytest.approx(float(exact[line, metric]), abs=1e-9)
            assert sum(changes) / 8 == pytest.approx(float(means[line]), abs=1e-9)


def corners(value: Fraction, baseline: Fraction, divisor: Fraction | None, half: Fraction) -> list:
    """Percentages at all corners of the box of unrounded values: the extremes are among them."""
    sides = (-half, half)
    if divisor is None:
        return [100 * ((value + a) / (baseline + b) - 1) for a, b in product(sides, sides)]
    return [
        100 * (value + a - baseline - b) / (divisor + d) for a, b, d in product(sides, sides, sides)
    ]


def test_what_follows_lies_between_the_corners(paper: Paper) -> None:
    for cell in cells(paper.lines):
        found = corners(cell.value, cell.baseline, None, METRICS[cell.metric].half)
        slack = Fraction(1, 200)
        inside = min(found) - slack <= cell.printed <= max(found) + slack
        assert cell.follows == inside


def test_each_hypothesis_explains_its_cells_within_rounding(
    wrong: list[Cell], why: dict[Cell, Cause]
) -> None:
    assert set(why) == set(wrong)  # none is left without
    for cell, cause in why.items():
        value = cell.value if cause.value is None else cause.value
        found = corners(value, cause.baseline, cause.divisor, METRICS[cell.metric].half)
        meant = cause.sign * cell.printed if cause.percent is None else cause.percent
        assert min(found) - Fraction(1, 200) <= meant <= max(found) + Fraction(1, 200), cause.text


@pytest.mark.parametrize("problems", impossible_scores.MBPP_SIZES)
@pytest.mark.parametrize("metric", ["mbpp", "mbpp_plus"])
def test_possible_scores_are_those_that_some_count_prints(
    paper: Paper, metric: str, problems: int
) -> None:
    prints = {Fraction(f"{solved / problems:.3f}") for solved in range(problems + 1)}
    fitting = sum(line.values[metric] in prints for line in paper.lines)
    assert impossible_scores.fitting(paper.lines, metric, problems) == fitting
    if metric == "mbpp_plus":
        assert (fitting == 180) == (problems == 378)


@pytest.mark.parametrize(
    ("metric", "percent", "kind"),
    [
        ("humaneval", "4.73", "sign"),
        # (0.0593 - 0.0351) / 0.0351: against a quarter of the data, Table 4.
        ("bleu4", "68.95", "other line"),
        # (0.862 - 0.874) / 0.874: against Table 6's specialists.
        ("mbpp", "-1.37", "baseline"),
        ("mbpp_plus", "-22.02", "slip"),
        ("rouge_l", "44.44", None),
    ],
)
def test_a_planted_fault_is_found_and_explained(
    paper: Paper, metric: str, percent: str, kind: str | None
) -> None:
    lines = list(paper.lines)
    names = [(line.table, line.model, line.strategy) for line in lines]
    at = names.index(("3", "qwen2.5-coder-7b", "ties"))
    lines[at] = replace(lines[at], percents={**lines[at].percents, metric: Fraction(percent)})
    found = [cell for cell in cells(lines) if not cell.follows]
    assert len(found) == 373 + 1
    mine = [cell for cell in found if cell.line is lines[at]]
    assert [cell.metric for cell in mine] == [metric]
    explained = causes(mine, Paper(lines, paper.scale))
    assert [cause.kind for cause in explained.values()] == ([kind] if kind else [])
