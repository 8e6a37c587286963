"""Tables of the study: what stands in them, for any number of tasks, and what marks it."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from fixtures.forks import run_script
from fixtures.report_study import (
    change_json,
    csv_rows,
    decide,
    judged,
    layout,
    read,
    results,
    spend,
)
from mixmerge.report.layout import (
    TIMING_FILES,
    VERDICT_FILES,
    Entry,
    Layout,
    Strategy,
    Variant,
    figure_files,
    table_entries,
    table_files,
)
from mixmerge.report.render import Cell, Table, render
from mixmerge.report.results import Items, Results
from mixmerge.report.study_tables import mark_best, study_table
from mixmerge.report.verdict import verdict_tables

RATIOS = (0.25, 0.5, 0.75)

#: Validation prefers the first ratio by far, the test suites the last.
DISAGREE = {
    (f"blend-{ratio}", f"write-{role}.base"): value
    for role, values in (("validation", (0.9, 0.6, 0.1)), ("test", (0.1, 0.6, 0.9)))
    for ratio, value in zip(RATIOS, values, strict=True)
}

#: The mixture is level with the specialist in two columns of four, and so in AVG is one merge.
LEVEL = {
    ("mixed", "write-test.base"): 0.25,
    ("mixed", "explain-test.base"): 0.75,
    ("blend-0.25", "write-test.base"): 0.25,
    ("blend-0.25", "explain-test.plus"): 0.75,
    ("blend-0.75", "write-test.base"): 0.1,
    ("base", "write-test.base"): 0.1,
    ("write-at-50", "write-test.plus"): 0.4,
}


def entry(study: Layout, kind: str) -> Entry:
    return next(entry for entry in table_entries(study) if entry.kind == kind)


def table(found: Results, kind: str = "strategies", root: Path = Path()) -> Table:
    return study_table(found, entry(found.layout, kind), root)


def texts(table: Table) -> list[list[str]]:
    return [[cell.printed for cell in row.cells] for row in table.rows]


def test_specialist_line_takes_each_column_from_its_task() -> None:
    special = {
        ("write-at-100", "write-test.base"): 0.8,
        ("explain-at-100", "write-test.base"): 0.1,
        ("explain-at-100", "explain-test.plus"): 0.25,
        ("write-at-100", "explain-test.plus"): 0.9,
    }
    base, specialists, mixture, merge = table(results(layout(), special)).rows
    assert [cell.value for cell in specialists.cells] == ["Specialists", 0.8, 0.5, 0.5, 0.25, 0.0]
    changes = ["0.500 (−37.50)", "0.500 (0.00)", "0.500 (0.00)", "0.500 (100.00)"]
    assert [cell.printed for cell in mixture.cells] == ["Data mixture", *changes, "15.62"]
    assert base.cells[5].value == pytest.approx((-37.5 + 0 + 0 + 100) / 4)
    assert merge.cells[0].text == "Blend (0.25 / 0.75)"


@pytest.mark.parametrize(
    ("select", "name", "note"),
    [
        ("validation", "Blend (0.25 / 0.75)", "AVG on the validation suites."),
        ("test", "Blend (0.75 / 0.25)", "AVG on these test suites themselves, which flatters"),
    ],
)
def test_ratio_is_chosen_on_the_role_asked_for(select: str, name: str, note: str) -> None:
    shown = table(results(layout(ratios=RATIOS, select=select), DISAGREE))
    assert shown.rows[-1].cells[0].text == name
    assert any(note in text for text in shown.texts[1:])


def test_the_choice_on_validation() -> None:
    """No test score moves it; the first of equals wins; a lonely ratio, and no merge."""
    study = layout(ratios=RATIOS, select="validation")
    columns = study.columns_of("test")
    for ratios, special, names in (
        *((RATIOS, DISAGREE | {("blend-0.75", c.key): v for c in columns}, [0.25]) for v in (0, 1)),
        ((0.75, 0.25), {}, [0.75]),
        ((0.5,), {("blend-0.5", c.key): 0.0 for c in study.columns}, [0.5]),
        ((), {}, []),
    ):
        study = layout(ratios=ratios, select="validation")
        picks = results(study, special).chosen(study.models[0])
        assert [pick.name for pick in picks] == [f"blend-{ratio}" for ratio in names]
    study = layout(ratios=RATIOS, select="validation")
    study.models[0].variants.append(Variant(name="karcher", kind="merge", strategy="karcher"))
    study.strategies.append(Strategy(key="karcher", title="Karcher", recipe="karcher"))
    found = results(study, DISAGREE | {("karcher", "write-validation.base"): 0.0})
    assert [pick.name for pick in found.chosen(study.models[0])] == ["blend-0.25", "karcher"]


def test_zero_specialist_has_no_percentage_and_leaves_the_average() -> None:
    special = {("write-at-100", "write-test.base"): 0.0, ("mixed", "write-test.plus"): 0.75}
    shown = table(results(layout(), special))
    mixture = shown.rows[2]
    assert mixture.cells[1].printed == "0.500 (–)"
    assert mixture.cells[5].value == pytest.approx(50 / 3)
    [note] = [note for note in shown.texts[1:] if "specialist's value prints as 0" in note]
    assert "write base" in note
    assert csv_rows(render(shown, "csv"))[2]["write-test.base_pct"] == ""
    columns = [(t, m) for t in ("write", "explain") for m in ("base", "plus")]
    special = {(f"{task}-at-100", f"{task}-test.{metric}"): 0.0 for task, metric in columns}
    for kind in ("strategies", "ablation"):
        shown = table(results(layout(), special), kind)
        assert {row.cells[5].text for row in shown.rows} == {"–"}


def test_a_sweep_says_how_far_its_ratio_reaches(tmp_path: Path) -> None:
    """Under its last line, in every rendering, of the sweeps' tables; in CSV in each line."""
    study = layout(ratios=RATIOS, compact_models=["tiny"])
    decide(study, tmp_path)
    spend(study, tmp_path, {})
    for ratio, share in zip(RATIOS, (0.376, 0.0, 0.376), strict=True):
        path = tmp_path / f"checkpoints/tiny/blend-{ratio}/manifest.json"
        path.write_text(json.dumps({"facts": {"ratio_reach": share}}))
    found, note = read(study, tmp_path), "ratio reaches 38 % of the elements"
    shown = {kind: table(found, kind, tmp_path) for kind in ("strategies", "ablation", "compact")}
    shown["verdict"] = verdict_tables(study, judged(study, tmp_path))[3]
    for kind, each in shown.items():
        last = 0 if kind == "strategies" else 1
        assert [row.note for row in each.rows].count(note) == last
        assert len([text for text in each.texts if "taken whole" in text]) == last
        assert (not last) or each.rows[-1].note == note
        for form in ("md", "html", "txt"):
            assert render(each, form).count(note) == last
        assert render(each, "tex").count(note.replace("%", r"\%")) == last
        rows = csv_rows(render(each, "csv"))
        assert {row.get("ratio_reach", "") for row in rows} - {""} == ({"0.376"} if last else set())
    lines = render(shown["ablation"], "md").splitlines()
    at = next(number for number, line in enumerate(lines) if note in line)
    assert lines[at - 1].startswith("| Blend (0.75 / 0.25)")
    assert lines[at].count("|") == lines[at - 1].count("|")


