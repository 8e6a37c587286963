"""The verdict: who wins, what is not distinguishable, and its sentences, word for word."""

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from fixtures.report_study import BEHIND, csv_rows, decide, doubt, judged, layout, spend
from mixmerge.report.entries import VERDICT_FILES
from mixmerge.report.verdict_tables import (
    by_chance,
    closing,
    paragraphs,
    verdict_sections,
    verdict_text,
    write_verdict,
)


def test_the_paragraph_on_a_model_word_for_word(tmp_path: Path) -> None:
    study = layout()
    decide(study, tmp_path, BEHIND, pearson=0.7)
    spend(study, tmp_path, {"sft": 2.0, "sft/mixed": 3.0, "merge": 0.5, "generate": 1, "score": 1})
    (entry,) = judged(study, tmp_path)
    assert (entry.outcome, entry.predicted, entry.call) == ("mixing", "mixing", "right")
    assert entry.recommended == ("mixing", "evidence")
    contest, sensitivity, weights = paragraphs(study, entry)
    # Test and validation suites have as many items and tokens, so choosing takes half of
    # generation (2 merges x 1 h x 2 threads) and scoring (2 x 1 h x 4 workers).
    assert contest == (
        "On the test suites the data mixture comes first with an AVG of 0.00 %, before "
        "Blend (0.25 / 0.75), the best of 2 merges, with −5.00 %. The data mixture reaches 0.00 % "
        "(95 % interval −1.00 to +1.00) and the merge −5.00 % (−6.00 to −4.00). The difference, "
        "merge minus mixture, is −5.00 points (−5.05 to −4.95; p = 0.001 after Holm's correction "
        "over the strategy's 2 ratios): mixing is better, by more than chance explains. The data "
        "mixture is not distinguishable from the specialists (p = 1). Training the mixture took "
        "3.00 core-hours, merging 11.0 core-hours (4.00 core-hours for 2 specialists, 1.00 "
        "core-hours for 2 merges and 6.00 core-hours for evaluating them on the test suites; 7.00 "
        "core-hours with the specialists at hand). Recommended: mix."
    )
    assert sensitivity == (
        "The ratio moves AVG by 5.00 points for Blend. The ratios were chosen on the test suites "
        "themselves, so what choosing costs cannot be seen here. Data: against the specialists "
        "trained on 100 %, Write −25.00 % with 50 % of the data; Explain 0.00 % with 50 % of the "
        "data."
    )
    assert weights == (
        "The specialists' updates correlate with r = 0.71 (0.70 to 0.72), mean and range over 3 "
        "layers; their cosine is 0.30 (0.30 to 0.30); of the parameters that both moved, 40.0 % "
        "(40.0 to 40.0) went in opposite directions (50 % is chance). The paper's rule (r of 0.5 "
        "or more: mix; less: merge) says mix. That is right here."
    )


def test_the_few_lines_for_the_terminal_word_for_word(tmp_path: Path) -> None:
    study = layout()
    decide(study, tmp_path, BEHIND, pearson=0.7)
    spend(study, tmp_path, {"sft": 2.0, "sft/mixed": 3.0, "merge": 0.5})
    assert verdict_text(study, judged(study, tmp_path)) == (
        """\
A test study

Tiny model
  Best on the test suites: Data mixture.
  Test AVG against the specialists: Data mixture 0.00 % (95 % interval −1.00 to +1.00), Blend
    (0.25 / 0.75) −5.00 % (−6.00 to −4.00).
  Mixing leads by 5.00 points (p = 0.001).
  Problems solved, mixture : merge: write base 20 : 16 of 40; write plus 20 : 20 of 40; explain
    base 20 : 20 of 40; explain plus 20 : 20 of 40.
  Cost: mixing 3.00 core-hours, merging 5.00 core-hours (1.00 core-hours with the specialists at
    hand).
  Updates correlate with r = 0.71. The paper's rule (r of 0.5 or more: mix; less: merge) says
    mix. That is right here.
  Recommended: mix.

The paper's rule was right for the one model compared: a single case neither supports nor
refutes a rule.
Intervals and p-values say what other test items of the same kind could change. Each checkpoint
is one training run: what another seed could change is not in them.
"""
    )


