"""Tables: what stands in them, for any number of tasks, and how they are rendered."""

import csv
import io
import json
import subprocess
import sys
from pathlib import Path

import pytest

from mixmerge.core.errors import UserError
from mixmerge.report import sheet
from mixmerge.report.contest import ablation_table, compact_table, strategies_table
from mixmerge.report.entries import Entry, table_entries, table_files
from mixmerge.report.layout import Layout
from mixmerge.report.scale import scale_table
from mixmerge.report.scores import read_scores
from mixmerge.report.table import Cell, Row, Table, mark_best, number
from mixmerge.report.tables import build_tables, write_tables
from report_material import layout, scores, write_results

ENTRY = Entry("table3-strategies", "strategies", "Table 3")


def texts(table: Table) -> list[list[str]]:
    return [[cell.printed for cell in row.cells] for row in table.rows]


def test_specialist_line_takes_each_column_from_its_task() -> None:
    study = layout()
    found = scores(
        study,
        {
            ("write-at-100", "write-test.base"): 0.8,
            ("explain-at-100", "write-test.base"): 0.1,
            ("explain-at-100", "explain-test.plus"): 0.25,
            ("write-at-100", "explain-test.plus"): 0.9,
        },
    )
    table = strategies_table(study, ENTRY, found)
    base, specialists, mixture, merge = table.rows
    assert [cell.value for cell in specialists.cells] == ["Specialists", 0.8, 0.5, 0.5, 0.25, 0.0]
    assert [cell.printed for cell in mixture.cells] == [
        "Data mixture",
        "0.500 (−37.50)",
        "0.500 (0.00)",
        "0.500 (0.00)",
        "0.500 (100.00)",
        "15.62",
    ]
    assert base.cells[5].value == pytest.approx((-37.5 + 0 + 0 + 100) / 4)
    assert merge.cells[0].text == "Blend (0.25 / 0.75)"


def test_ratio_is_chosen_on_the_role_asked_for() -> None:
    special = {
        ("blend-0.25", "write-validation.base"): 0.9,
        ("blend-0.75", "write-test.base"): 0.9,
    }
    for role, label in (("validation", "Blend (0.25 / 0.75)"), ("test", "Blend (0.75 / 0.25)")):
        study = layout(select=role)
        table = strategies_table(study, ENTRY, scores(study, special))
        assert table.rows[-1].cells[0].text == label
        assert any(
            ("validation suites" if role == "validation" else "test suites themselves") in note
            for note in table.notes
        )


def test_first_of_equal_ratios_is_chosen() -> None:
    study = layout(ratios=(0.75, 0.25))
    table = strategies_table(study, ENTRY, scores(study))
    assert table.rows[-1].cells[0].text == "Blend (0.75 / 0.25)"


def test_zero_specialist_has_no_percentage_and_leaves_the_average() -> None:
    study = layout()
    found = scores(
        study,
        {("write-at-100", "write-test.base"): 0.0, ("mixed", "write-test.plus"): 0.75},
    )
    table = strategies_table(study, ENTRY, found)
    mixture = table.rows[2]
    assert mixture.cells[1].printed == "0.500 (–)"
    assert mixture.cells[5].value == pytest.approx(50 / 3)
    zero = [note for note in table.notes if "specialist's value prints as 0" in note]
    assert any("write base" in note for note in zero)
    line = list(csv.DictReader(io.StringIO(sheet.render(table))))[2]
    assert line["write-test.base_pct"] == ""


def test_all_specialists_zero_gives_no_average_anywhere() -> None:
    study = layout()
    special = {
        (f"{task}-at-100", f"{task}-test.{metric}"): 0.0
        for task in ("write", "explain")
        for metric in ("base", "plus")
    }
    for entry, build in ((ENTRY, strategies_table), (_entry(study, "ablation"), ablation_table)):
        table = build(study, entry, scores(study, special))
        assert {row.cells[5].text for row in table.rows} == {"–"}


def _entry(study: Layout, kind: str) -> Entry:
    return next(entry for entry in table_entries(study) if entry.kind == kind)