def test_lower_is_better_turns_the_sign() -> None:
    study = layout(ratios=())
    columns = [column.model_copy(update={"higher_is_better": False}) for column in study.columns]
    study = study.model_copy(update={"columns": columns})
    shown = table(results(study, {("mixed", "write-test.base"): 0.25}))
    assert shown.rows[2].cells[1].extra["pct"] == pytest.approx(50)


def test_no_merges_leaves_no_ablation_and_nothing_bold() -> None:
    study = layout(ratios=())
    kinds = ["hyperparameters", "data", "strategies", "data-scale"]
    assert [entry.kind for entry in table_entries(study)] == kinds
    text = render(table(results(study)), "md")
    assert "| Tiny model | Base |" in text
    assert not any("**" in line for line in text.splitlines() if line.startswith("|"))


def test_ablation_has_every_ratio_and_compact_every_checkpoint() -> None:
    study = layout(tasks=3, ratios=(0.2, 0.5, 0.8), compact_models=["tiny"], select="validation")
    found = results(study, {("blend-0.5", "write-validation.plus"): 0.6})
    merges = ["Blend (0.2 / 0.4 / 0.4)", "Blend (0.5 / 0.25 / 0.25)", "Blend (0.8 / 0.1 / 0.1)"]
    ablation = table(found, "ablation")
    first = [merges[0], f"{merges[1]} †", merges[2]]
    assert [line[0] for line in texts(ablation)] == ["Specialists", *first]
    assert ablation.fields[-1].header == "AVG, validation"
    specialists = [f"{task} specialist" for task in ("Write", "Explain", "Translate")]
    names = [line[0] for line in texts(table(found, "compact"))]
    assert names == ["Base", *specialists, "Data mixture", *merges]