def test_merging_wins_chosen_on_validation_and_the_rule_is_right_once(tmp_path: Path) -> None:
    study = layout(select="validation", models=("one", "two"))
    special = {
        ("blend-0.75", "write-validation.base"): 0.6,
        ("blend-0.75", "write-test.base"): 0.55,
        ("blend-0.25", "write-test.base"): 0.9,
    }
    decide(study, tmp_path, special, pearson=0.2)
    path = tmp_path / "weights" / "one" / "updates.json"
    path.write_text(path.read_text().replace('"pearson": 0.2', '"pearson": 0.8'))
    found = judged(study, tmp_path)
    assert [entry.merge.variant for entry in found if entry.merge] == ["blend-0.75"] * 2
    assert [entry.call for entry in found] == ["wrong", "right"]
    assert [entry.recommended for entry in found] == [("merging", "evidence")] * 2
    contest, sensitivity, _ = paragraphs(study, found[0])
    assert contest.startswith(
        "On the validation suites Blend (0.75 / 0.25), the best of 2 merges, comes first with an "
        "AVG of +5.00 %, before the data mixture with 0.00 %. On the test suites the data mixture "
        "reaches 0.00 %"
    )
    assert "is +2.50 points (+2.45 to +2.55;" in contest
    assert "merging is better, by more than chance explains." in contest
    assert "Blend (0.75 / 0.25) lies above the specialists (p = 0.001)." in contest
    assert contest.endswith("Recommended: merge, with Blend (0.75 / 0.25).")
    # The other ratio has 0.9 against 0.5 in one column of four: +20 instead of +2.5.
    assert (
        "the one chosen on the validation suites loses at most 17.50 points (Blend)" in sensitivity
    )
    assert (
        verdict_sections(study, found)[0].paragraphs[1] == "Of 2 models, merging is better for 2."
    )
    assert closing(found)[0] == (
        "The paper's rule was right for 1 of 2 models and wrong for 1. So few decide little, but "
        "here it did no better than tossed coins would."
    )
    assert closing(found)[1].endswith("leans more to mixing in 0.")


def test_the_suites_that_chose_may_point_the_other_way(tmp_path: Path) -> None:
    study = layout(select="validation")
    special = {("blend-0.75", "write-validation.base"): 0.6, ("blend-0.75", "write-test.base"): 0.4}
    decide(study, tmp_path, special)
    (entry,) = judged(study, tmp_path)
    assert entry.picked is entry.merge and entry.outcome == "mixing"
    assert "The suites that chose had pointed the other way." in paragraphs(study, entry)[0]
    assert entry.recommended == ("mixing", "evidence")


@pytest.mark.parametrize(
    ("hours", "recommended", "says"),
    [
        (
            {"sft": 2.0, "sft/mixed": 3.0, "merge": 0.1},
            ("mixing", "cost"),
            "Recommended: mix; not because it scores better, but because it is the cheaper of two "
            "ways that are not distinguishable. With the specialists at hand, merging is the "
            "cheaper one.",
        ),
        (
            {"sft": 1.0, "sft/mixed": 9.0, "merge": 0.1},
            ("merging", "cost"),
            "Recommended: merge, with Blend (0.25 / 0.75); not because it scores better, but "
            "because it is the cheaper of two ways that are not distinguishable.",
        ),
        (
            {"sft": 2.0, "sft/mixed": 4.1, "merge": 0.0},
            (None, "same cost"),
            "As the two are not distinguishable and cost about the same, either will do. With the "
            "specialists at hand, merging is the cheaper one.",
        ),
        (
            None,
            (None, "unknown cost"),
            "As the two are not distinguishable and their costs are not known, neither is "
            "recommended.",
        ),
    ],
)
def test_what_is_not_distinguishable_goes_by_cost(
    tmp_path: Path, hours: dict[str, float] | None, recommended: Any, says: str
) -> None:
    study = layout()
    decide(study, tmp_path, BEHIND)
    doubt(tmp_path, "tiny", difference=-1.5)
    if hours is not None:
        spend(study, tmp_path, hours)
    (entry,) = judged(study, tmp_path)
    assert (entry.outcome, entry.call) == ("undecided", "undecided")
    assert entry.recommended == recommended
    contest, _, weights = paragraphs(study, entry)
    assert "is −1.50 points (−4.50 to +1.50; p = 0.4 after Holm's" in contest
    assert "the two are not distinguishable." in contest and contest.endswith(says)
    assert "as the two are not distinguishable, that is neither right nor wrong here." in weights
    text = " ".join(verdict_text(study, [entry]).split())
    assert "Not distinguishable: 1.50 points in favour of the mixture (p = 0.4)." in text
    assert "was left undecided for the one model compared" in text


