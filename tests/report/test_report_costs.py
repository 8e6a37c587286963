"""What mixing and merging cost: units, parts, and what is not known; and timings by rule."""

from pathlib import Path
from typing import Any

import pytest

from fixtures.report_study import change_json, csv_rows, decide, judged, layout, spend, write_json
from mixmerge.core.errors import UserError
from mixmerge.report.costs import read_bills, timing_table
from mixmerge.report.render import render


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

    def resize(suites: dict[str, Any]) -> None:
        for suite, entry in suites.items():
            items, tokens = (10, 7.0) if "validation" in suite else (30, 14.0)
            entry |= {"n": items, "completion_tokens": tokens}

    for variant in ("blend-0.25", "blend-0.75"):
        change_json(tmp_path / f"scores/tiny/{variant}/scores.json", resize)
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
    known = {"identity": "{}", "declared": "manifest.json", "text": "", "files": {}}
    write_json(record, known | {"seconds": 7200.0})
    assert read_bills(study, model, tmp_path, tmp_path)[0].training.core_hours == 2.0


HEAD = "s\th:m:s\tmax_rss\tmax_vms\tmax_uss\tmax_pss\tio_in\tio_out\tmean_load\tcpu_time\n"


def benchmark(path: Path, *lines: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(HEAD + "".join(f"{line}\n" for line in lines))


def test_timings_by_rule(tmp_path: Path) -> None:
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


def test_foreign_and_absent_benchmarks_are_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="holds no benchmark"):
        timing_table(tmp_path)
    (tmp_path / "x.tsv").write_text("a\tb\n1\t2\n")
    with pytest.raises(UserError, match=r"x\.tsv: no column 's'"):
        timing_table(tmp_path)