def test_data_scale_takes_each_task_from_its_specialist() -> None:
    special = {("write-at-25", "write-test.base"): 0.3, ("explain-at-50", "explain-test.base"): 0.7}
    rows = table(results(layout(percents=(25, 50, 100)), special), "data-scale").rows
    assert [row.cells[1].text for row in rows] == ["25 %", "50 %", "100 %"]
    assert [row.cells[2].value for row in rows] == [0.3, 0.5, 0.5]
    assert [row.cells[4].value for row in rows] == [0.5, 0.7, 0.5]
    assert [row.cells[4].best for row in rows] == [False, True, False]


def test_mixtures_at_several_percentages_have_lines_in_data_scale() -> None:
    study = layout()
    study.models[0].variants.append(Variant(name="mixed-50", kind="mix", percent=50))
    found = results(study, {("mixed-50", "write-test.base"): 0.9})
    rows = table(found, "data-scale").rows
    assert [(row.cells[0].text, row.cells[1].text) for row in rows] == [
        *(("Specialists", share) for share in ("50 %", "100 %")),
        *(("Data mixture", share) for share in ("100 %", "50 %")),
    ]
    assert (rows[3].cells[2].value, rows[3].cells[2].best) == (0.9, False)


def test_best_marks_ties_and_no_lonely_row() -> None:
    values = {"a": (0.5, 0.5, 0.4, 0.9), "b": (1.0,)}
    records: list[dict[str, Any]] = [
        {"block": block, "x": Cell(value, str(value)), "compared": value != 0.9}
        for block, part in values.items()
        for value in part
    ]
    mark_best(records, ["x"], set())
    assert [record["x"].best for record in records] == [True, True, False, False, False]


def test_cut_off_completions_are_said() -> None:
    found = results(layout())
    found.items = {**found.items, ("tiny", "mixed", "write-test"): Items(40, 0.9)}
    assert any("10.0 % (Tiny model, mixed, Write suite)" in note for note in table(found).texts[1:])


