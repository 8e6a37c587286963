"""The verdict's wording and figures, and the timing table."""

import csv
import io
import subprocess
import sys
from pathlib import Path

import pytest

from mixmerge.errors import UserError
from mixmerge.report import sheet
from mixmerge.report.entries import TIMING_FILES, VERDICT_FILES
from mixmerge.report.geometry import Pair, Profile
from mixmerge.report.timing import read_jobs, timing_table
from mixmerge.report.verdict import verdicts
from mixmerge.report.wording import verdict_table, verdict_text
from report_material import layout, scores, write_results


def pairs(**means: float) -> dict[str, list[Pair]]:
    found = {}
    for model, mean in means.items():
        profile = Profile((0, 1), (mean - 0.1, mean + 0.1))
        found[model] = [Pair(("write", "explain"), profile, profile)]
    return found


def flat(text: str) -> str:
    return " ".join(text.split())


def test_mixing_wins_where_the_rule_says_so() -> None:
    study = layout()
    found = scores(study, {("mixed", "write-test.base"): 0.6})
    verdict = verdicts(study, found, pairs(tiny=0.7))
    (entry,) = verdict
    assert entry.margin == pytest.approx(5)
    assert (entry.winner, entry.predicted, entry.picked.variant) == ("mixing", "mixing", "mixed")
    text = flat(verdict_text(study, verdict))
    assert "Best on the test suites: Data mixture." in text
    assert "Data mixture +5.00 %, Blend (0.25 / 0.75) 0.00 %." in text
    assert "Mixing leads by 5.00 points." in text
    assert "write base 24 : 20 of 40" in text
    assert "r = 0.70 (mean over layers; 0.60 to 0.80), at or above 0.5" in text
    assert "the paper's rule says mix. That is right here." in text
    assert "no intervals" in text


def test_merging_wins_against_the_rule_and_is_chosen_on_validation() -> None:
    study = layout(select="validation", models=("one", "two"))
    special = {
        ("blend-0.75", "write-validation.base"): 0.6,
        ("blend-0.75", "write-test.base"): 0.55,
        ("blend-0.25", "write-test.base"): 0.9,
    }
    verdict = verdicts(study, scores(study, special), pairs(one=0.8, two=0.2))
    assert [entry.merge.variant for entry in verdict if entry.merge] == ["blend-0.75"] * 2
    assert [entry.margin for entry in verdict] == pytest.approx([-2.5, -2.5])
    text = flat(verdict_text(study, verdict))
    assert "Best on the validation suites: Blend (0.75 / 0.25)." in text
    assert "the paper's rule says mix. That is wrong here." in text
    assert "the paper's rule says merge. That is right here." in text
    assert "leans more to mixing in 0 of 1." in text
    lines = list(csv.DictReader(io.StringIO(sheet.render(verdict_table(study, verdict)))))
    assert [line["right"] for line in lines] == ["no", "yes"]
    assert [line["key"] for line in lines] == ["one", "two"]


def test_level_scores_have_no_winner() -> None:
    study = layout()
    text = flat(verdict_text(study, verdicts(study, scores(study), pairs(tiny=0.1))))
    assert "Mixing and merging are level." in text
    assert "There is nothing for it to call." in text


def test_no_merges_and_no_correlation() -> None:
    study = layout(ratios=())
    verdict = verdicts(study, scores(study), pairs(tiny=float("nan")))
    assert "Nothing was merged." in verdict_text(study, verdict)
    assert verdict_table(study, verdict).rows[0].cells[5].text == "–"
    study = layout()
    verdict = verdicts(study, scores(study), pairs(tiny=float("nan")))
    assert "correlation of the specialists' updates is not defined" in verdict_text(study, verdict)


def test_script_writes_the_declared_files(root: Path, tmp_path: Path) -> None:
    study = layout(tasks=3)
    write_results(study, tmp_path, scores(study))
    subprocess.run(
        [
            sys.executable,
            str(root / "workflow/scripts/verdict.py"),
            "--layout",
            study.model_dump_json(exclude_defaults=True),
            "--results",
            str(tmp_path),
            "--out",
            str(tmp_path / "tables"),
        ],
        check=True,
    )
    assert {path.name for path in (tmp_path / "tables").iterdir()} == set(VERDICT_FILES)


HEAD = "s\th:m:s\tmax_rss\tmax_vms\tmax_uss\tmax_pss\tio_in\tio_out\tmean_load\tcpu_time\n"


def benchmark(path: Path, *lines: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(HEAD + "".join(f"{line}\n" for line in lines))


def test_timings_by_rule(root: Path, tmp_path: Path) -> None:
    folder = tmp_path / "benchmarks"
    benchmark(folder / "sft/m/a.tsv", "30.0\t0:00:30\t900.5\t1\t1\t1\t0\t0\t90\t28.5")
    benchmark(folder / "sft/m/b.tsv", "10.0\t0:00:10\t100.0\t1\t1\t1\t0\t0\t90\t9.5")
    benchmark(folder / "corpus.tsv", "0.25\t0:00:00\t-\t-\t-\t-\t-\t-\tNA\tNA")
    table = timing_table(read_jobs(folder))
    lines = list(csv.DictReader(io.StringIO(sheet.render(table))))
    assert [line["rule"] for line in lines] == ["sft", "corpus", "total"]
    assert lines[0] == {
        "rule": "sft",
        "jobs": "2",
        "seconds": "40.0",
        "share": repr(100 * 40 / 40.25),
        "mean_seconds": "20.0",
        "max_seconds": "30.0",
        "cpu_seconds": "38.0",
        "max_rss_mb": "900.5",
    }
    assert lines[1]["max_rss_mb"] == lines[1]["cpu_seconds"] == ""
    assert lines[2]["seconds"] == "40.25" and lines[2]["jobs"] == "3"
    script = [sys.executable, str(root / "workflow/scripts/timing.py"), "--benchmarks", str(folder)]
    subprocess.run([*script, "--out", str(tmp_path / "t")], check=True)
    assert {path.name for path in (tmp_path / "t").iterdir()} == set(TIMING_FILES)


def test_foreign_and_absent_benchmarks_are_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="holds no benchmark"):
        read_jobs(tmp_path)
    (tmp_path / "x.tsv").write_text("a\tb\n1\t2\n")
    with pytest.raises(UserError, match=r"x\.tsv: no column 's'"):
        read_jobs(tmp_path)