@pytest.mark.parametrize("tasks", [2, 3, 4])
def test_any_number_of_tasks(tasks: int, tmp_path: Path) -> None:
    study = layout(tasks=tasks, models=("one", "two"), compact_models=["two"])
    write_results(study, tmp_path, scores(study))
    write_tables(study, tmp_path, read_scores(study, tmp_path), tmp_path / "tables")
    written = {path.name for path in (tmp_path / "tables").iterdir()}
    assert written == set(table_files(study))
    with (tmp_path / "tables/table3-strategies.csv").open(newline="") as file:
        lines = list(csv.DictReader(file))
    assert len(lines) == 2 * 4
    assert sum(key.endswith("_pct") for key in lines[0]) == 2 * tasks
    assert lines[3]["weight.write"] == "0.25"


def test_lower_is_better_turns_the_sign_and_the_best() -> None:
    study = layout(ratios=())
    columns = [column.model_copy(update={"higher_is_better": False}) for column in study.columns]
    study = study.model_copy(update={"columns": columns})
    found = scores(study, {("mixed", "write-test.base"): 0.25})
    table = strategies_table(study, ENTRY, found)
    assert table.rows[2].cells[1].change == pytest.approx(50)


def test_no_merges_leaves_no_ablation_and_nothing_bold(tmp_path: Path) -> None:
    study = layout(ratios=())
    assert [entry.kind for entry in table_entries(study)] == [
        "hyperparameters",
        "data",
        "strategies",
        "data-scale",
    ]
    write_results(study, tmp_path, scores(study))
    write_tables(study, tmp_path, read_scores(study, tmp_path), tmp_path / "t")
    text = (tmp_path / "t/table3-strategies.md").read_text()
    assert "| Tiny model | Base |" in text
    assert not any("**" in line for line in text.splitlines() if line.startswith("|"))


def test_ablation_has_every_ratio_and_compact_every_checkpoint() -> None:
    study = layout(tasks=3, ratios=(0.2, 0.5, 0.8), compact_models=["tiny"], select="validation")
    found = scores(study, {("blend-0.5", "write-validation.plus"): 0.6})
    ablation = ablation_table(study, _entry(study, "ablation"), found)
    assert [line[0] for line in texts(ablation)] == [
        "Specialists",
        "Blend (0.2 / 0.4 / 0.4)",
        "Blend (0.5 / 0.25 / 0.25) †",
        "Blend (0.8 / 0.1 / 0.1)",
    ]
    assert ablation.fields[-1].header == "AVG, validation"
    compact = compact_table(study, _entry(study, "compact"), found)
    assert [line[0] for line in texts(compact)] == [
        "Base",
        "Write specialist",
        "Explain specialist",
        "Translate specialist",
        "Data mixture",
        "Blend (0.2 / 0.4 / 0.4)",
        "Blend (0.5 / 0.25 / 0.25)",
        "Blend (0.8 / 0.1 / 0.1)",
    ]


def test_data_scale_takes_each_task_from_its_specialist() -> None:
    study = layout(percents=(25, 50, 100))
    found = scores(
        study,
        {("write-at-25", "write-test.base"): 0.3, ("explain-at-50", "explain-test.base"): 0.7},
    )
    table = scale_table(study, _entry(study, "data-scale"), found)
    assert [line[1] for line in texts(table)] == ["25 %", "50 %", "100 %"]
    assert [row.cells[2].value for row in table.rows] == [0.3, 0.5, 0.5]
    assert [row.cells[4].value for row in table.rows] == [0.5, 0.7, 0.5]
    assert [row.cells[4].best for row in table.rows] == [False, True, False]


def test_best_marks_ties_and_no_lonely_row() -> None:
    cells = [Cell(0.5, "0.5"), Cell(0.5, "0.5"), Cell(0.4, "0.4"), Cell(0.9, "0.9")]
    rows = [Row((cell,), block="a", compared=i < 3) for i, cell in enumerate(cells)]
    rows.append(Row((Cell(1.0, "1"),), block="b", compared=True))
    marked = mark_best(rows, lower_is_better=set(), skip=set())
    assert [row.cells[0].best for row in marked] == [True, True, False, False, False]


def test_numbers_have_a_true_minus_and_no_negative_zero() -> None:
    assert number(-1.5, 2) == "−1.50"
    assert number(-0.001, 2) == "0.00"
    assert number(None, 2) == "–"


def test_missing_score_names_file_suite_and_metric(tmp_path: Path) -> None:
    study = layout()
    write_results(study, tmp_path, scores(study))
    path = tmp_path / "scores/tiny/mixed/scores.json"
    content = json.loads(path.read_text())
    del content["write-test"]["metrics"]["plus"]
    path.write_text(json.dumps(content))
    with pytest.raises(UserError, match=r"mixed/scores\.json: no value of metric 'plus'.*'write-"):
        read_scores(study, tmp_path)