def test_hyperparameters_are_grouped_by_size_class(tmp_path: Path) -> None:
    study = layout(models=("one", "two", "three"))
    other = {"learning_rate": 5e-6, "lora": {"rank": 8, "alpha": 2}}
    runs = [
        run.model_copy(update={"settings": other})
        if (run.model, run.training_set) == ("two", "explain")
        else run
        for run in study.runs
    ]
    sizes = {"three": "large"}
    models = [m.model_copy(update={"size": sizes.get(m.key, "small")}) for m in study.models]
    study = study.model_copy(update={"runs": runs, "models": models})
    decide(study, tmp_path)
    for key, count in (("two", 2_000_000), ("three", 7_000)):
        change_json(
            tmp_path / "checkpoints" / key / "base/manifest.json",
            lambda _, count=count: {"facts": {"parameters": count}},
        )
    shown = table(results(study), "hyperparameters", tmp_path)
    assert [f.header for f in shown.fields] == ["Setting", "small (1)", "small (2)", "large"]
    lines = {line[0]: line[1:] for line in texts(shown)}
    assert lines["Parameters"] == ["1.54 B, 2 M", "2 M", "7 K"]
    assert lines["Learning rate"] == ["1e−5", "5e−6", "1e−5"]
    assert lines["Trained"] == ["all weights", "LoRA r 8, alpha 2", "all weights"]
    assert "small (2): Two model: explain" in shown.texts[1]


def test_data_table_has_tasks_and_mixtures(tmp_path: Path) -> None:
    study = layout()
    decide(study, tmp_path)
    shown = table(results(study), "data", tmp_path)
    assert [line[0] for line in texts(shown)] == ["Write", "Explain", "Data mixture"]
    assert texts(shown)[0][1:6] == ["1,200", "1", "90", "9", "1,100"]
    assert texts(shown)[0][8:] == ["10.2", "30", "10.2", "30"]
    assert shown.rows[2].cells[6].value == 2000


def test_the_data_table_says_what_was_left_out_or_not_compared(tmp_path: Path) -> None:
    study = layout()
    decide(study, tmp_path)
    change_json(tmp_path / "data/statistics.json", lambda c: {**c, "notes": ["items: 3 of 9"]})
    assert "Items: 3 of 9." in table(results(study), "data", tmp_path).texts


