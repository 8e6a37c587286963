"""Renderings of tables: CSV, Markdown, LaTeX, HTML, plain text."""

import csv
import io
import shutil
import subprocess
from html.parser import HTMLParser
from pathlib import Path

import pytest

from mixmerge.report import latex, markdown, page, plain, sheet
from mixmerge.report.contest import strategies_table
from mixmerge.report.entries import Entry
from mixmerge.report.scores import read_scores
from mixmerge.report.table import Cell, Field, Row, Table
from mixmerge.report.tables import write_tables
from report_material import layout, scores, write_results

ENTRY = Entry("table3-strategies", "strategies", "Table 3")


def test_csv_brings_the_same_floats_back() -> None:
    study = layout()
    third = 1 / 3
    found = scores(study, {("mixed", "write-test.base"): third})
    table = strategies_table(study, ENTRY, found)
    lines = list(csv.DictReader(io.StringIO(sheet.render(table))))
    assert float(lines[2]["write-test.base"]) == third
    assert float(lines[2]["write-test.base_pct"]) == table.rows[2].cells[1].change
    assert float(lines[2]["avg"]) == table.rows[2].cells[5].value
    assert lines[1]["variant"] == "write-at-100+explain-at-100"


NASTY = Table(
    name="table3-x",
    title="Table 3. 50 % & more_of {this}",
    fields=(Field("a", "A_b", align="left"), Field("x", "x^2 | y", group="G & H")),
    rows=(
        Row((Cell("q", "<i>\\#$~*"), Cell(-1.0, "−1.0", -2.5, "−2.50", best=True)), block="M_1"),
    ),
    block_header="Model",
    notes=('† : it\'s "so" – 100 %',),
)


def test_latex_escapes_and_bolds() -> None:
    text = latex.render(NASTY)
    assert r"\caption{50 \% \& more\_of \{this\}}" in text
    assert r"\textless{}i\textgreater{}\textbackslash{}\#\$\textasciitilde{}*" in text
    assert r"\textbf{$-$1.0 ($-$2.50)}" in text
    assert r"\multicolumn{1}{c}{G \& H}" in text
    assert r"\cmidrule(lr){2-2}" in text
    assert r"\dag{}" in text
    assert text.isascii()
    for environment in ("table", "tabular"):
        assert text.count(rf"\begin{{{environment}}}") == text.count(rf"\end{{{environment}}}") == 1
    body = text.split(r"\toprule")[1].split(r"\bottomrule")[0]
    depth = 0
    for i, character in enumerate(text):
        if character in "{}" and text[i - 1] != "\\":
            depth += 1 if character == "{" else -1
            assert depth >= 0
    assert depth == 0
    assert body.count(r" \\") == 4


def test_markdown_escapes_and_bolds() -> None:
    lines = markdown.render(NASTY).splitlines()
    assert lines[2] == "| Model | A\\_b | x^2 \\| y |"
    assert lines[4] == "| M\\_1 | \\<i\\>\\\\#$~\\* | **−1.0 (−2.50)** |"


def test_markdown_names_the_group_where_heads_are_not_unique() -> None:
    fields = (Field("a", "mean", group="Prompt"), Field("b", "mean", group="Answer"))
    table = Table("x", "X", fields, (Row((Cell(1, "1"), Cell(2, "2"))),))
    assert "| Prompt, mean | Answer, mean |" in markdown.render(table)


class _Cells(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.data: list[str] = []
        self.open: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag != "meta":
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.data.append(data)


def test_html_is_balanced_escaped_and_has_headers() -> None:
    text = page.render(NASTY)
    parser = _Cells()
    parser.feed(text)
    assert parser.open == []
    assert "<i>\\#$~*" in parser.data
    assert '<th scope="colgroup" colspan="1">G &amp; H</th>' in text
    assert '<th scope="row">' in text and '<th scope="rowgroup" colspan="2">M_1</th>' in text
    assert '<strong>−1.0 <span class="change">(−2.50)</span></strong>' in text


def test_plain_text_is_aligned() -> None:
    lines = plain.render(NASTY).splitlines()
    assert lines[2].split("  ", 1)[0] == "A_b"
    assert len({len(line) for line in lines[3:]}) == 1


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("pdflatex") is None, reason="no pdflatex here: NOT COMPILED")
def test_latex_compiles(tmp_path: Path) -> None:
    study = layout(tasks=3, models=("one", "two"), compact_models=["two"])
    write_results(study, tmp_path, scores(study))
    write_tables(study, tmp_path, read_scores(study, tmp_path), tmp_path)
    (tmp_path / "nasty.tex").write_text(latex.render(NASTY), encoding="utf-8")
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
