"""What mixing and merging cost: units, parts, and what is not known; and timings by rule."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from fixtures.report_study import csv_rows, decide, judged, layout, spend
from mixmerge.core.errors import UserError
from mixmerge.report.costs import read_bills, timing_table
from mixmerge.report.entries import TIMING_FILES, VERDICT_FILES
from mixmerge.report.render import render
from mixmerge.report.settings import Layout, Strategy, Variant
from mixmerge.report.verdict import ModelVerdict
from mixmerge.report.verdict_tables import paragraphs, write_verdict


def words(study: Layout, found: list[ModelVerdict]) -> str:
    return " ".join(" ".join(paragraphs(study, entry)) for entry in found)


def test_core_hours_are_never_called_gpu_hours(tmp_path: Path) -> None:
    study = layout()
    decide(study, tmp_path)
    spend(
        study,
        tmp_path,
        {"sft": 1.0, "sft/mixed": 2.0, "merge": 0.25, "generate": 0.5, "score": 0.5},
        processes=2,
        threads=3,
    )
    out = tmp_path / "tables"
    write_verdict(study, judged(study, tmp_path), out)
    for name in VERDICT_FILES:
        text = (out / name).read_text()
        assert "GPU-h" not in text and "gpu_hours" not in text, name
    mixture, blend = csv_rows(out / "verdict-costs.csv")
    assert (mixture["key"], mixture["total_core_hours"]) == ("mixture", "12.0")
    assert mixture["marginal_core_hours"] == "12.0"
    assert float(blend["training_core_hours"]) == 12.0
    assert float(blend["merging_core_hours"]) == 0.5
    assert float(blend["selection_core_hours"]) == 0.5 * (2 * 0.5 * 2 + 2 * 0.5 * 4)
    assert float(blend["total_core_hours"]) == 15.5
    assert float(blend["marginal_core_hours"]) == 3.5
    assert "nothing here ran on GPU" in (out / "verdict.md").read_text()


def test_gpu_jobs_and_cpu_jobs_are_counted_apart(tmp_path: Path) -> None:
    study = layout()
    decide(study, tmp_path)
    spend(
        study,
        tmp_path,
        {"sft": 4.0, "sft/mixed": 8.0, "merge": 0.25, "generate": 0.5, "score": 0.5},
        device="cuda",
        processes=4,
        threads=8,
    )
    found = judged(study, tmp_path)
    out = tmp_path / "tables"
    write_verdict(study, found, out)
    mixture, blend = csv_rows(out / "verdict-costs.csv")
    assert (mixture["total_gpu_hours"], mixture["total_core_hours"]) == ("32.0", "0.0")
    assert (blend["training_gpu_hours"], blend["training_core_hours"]) == ("32.0", "0.0")
    assert float(blend["selection_gpu_hours"]) == 0.5
    assert float(blend["merging_core_hours"]) == 0.5
    assert float(blend["selection_core_hours"]) == 2.0
    text = words(study, found)
    assert "Training the mixture took 32.0 GPU-hours, merging 32.5 GPU-hours and 2.50 core-" in text


def test_missing_benchmarks_are_a_dash_and_a_note(tmp_path: Path) -> None:
    study = layout()
    decide(study, tmp_path)
    spend(study, tmp_path, {"sft": 1.0})
    (tmp_path / "benchmarks/merge/tiny/blend-0.75.tsv").unlink()
    found = judged(study, tmp_path)
    out = tmp_path / "tables"
    write_verdict(study, found, out)
    mixture, blend = csv_rows(out / "verdict-costs.csv")
    assert (mixture["total_core_hours"], blend["training_core_hours"]) == ("1.0", "2.0")
    assert blend["merging_core_hours"] == blend["total_core_hours"] == ""
    assert "– : a job has no benchmark file" in (out / "verdict.md").read_text()
    assert "took 1.00 core-hours, merging an unknown time." in words(study, found)


def test_an_unknown_device_is_no_cost(tmp_path: Path) -> None:
    study = layout()
    decide(study, tmp_path)
    spend(study, tmp_path, {"sft": 1.0}, device="tpu")
    assert "What mixing and merging cost is not known." in words(study, judged(study, tmp_path))


def test_resumed_training_is_a_lower_bound(tmp_path: Path) -> None:
    study = layout()
    decide(study, tmp_path)
    hours = {"sft": 2.0, "sft/mixed": 3.0}
    spend(study, tmp_path, hours, resumed="mixed")
    found = judged(study, tmp_path)
    # Dearer than its known part, by nobody knows how much: the mixture may be the dearer one.
    assert found[0].recommended == (None, "unknown cost")
    assert "Training the mixture took at least 3.00 core-hours, merging 4.00" in (
        words(study, found)
    )
    write_verdict(study, found, tmp_path / "tables")
    text = (tmp_path / "tables" / "verdict.md").read_text()
    assert "≥ 3.00" in text and "took over from an interrupted one" in text
    spend(study, tmp_path, hours, resumed="write-at-100")
    assert judged(study, tmp_path)[0].recommended == ("mixing", "cost")


def test_strategies_compete_and_all_of_them_are_paid_for(tmp_path: Path) -> None:
    study = layout(select="validation")
    karcher = Strategy(key="karcher", title="Karcher", recipe="merge_method karcher")
    study.strategies.append(karcher)
    study.models[0].variants.append(Variant(name="karcher", kind="merge", strategy="karcher"))
    special = {
        ("karcher", "write-validation.base"): 0.55,
        ("karcher", "write-test.base"): 0.45,
        ("blend-0.25", "write-test.base"): 0.6,
    }
    decide(study, tmp_path, special)
    hours = {"sft": 1.0, "sft/mixed": 2.0, "merge": 0.5, "merge/karcher": 4.0, "generate": 1.0}
    spend(study, tmp_path, hours)
    (entry,) = judged(study, tmp_path)
    assert entry.merge and entry.merge.name == "Karcher"
    contest, sensitivity, _ = paragraphs(study, entry)
    assert "Karcher, the best of 3 merges," in contest and "p = 0.001)" in contest
    assert "The 2 strategies, each at its chosen ratio, span 7.50 points" in sensitivity
    assert "from −2.50 % (Karcher) to +5.00 % (Blend (0.25 / 0.75)): more than" in sensitivity
    assert "the merge chosen lies 7.50 points below the best of all." in sensitivity
    write_verdict(study, [entry], tmp_path / "tables")
    bills = {row["key"]: row for row in csv_rows(tmp_path / "tables/verdict-costs.csv")}
    # One merge leaves nothing to choose within its strategy, but it competes with the others.
    assert float(bills["karcher"]["selection_core_hours"]) == 0
    assert float(bills["karcher"]["total_core_hours"]) == 6
    assert float(bills["all"]["selection_core_hours"]) == 3
    assert float(bills["all"]["total_core_hours"]) == 2 + 5 + 3
    (blend, other) = csv_rows(tmp_path / "tables/verdict-ratios.csv")
    assert float(blend["spread"]) == pytest.approx(5)
    assert (blend["chosen"], blend["regret"]) == ("blend-0.25", "0.0")
    assert (other["spread"], other["merges"]) == ("", "1")


def test_specialists_of_a_strategy_on_some_of_the_tasks(tmp_path: Path) -> None:
    study = layout(tasks=3)
    study.strategies[0].tasks.extend(["write", "explain"])
    decide(study, tmp_path)
    spend(study, tmp_path, {"sft": 1.0})
    (entry,) = judged(study, tmp_path)
    assert entry.merging_bill and entry.merging_bill.specialists == 2
    assert entry.merging_bill.training.core_hours == 2


def test_choosing_is_the_deciding_suites_part_of_a_job(tmp_path: Path) -> None:
    study = layout(select="validation")
    decide(study, tmp_path)
    spend(study, tmp_path, {"generate": 1.0, "score": 1.0})
    for variant in ("blend-0.25", "blend-0.75"):
        path = tmp_path / "scores" / "tiny" / variant / "scores.json"
        found = json.loads(path.read_text())
        for suite, entry in found.items():
            entry |= {"n": 10 if "validation" in suite else 30}
            entry |= {"completion_tokens": 7.0 if "validation" in suite else 14.0}
        path.write_text(json.dumps(found))
    (entry,) = judged(study, tmp_path)
    assert entry.merging_bill
    # Tokens: 70 of 70 + 420; items: 10 of 10 + 30. Two merges, 2 threads, 4 workers.
    wanted = 2 * (2 * 70 / 490 + 4 * 10 / 40)
    assert entry.merging_bill.selection.core_hours == pytest.approx(wanted)


def test_completions_and_scores_may_lie_elsewhere(tmp_path: Path) -> None:
    study = layout()
    here, shelf = tmp_path / "here", tmp_path / "shelf"
    decide(study, here)
    spend(study, here, {"sft": 1.0, "merge": 0.25, "generate": 0.5, "score": 0.5})
    model = study.models[0]
    before = read_bills(study, model, here, here)
    assert any(bill.selection.core_hours for bill in before)
    shelf.mkdir()
    for kind in ("completions", "scores"):
        (here / kind).rename(shelf / kind)
    assert read_bills(study, model, here, shelf) == before


def test_a_job_that_ended_at_once_is_billed_for_the_work_behind_its_result(tmp_path: Path) -> None:
    study = layout()
    decide(study, tmp_path)
    spend(study, tmp_path, {"sft": 0.5, "merge": 0.25, "generate": 0.5, "score": 0.5})
    model = study.models[0]
    record = tmp_path / "checkpoints" / model.key / f".{model.mixture}.made"
    known = {"identity": {}, "declared": "manifest.json", "text": "", "files": {}}
    record.write_text(json.dumps(known | {"seconds": 7200.0}))
    assert read_bills(study, model, tmp_path, tmp_path)[0].training.core_hours == 2.0


HEAD = "s\th:m:s\tmax_rss\tmax_vms\tmax_uss\tmax_pss\tio_in\tio_out\tmean_load\tcpu_time\n"


def benchmark(path: Path, *lines: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(HEAD + "".join(f"{line}\n" for line in lines))


def test_timings_by_rule(root: Path, tmp_path: Path) -> None:
    folder = tmp_path / "benchmarks"
    benchmark(folder / "sft/m/a.tsv", "30.0\t0:00:30\t900.5\t1\t1\t1\t0\t0\t90\t28.5")
    benchmark(folder / "sft/m/b.tsv", "10.0\t0:00:10\t100.0\t1\t1\t1\t0\t0\t90\t9.5")
    benchmark(folder / "corpus.tsv", "0.25\t0:00:00\t-\t-\t-\t-\t-\t-\tNA\tNA")
    table = timing_table(folder)
    lines = csv_rows(render(table, "csv"))
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
        timing_table(tmp_path)
    (tmp_path / "x.tsv").write_text("a\tb\n1\t2\n")
    with pytest.raises(UserError, match=r"x\.tsv: no column 's'"):
        timing_table(tmp_path)