@pytest.mark.slow
def test_table_names_need_no_heavy_library() -> None:
    code = (
        "import sys; import mixmerge.report.layout, mixmerge.study.layout; "
        "heavy = {'pandas', 'matplotlib', 'numpy', 'torch', 'jinja2'} & set(sys.modules); "
        "assert not heavy, heavy"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


@pytest.mark.slow
def test_scripts_write_what_the_rules_declare(tmp_path: Path) -> None:
    """And nothing where a score is missing, nor over what stands there."""
    study = layout(tasks=4, models=("one", "two"), compact_models=["two"])
    decide(study, tmp_path)
    spend(study, tmp_path, {"sft": 1.0})

    given = ["--layout", study.model_dump_json(exclude_defaults=True), "--results", tmp_path]
    for name, files, arguments in (
        ("tables", table_files(study), given),
        ("verdict", VERDICT_FILES, given),
        ("figures", figure_files(study), given),
        ("timing", TIMING_FILES, ["--benchmarks", tmp_path / "benchmarks"]),
    ):
        done = run_script(f"{name}.py", *arguments, "--out", tmp_path / f"out-{name}")
        assert done.returncode == 0, done.stderr
        assert {path.name for path in (tmp_path / f"out-{name}").iterdir()} == set(files)
    lines = csv_rows(tmp_path / "out-tables/table3-strategies.csv")
    assert len(lines) == 2 * 4 and lines[3]["weight.write"] == "0.25"
    assert sum(key.endswith("_pct") for key in lines[0]) == 2 * 4
    first = {path: path.read_bytes() for path in (tmp_path / "out-tables").iterdir()}
    (tmp_path / "scores/one/base/scores.json").unlink()
    failed = run_script("tables.py", *given, "--out", tmp_path / "out-tables")
    assert failed.returncode == 1 and "Traceback" not in failed.stderr
    assert "base/scores.json: file not found; put it back" in failed.stderr
    assert {path: path.read_bytes() for path in (tmp_path / "out-tables").iterdir()} == first


@pytest.mark.parametrize("kind", ["strategies", "ablation", "compact"])
def test_order_of_tasks_survives_sorted_json(kind: str) -> None:
    """Rules write JSON with sorted keys: "explain" would come before "write"."""
    study = layout(compact_models=["tiny"])
    text = json.dumps(study.model_dump(mode="json", exclude_defaults=True), sort_keys=True)
    again = Layout.model_validate_json(text)
    assert table(results(again), kind) == table(results(study), kind)


def evident(tmp_path: Path, kind: str = "strategies") -> Table:
    study = layout(compact_models=["tiny"], select="validation")
    decide(study, tmp_path, LEVEL)
    return table(read(study, tmp_path), kind)


def marks(shown: Table) -> dict[str, list[str]]:
    return {row.cells[0].text: [cell.mark for cell in row.cells[1:]] for row in shown.rows}


def test_marks_say_what_is_level_with_specialist_and_mixture(tmp_path: Path) -> None:
    shown = evident(tmp_path)
    assert marks(shown) == {
        "Base": ["", "≈", "≈", "≈", ""],
        "Specialists": ["", "", "", "", ""],
        "Data mixture": ["", "≈", "", "≈", "≈"],
        "Blend (0.25 / 0.75)": ["", "≈", "≈", "", "≈‡"],
    }
    mixture = shown.rows[2].cells
    assert mixture[2].printed == "0.500 (0.00)≈"
    assert mixture[5].printed == "0.00≈ [−1.0, 1.0]"
    assert mixture[1].hint == "95 %: 0.200, 0.300; p = 0.001 against the specialist"
    assert shown.rows[1].cells[1].hint == "95 %: 0.450, 0.550"
    [note] = [note for note in shown.texts[1:] if note.startswith("≈")]
    assert "‡" in note and "95 %" in note and "10,000 resamples" in note and "Holm" in note
    plain = table(results(layout(), LEVEL))  # without evidence
    assert not any(mark for line in marks(plain).values() for mark in line)
    assert "_low" not in render(plain, "csv") and "≈" not in render(plain, "md")


def test_ablation_has_the_interval_of_avg_on_validation_in_csv_only(tmp_path: Path) -> None:
    shown = evident(tmp_path, "ablation")
    assert marks(shown)["Blend (0.75 / 0.25)"] == ["", "≈", "≈", "≈", "", ""]
    line = csv_rows(render(shown, "csv"))[1]
    assert (line["avg_validation_low"], line["avg_validation_high"]) == ("-1.0", "1.0")
    assert "avg_validation_p_adjusted" not in line
    assert shown.rows[1].cells[-1].printed == "0.00"


def test_data_scale_marks_what_more_data_did_not_change(tmp_path: Path) -> None:
    shown = evident(tmp_path, "data-scale")
    found = [[cell.mark for cell in row.cells[2:]] for row in shown.rows]
    assert found == [["≈", "", "≈", "≈"], ["", "", "", ""]]
    [note] = [note for note in shown.texts[1:] if note.startswith("≈")]
    assert "AVG" not in note and "‡" not in note


def test_csv_has_every_interval_and_p_value(tmp_path: Path) -> None:
    base, specialists, mixture, merge = csv_rows(render(evident(tmp_path), "csv"))
    names = list(merge)
    start = names.index("write-test.base")
    suffixes = ["", "_pct", "_low", "_high", "_p_adjusted", "_p_adjusted_mixture"]
    assert names[start : start + 6] == [f"write-test.base{suffix}" for suffix in suffixes]
    assert (float(merge["write-test.base_low"]), float(merge["write-test.base_high"])) == (0.2, 0.3)
    assert merge["write-test.base_p_adjusted"] == "0.001"
    assert merge["write-test.base_p_adjusted_mixture"] == "1.0"
    assert merge["avg_p_adjusted_mixture"] == "1.0" and merge["avg_low"] == "-1.0"
    assert mixture["avg_p_adjusted"] == "1.0" and mixture["avg_p_adjusted_mixture"] == ""
    assert specialists["write-test.base_low"] == "0.45"
    assert specialists["write-test.base_p_adjusted"] == specialists["avg_low"] == ""
    assert base["avg_p_adjusted"] == "0.001"