def test_level_scores_have_no_winner(tmp_path: Path) -> None:
    study = layout()
    decide(study, tmp_path)
    (entry,) = judged(study, tmp_path)
    assert "are level with an AVG of 0.00 %." in paragraphs(study, entry)[0]
    assert "Mixing and merging are level (p = 1)." in verdict_text(study, [entry])
    assert verdict_sections(study, [entry])[0].paragraphs[1] == (
        "For the one model compared, the two are not distinguishable."
    )


def test_no_merges_and_no_correlation(tmp_path: Path) -> None:
    study = layout(ratios=())
    decide(study, tmp_path, pearson=None)
    found = judged(study, tmp_path)
    text = " ".join(" ".join(s.paragraphs) for s in verdict_sections(study, found))
    assert "Nothing was merged, so there is nothing to compare the data mixture with" in text
    assert "correlation of the specialists' updates is not defined" in text
    assert "Nothing was merged." in " ".join(verdict_text(study, found).split())
    assert len(closing(found)) == 1
    write_verdict(study, found, tmp_path / "tables")
    (row,) = csv_rows(tmp_path / "tables/verdict.csv")
    assert row["merge"] == row["difference"] == row["recommended"] == row["call"] == ""
    assert {path.name for path in (tmp_path / "tables").iterdir()} == set(VERDICT_FILES)


def test_a_record_of_many_models_is_set_against_coins(tmp_path: Path) -> None:
    assert by_chance(5, 5) == 1 / 32
    assert by_chance(4, 5) == pytest.approx(6 / 32)
    assert by_chance(0, 3) == 1
    study = layout(models=("a", "b", "c", "d", "e", "f"))
    decide(study, tmp_path, BEHIND, pearson=0.7)
    doubt(tmp_path, "f", difference=1.0)
    assert verdict_sections(study, judged(study, tmp_path))[0].paragraphs[1] == (
        "Of 6 models, mixing is better for 5 and the two are not distinguishable for 1."
    )
    assert closing(judged(study, tmp_path))[0] == (
        "The paper's rule was right for 5 of 6 models, wrong for 0 and undecided for 1. Tossed "
        "coins do at least as well with a probability of 3 %."
    )


def test_script_writes_the_declared_files_of_three_tasks(root: Path, tmp_path: Path) -> None:
    study = layout(tasks=3, models=("one", "two"))
    decide(study, tmp_path, BEHIND)
    spend(study, tmp_path, {"sft": 1.0})
    command = [
        sys.executable,
        str(root / "workflow/scripts/verdict.py"),
        "--layout",
        study.model_dump_json(exclude_defaults=True),
        "--results",
        str(tmp_path),
        "--out",
    ]
    out = tmp_path / "tables"
    subprocess.run([*command, str(out)], check=True)
    assert {path.name for path in out.iterdir()} == set(VERDICT_FILES)
    text = (out / "verdict.md").read_text()
    assert "mean and range over 3 layers and 3 pairs of tasks;" in text
    assert "for 3 specialists" in text and "Translate 0.00 % with 50 % of the data." in text
    page = (out / "verdict.html").read_text()
    assert page.count("<h2>") == 2 + 3 + 1 and page.count("<table>") == 6
    latex = (out / "verdict.tex").read_text()
    assert r"\paragraph{One model}" in latex and r"0.00 \%" in latex and "−" not in latex
    assert [row["call"] for row in csv_rows(out / "verdict.csv")] == ["wrong", "wrong"]
    (one, _) = csv_rows(out / "verdict-weights.csv")
    assert float(one["pearson_low"]) == 0.25 and float(one["pearson_high"]) == 0.27
    assert float(one["sign_conflict_percent_mean"]) == pytest.approx(40)
    # The evidence of one model gone, the script says so and writes nothing.
    (tmp_path / "uncertainty" / "two.json").unlink()
    done = subprocess.run(
        [*command, str(tmp_path / "again")], capture_output=True, text=True, check=False
    )
    assert done.returncode and "two.json" in done.stderr and "Traceback" not in done.stderr
    assert not (tmp_path / "again").exists()


def test_a_tie_with_the_best_ratio_on_test_loses_nothing(tmp_path: Path) -> None:
    study = layout(select="validation")
    decide(study, tmp_path, {("blend-0.75", "write-validation.base"): 0.6})
    (entry,) = judged(study, tmp_path)
    (sweep,) = entry.sweeps
    assert (sweep.chosen.name, sweep.best.name) == ("blend-0.75", "blend-0.75")
    assert (
        "Every ratio chosen on the validation suites is also the best on the test"
        in (paragraphs(study, entry)[1])
    )
