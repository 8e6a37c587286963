"""Renderings of tables: CSV, Markdown, LaTeX, HTML, plain text."""

import re
import shutil
import subprocess
from pathlib import Path
from xml.etree import ElementTree

import pytest

from fixtures.report_study import decide, layout, read
from mixmerge.report.costs import amount
from mixmerge.report.render import Cell, Field, Row, Table, number, p_value, render
from mixmerge.report.study_tables import write_tables


def test_csv_brings_the_same_floats_back() -> None:
    cells = [Cell(1 / 3, "0.333", "0.67", extra={"pct": 2 / 3, "low": 0.1}), Cell(None, "–")]
    table = Table("x", ["X"], [Field("a", "A"), Field("b", "B")], [Row(cells, ids={"model": "m"})])
    assert render(table, "csv") == f"model,a,a_pct,a_low,b\nm,{1 / 3!r},{2 / 3!r},0.1,\n"


def test_numbers_have_a_true_minus_and_no_negative_zero() -> None:
    assert [number(v, 2) for v in (-1.5, -0.001, None)] == ["−1.50", "0.00", "–"]
    assert [number(v, 2, "+") for v in (5.0, -3.77, 0.001, -0.001)] == [
        "+5.00",
        "−3.77",
        "0.00",
        "0.00",
    ]
    assert [p_value(v) for v in (0.0001, 0.0123)] == ["p < 0.001", "p = 0.012"]
    shown = [amount(v) for v in (0.0001, 0.5, 1.234, 12.34, 123.4)]
    assert shown == ["< 0.001", "0.500", "1.23", "12.3", "123"]


NASTY = Table(
    name="table3-x",
    texts=("Table 3. 50 % & more_of {this}", '† : it\'s "so" – 100 %'),
    fields=(Field("a", "A_b", form="text"), Field("x", "x^2 | y", group="G & H")),
    rows=(
        Row(
            (Cell("q", "<i>\\#$~*"), Cell(-1.0, "−1.0", "−2.50", best=True)),
            block="M_1",
            note="a_b",
        ),
    ),
    block_header="Model",
)


def test_latex_escapes_and_bolds() -> None:
    text = render(NASTY, "tex")
    assert r"\caption{50 \% \& more\_of \{this\}}" in text
    assert r"\textless{}i\textgreater{}\textbackslash{}\#\$\textasciitilde{}*" in text
    assert r"\textbf{$-$1.0 ($-$2.50)}" in text
    assert r"\multicolumn{1}{c}{G \& H}" in text
    assert r"\cmidrule(lr){2-2}" in text
    assert r"\dag{}" in text
    assert text.isascii()
    for environment in ("table", "tabular"):
        assert text.count(rf"\begin{{{environment}}}") == text.count(rf"\end{{{environment}}}") == 1
    braces = re.sub(r"\\[{}]", "", text)
    assert braces.count("{") == braces.count("}")
    assert text.split(r"\toprule")[1].split(r"\bottomrule")[0].count(r" \\") == 5
    assert r"\multicolumn{2}{@{}l}{\quad\footnotesize a\_b} \\" in text


def test_markdown_escapes_and_bolds() -> None:
    lines = render(NASTY, "md").splitlines()
    assert lines[2] == "| Model | A\\_b | x^2 \\| y |"
    assert lines[4] == "| M\\_1 | \\<i\\>\\\\#$~\\* | **−1.0 (−2.50)** |"
    assert lines[5] == "| | *a\\_b* | |"


def test_markdown_names_the_group_where_heads_are_not_unique() -> None:
    fields = (Field("a", "mean", group="Prompt"), Field("b", "mean", group="Answer"))
    table = Table("x", ["X"], fields, (Row((Cell(1, "1"), Cell(2, "2"))),))
    assert "| Prompt, mean | Answer, mean |" in render(table, "md")


def test_a_block_longer_than_a_page_stands_on_one() -> None:
    whole = Table("x", ["X"], [Field("a", "A")], [Row([Cell(1, "1")], "b")] * 40)
    assert whole.pages() == [whole]


def test_html_is_balanced_escaped_and_has_headers() -> None:
    text = render(NASTY, "html")
    page = ElementTree.fromstring(re.sub("<!DOCTYPE html>|<meta [^>]*>", "", text))
    assert any(element.text == "<i>\\#$~*" for element in page.iter())
    assert '<th scope="colgroup" colspan="1">G &amp; H</th>' in text
    assert '<th scope="row">' in text and '<th scope="rowgroup" colspan="2">M_1</th>' in text
    assert '<tr class="note"><td class="left" colspan="2">a_b</td></tr>' in text
    assert '<strong>−1.0 <span class="change">(−2.50)</span></strong>' in text


def test_plain_text_is_aligned() -> None:
    lines = render(NASTY, "txt").splitlines()
    assert lines[2].split("  ", 1)[0] == "A_b"
    assert len({len(line) for line in lines[3:5]}) == 1 and lines[5:] == ["  a_b"]


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("pdflatex") is None, reason="no pdflatex here: NOT COMPILED")
def test_latex_compiles(tmp_path: Path) -> None:
    study = layout(tasks=3, models=("one", "two"), compact_models=["two"])
    decide(study, tmp_path)
    write_tables(read(study, tmp_path), tmp_path, tmp_path, [])
    (tmp_path / "nasty.tex").write_text(render(NASTY, "tex"), encoding="utf-8")
    inputs = "\n".join(rf"\input{{{path.stem}}}" for path in sorted(tmp_path.glob("*.tex")))
    document = rf"""\documentclass{{article}}
\usepackage{{booktabs}}
\usepackage{{graphicx}}
\begin{{document}}
{inputs}
\end{{document}}
"""
    (tmp_path / "main.tex").write_text(document, encoding="utf-8")
    result = subprocess.run(
        ["pdflatex", "-interaction=nonstopmode", "-halt-on-error", "main.tex"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        errors="replace",
        check=False,
    )
    assert result.returncode == 0, result.stdout[-2000:]
    assert "Overfull \\hbox" not in result.stdout


def test_marks_and_intervals_in_each_rendering() -> None:
    marked = Cell(0.0, "0.00", mark="≈‡", interval="[−1.0, 1.0]", hint="95 %", best=True)
    cells = [Cell("x", "x"), marked, Cell(0.5, "0.500", "0.00", mark="≈")]
    fields = [Field("a", "A", form="text"), Field("b", "B"), Field("c", "C")]
    table = Table(
        "x", ["X"], fields, [Row(cells), Row([Cell("y", "y"), Cell(1, "1"), Cell(2, "2")])]
    )
    assert r"| **0.00≈‡ \[−1.0, 1.0\]** | 0.500 (0.00)≈ |" in render(table, "md")
    assert "0.00≈‡ [−1.0, 1.0]" in render(table, "txt")
    text = render(table, "tex")
    assert text.isascii()
    assert r"0.500 (0.00)\rlap{\textsuperscript{$\approx$}}" in text
    assert r"\textbf{0.00}\textsuperscript{$\approx$\ddag{}} {\footnotesize [$-$1.0, 1.0]}" in text
    page = render(table, "html")
    assert '<span class="mark">≈‡</span> <span class="interval">[−1.0, 1.0]</span>' in page
    assert 'title="95 %"' in page
    # Columns with marks keep room for them in every line; those without have none.
    last = page.split('<th scope="row">y</th>')[1].split("</tr>")[0].split("</td>")
    assert [(cell.count('"mark"'), cell.count('"interval"')) for cell in last[:2]] == [
        (1, 1),
        (1, 0),
    ]