def test_cut_off_completions_are_said() -> None:
    study = layout()
    found = scores(study)
    found["tiny", "mixed"].stopped["write-test"] = 0.9  # type: ignore[index]
    table = strategies_table(study, ENTRY, found)
    assert any("10.0 % (Tiny model, mixed, Write suite)" in note for note in table.notes)


def test_hyperparameters_are_grouped_by_size_class(tmp_path: Path) -> None:
    study = layout(models=("one", "two", "three"))
    runs = [
        run.model_copy(
            update={"settings": {"learning_rate": 5e-6, "lora": {"rank": 8, "alpha": 2}}}
        )
        if (run.model, run.training_set) == ("two", "explain")
        else run
        for run in study.runs
    ]
    models = [
        model.model_copy(update={"size": "large" if model.key == "three" else "small"})
        for model in study.models
    ]
    study = study.model_copy(update={"runs": runs, "models": models})
    write_results(study, tmp_path, scores(study))
    parameters = {"one": 1_540_000_000, "two": 2_000_000, "three": 7_000}
    statistics = json.loads((tmp_path / "data/statistics.json").read_text())
    table = next(build_tables(study, scores(study), statistics, parameters, {}))
    assert [field.header for field in table.fields] == [
        "Setting",
        "small (1)",
        "small (2)",
        "large",
    ]
    lines = {line[0]: line[1:] for line in texts(table)}
    assert lines["Parameters"] == ["1.54 B, 2 M", "2 M", "7 K"]
    assert lines["Learning rate"] == ["1e−5", "5e−6", "1e−5"]
    assert lines["Trained"] == ["all weights", "LoRA r 8, alpha 2", "all weights"]
    assert "small (2): Two model: explain" in table.notes[0]


def test_data_table_has_tasks_and_mixtures(tmp_path: Path) -> None:
    study = layout()
    write_results(study, tmp_path, scores(study))
    statistics = json.loads((tmp_path / "data/statistics.json").read_text())
    table = list(build_tables(study, scores(study), statistics, {}, {}))[1]
    assert [line[0] for line in texts(table)] == ["Write", "Explain", "Data mixture"]
    assert texts(table)[0][1:6] == ["1,200", "1", "90", "9", "1,100"]
    assert table.rows[2].cells[6].value == 2000


def test_table_names_need_no_heavy_library() -> None:
    code = (
        "import sys; import mixmerge.report.entries, mixmerge.study.layout; "
        "heavy = {'pandas', 'matplotlib', 'numpy', 'torch'} & set(sys.modules); "
        "assert not heavy, heavy"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_script_writes_the_declared_files(root: Path, tmp_path: Path) -> None:
    study = layout()
    write_results(study, tmp_path, scores(study))
    command = [
        sys.executable,
        str(root / "workflow/scripts/tables.py"),
        "--layout",
        study.model_dump_json(exclude_defaults=True),
        "--results",
        str(tmp_path),
        "--out",
        str(tmp_path / "tables"),
    ]
    subprocess.run(command, check=True)
    first = {path.name: path.read_bytes() for path in (tmp_path / "tables").iterdir()}
    assert set(first) == set(table_files(study))
    subprocess.run(command, check=True)
    assert {path.name: path.read_bytes() for path in (tmp_path / "tables").iterdir()} == first
    (tmp_path / "scores/tiny/base/scores.json").unlink()
    failed = subprocess.run(command, capture_output=True, text=True, check=False)
    assert failed.returncode == 1
    assert "base/scores.json: file not found; put it back" in failed.stderr
    assert "Traceback" not in failed.stderr


def test_order_of_tasks_survives_sorted_json() -> None:
    """Rules write JSON with sorted keys: "explain" would come before "write"."""
    study = layout(compact_models=["tiny"])
    text = json.dumps(study.model_dump(mode="json", exclude_defaults=True), sort_keys=True)
    sorted_study = Layout.model_validate_json(text)
    for entry, build in (
        (ENTRY, strategies_table),
        (_entry(study, "ablation"), ablation_table),
        (_entry(study, "compact"), compact_table),
    ):
        assert build(sorted_study, entry, scores(study)) == build(study, entry, scores(study))
