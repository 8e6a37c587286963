"""Evidence in tables: marks in print, intervals and p-values in CSV."""

import csv
import io
import json
from pathlib import Path

import pytest

from mixmerge.core.errors import UserError
from mixmerge.report import latex, markdown, page, plain, sheet
from mixmerge.report.contest import ablation_table, compact_table, strategies_table
from mixmerge.report.entries import table_entries
from mixmerge.report.evidence import Evidence, read_evidence
from mixmerge.report.layout import Layout
from mixmerge.report.scale import scale_table
from mixmerge.report.scores import Scores, read_scores
from mixmerge.report.table import Table
from mixmerge.report.tables import write_tables
from mixmerge.uncertainty.analysis import analyse
from report_material import layout, scores, write_results
from uncertainty_material import settings, study, write_rows

#: The mixture is level with the specialist in two columns of four, and so in AVG is one merge.
SPECIAL = {
    ("mixed", "write-test.base"): 0.25,
    ("mixed", "explain-test.base"): 0.75,
    ("blend-0.25", "write-test.base"): 0.25,
    ("blend-0.25", "explain-test.plus"): 0.75,
    ("blend-0.75", "write-test.base"): 0.1,
    ("base", "write-test.base"): 0.1,
    ("write-at-50", "write-test.plus"): 0.4,
}


def given(tmp_path: Path, found: Layout) -> tuple[Scores, dict[str, Evidence]]:
    write_results(found, tmp_path, scores(found, SPECIAL))
    return read_scores(found, tmp_path), read_evidence(found, tmp_path)


def build(tmp_path: Path, kind: str) -> Table:
    found = layout(compact_models=["tiny"], select="validation")
    entry = next(entry for entry in table_entries(found) if entry.kind == kind)
    build = {
        "strategies": strategies_table,
        "ablation": ablation_table,
        "compact": compact_table,
        "data-scale": scale_table,
    }[kind]
    return build(found, entry, *given(tmp_path, found))


def marks(table: Table) -> dict[str, list[str]]:
    return {row.cells[0].text: [cell.mark for cell in row.cells[1:]] for row in table.rows}


def test_marks_say_what_is_level_with_specialist_and_mixture(tmp_path: Path) -> None:
    table = build(tmp_path, "strategies")
    assert marks(table) == {
        "Base": ["", "≈", "≈", "≈", ""],
        "Specialists": ["", "", "", "", ""],
        "Data mixture": ["", "≈", "", "≈", "≈"],
        "Blend (0.25 / 0.75)": ["", "≈", "≈", "", "≈‡"],
    }
    mixture = table.rows[2].cells
    assert mixture[2].printed == "0.500 (0.00)≈"
    assert mixture[5].printed == "0.00≈ [−1.0, 1.0]"
    assert mixture[1].hint == "95 %: 0.200, 0.300; p = 0.001 against the specialist"
    assert table.rows[1].cells[1].hint == "95 %: 0.450, 0.550"
    (note,) = (note for note in table.notes if note.startswith("≈"))
    assert "‡" in note and "95 %" in note and "10,000 resamples" in note and "Holm" in note


def test_ablation_has_the_interval_of_avg_on_validation_in_csv_only(tmp_path: Path) -> None:
    table = build(tmp_path, "ablation")
    assert marks(table)["Blend (0.75 / 0.25)"] == ["", "≈", "≈", "≈", "", ""]
    line = list(csv.DictReader(io.StringIO(sheet.render(table))))[1]
    assert (line["avg_validation_low"], line["avg_validation_high"]) == ("-1.0", "1.0")
    assert "avg_validation_p_adjusted" not in line
    assert table.rows[1].cells[-1].printed == "0.00"


def test_data_scale_marks_what_more_data_did_not_change(tmp_path: Path) -> None:
    table = build(tmp_path, "data-scale")
    assert [[cell.mark for cell in row.cells[2:]] for row in table.rows] == [
        ["≈", "", "≈", "≈"],
        ["", "", "", ""],
    ]
    (note,) = (note for note in table.notes if note.startswith("≈"))
    assert "AVG" not in note and "‡" not in note


