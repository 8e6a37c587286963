"""The verdict's files: a page of text and tables, each table as CSV, and a few lines of text."""

from collections.abc import Sequence
from pathlib import Path

from mixmerge.report import document, sheet
from mixmerge.report.bills import costs_table
from mixmerge.report.document import Document, Section
from mixmerge.report.layout import Layout
from mixmerge.report.paragraphs import paragraphs
from mixmerge.report.rulings import approaches_table, verdict_table
from mixmerge.report.sensitivity import data_table, ratios_table, weights_table
from mixmerge.report.verdict import ModelVerdict
from mixmerge.report.wording import closing, opening, verdict_text
from mixmerge.report.writing import write_text


def verdict_page(layout: Layout, found: Sequence[ModelVerdict]) -> Document:
    """The verdict in one page: the answer, a text on each model, then the three questions."""
    return Document(
        "Verdict: data mix or model merge?",
        (
            Section("", tuple(opening(found)), (verdict_table(layout, found),)),
            *(Section(entry.model.title, paragraphs(layout, entry)) for entry in found),
            Section(
                "RQ1: mix or merge?",
                tables=(approaches_table(layout, found), costs_table(layout, found)),
            ),
            Section(
                "RQ2: how much hangs on strategy, ratio and data?",
                tables=(ratios_table(layout, found), data_table(found)),
            ),
            Section(
                "RQ3: what do the weights say?",
                tables=(weights_table(layout, found),),
            ),
            Section("What this can and cannot say", tuple(closing(found))),
        ),
    )


def write_verdict(layout: Layout, found: Sequence[ModelVerdict], out: Path) -> None:
    """Write all files of the verdict (`mixmerge.report.entries.VERDICT_FILES`).

    Args:
        layout: the study.
        found: the verdict on each model.
        out: directory of the files.
    """
    whole = verdict_page(layout, found)
    write_text(out / "verdict.md", document.to_markdown(whole))
    write_text(out / "verdict.html", document.to_html(whole))
    write_text(out / "verdict.tex", document.to_latex(whole))
    for section in whole.sections:
        for table in section.tables:
            write_text(out / f"{table.name}.csv", sheet.render(table))
    write_text(out / "verdict.txt", verdict_text(layout, found))