def test_csv_has_every_interval_and_p_value(tmp_path: Path) -> None:
    lines = list(csv.DictReader(io.StringIO(sheet.render(build(tmp_path, "strategies")))))
    base, specialists, mixture, merge = lines
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


def test_renderings(tmp_path: Path) -> None:
    table = build(tmp_path, "strategies")
    assert "| 0.500 (0.00)≈ |" in markdown.render(table)
    assert "0.00≈‡ [−1.0, 1.0]" in plain.render(table)
    text = latex.render(table)
    assert text.isascii()
    assert r"0.500 (0.00)\rlap{\textsuperscript{$\approx$}}" in text
    assert r"\textbf{0.00}\textsuperscript{$\approx$\ddag{}} {\footnotesize [$-$1.0, 1.0]}" in text
    html = page.render(table)
    assert '<span class="mark">≈‡</span> <span class="interval">[−1.0, 1.0]</span>' in html
    # Columns with marks keep room for them in every line; those without have none.
    first = html.split('<th scope="row">Specialists</th>')[1].split("</tr>")[0].split("</td>")
    assert ['class="mark"' in cell for cell in first[:5]] == [False, True, True, True, True]
    assert 'title="95 %: 0.450, 0.550"' in html


def test_without_evidence_nothing_is_marked(tmp_path: Path) -> None:
    found = layout()
    entry = next(entry for entry in table_entries(found) if entry.kind == "strategies")
    table = strategies_table(found, entry, scores(found, SPECIAL))
    assert not any(mark for line in marks(table).values() for mark in line)
    assert "_low" not in sheet.render(table) and "≈" not in markdown.render(table)


def test_incomplete_evidence_is_refused(tmp_path: Path) -> None:
    found = layout()
    write_results(found, tmp_path, scores(found))
    path = tmp_path / "uncertainty/tiny.json"
    content = json.loads(path.read_text())
    del content["intervals"]["mixed"]["write-test.plus"]
    path.write_text(json.dumps(content))
    with pytest.raises(UserError, match=r"tiny\.json: no entry 'write-test.plus'; .* Delete"):
        read_evidence(found, tmp_path)
    path.unlink()
    with pytest.raises(UserError, match=r"tiny\.json: file not found"):
        write_tables(found, tmp_path, scores(found), tmp_path / "tables")


def test_from_rows_to_tables(tmp_path: Path) -> None:
    """Nothing made up: rows, the analysis, the tables; only a real difference goes unmarked."""
    found = study()
    skills = {"write-at-100": 0.8, "explain-at-100": 0.8, "mixed": 0.8, "blend-0.25": 0.8}
    write_results(found, tmp_path, scores(found))
    for path in (tmp_path / "scores/tiny").glob("*/scores.json"):
        path.unlink()
    directories = write_rows(found, tmp_path, skills, items=150)
    result = analyse(settings(found), directories, seed=5)
    (tmp_path / "uncertainty/tiny.json").write_text(json.dumps(result))
    write_tables(found, tmp_path, read_scores(found, tmp_path), tmp_path / "tables")
    (ablation,) = (tmp_path / "tables").glob("*-ablation-tiny.csv")
    with ablation.open(newline="") as file:
        _, level, worse = csv.DictReader(file)
    assert (level["variant"], worse["variant"]) == ("blend-0.25", "blend-0.75")
    for column in ("write-test.base", "explain-test.bleu4", "avg"):
        for suffix in ("p_adjusted", "p_adjusted_mixture"):
            assert float(level[f"{column}_{suffix}"]) > 0.05 > float(worse[f"{column}_{suffix}"])
        assert float(level[f"{column}_low"]) < float(level[column]) < float(level[f"{column}_high"])
