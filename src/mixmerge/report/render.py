"""Renderings of tables and pages: CSV, Markdown, LaTeX, HTML and plain text; prose."""

import csv
import html
import io
import re
from collections.abc import Sequence
from functools import cache
from itertools import chain
from pathlib import Path
from typing import Any, NamedTuple

import jinja2

from mixmerge.core.io import atomic_open
from mixmerge.report import templates
from mixmerge.report.entries import TABLE_FORMATS
from mixmerge.report.table import Cell, Table, number, signed

_TEMPLATES = Path(templates.__file__).parent


class Section(NamedTuple):
    """A part of a page: its heading (empty for the first), paragraphs, then tables."""

    title: str
    paragraphs: Sequence[str] = ()
    tables: Sequence[Table] = ()


def p_value(value: float) -> str:
    """Such as ``p = 0.012`` or ``p < 0.001``."""
    return "p < 0.001" if value < 0.001 else f"p = {value:.2g}"


def amount(value: float) -> str:
    """Hours with three digits that count, none of them pretended."""
    if 0 < value < 0.0005:
        return "< 0.001"
    return number(value, 0 if value >= 100 else 1 if value >= 10 else 2 if value >= 1 else 3)


def render(table: Table, form: str) -> str:
    """A table as text: ``csv``, ``md``, ``tex``, ``html`` (a page of its own) or ``txt``."""
    if form in ("csv", "txt"):
        return _csv(table) if form == "csv" else _plain(table)
    kind = "page" if form == "html" else "table"
    template = _environment().get_template(f"{kind}.{form}.j2")
    return template.render(table=table, title=table.title).rstrip("\n") + "\n"


def write_table(
    table: Table, out: Path, formats: Sequence[str] = TABLE_FORMATS, paged: bool = False
) -> None:
    """Write ``out/{table.name}.{format}`` for each format; paged, LaTeX gets a ``table`` a page."""
    for form in formats:
        parts = table.pages() if paged and form == "tex" else [table]
        write_text(out / f"{table.name}.{form}", "\n".join(render(part, form) for part in parts))


def write_page(name: str, title: str, sections: Sequence[Section], out: Path) -> None:
    """Write text and tables together as Markdown, HTML and LaTeX; what is empty is left out."""
    sections = [s._replace(tables=[table for table in s.tables if table.rows]) for s in sections]
    sections = [section for section in sections if section.paragraphs or section.tables]
    for form in ("md", "html", "tex"):
        template = _environment().get_template(f"page.{form}.j2")
        text = template.render(title=title, sections=sections).rstrip("\n") + "\n"
        write_text(out / f"{name}.{form}", text)


def write_text(path: Path, text: str) -> None:
    """Write a text file atomically."""
    with atomic_open(path) as file:
        file.write(text)


def prose(template: str, part: str, **values: Any) -> list[str]:
    """The paragraphs that a macro of ``templates/{template}.j2`` writes, each after a ``¶``."""
    macro = getattr(_environment().get_template(f"{template}.j2").module, part)
    paragraphs = re.split(r"^ *¶", str(macro(**values)), flags=re.MULTILINE)
    return [text for part in paragraphs if (text := re.sub(r"[ \n]+", " ", part).strip(" "))]


@cache
def _environment() -> jinja2.Environment:
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(_TEMPLATES),
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=jinja2.StrictUndefined,
        autoescape=False,  # each format has its own
    )
    environment.filters |= {
        "amount": amount,
        "html": html.escape,
        "label": lambda name: re.sub(r"[^A-Za-z0-9.-]", "-", name),
        "listed": listed,
        "md": _markdown,
        "md_cell": lambda cell: (
            f"**{_markdown(cell.printed)}**" if cell.best else _markdown(cell.printed)
        ),
        "number": number,
        "p_value": p_value,
        "render": lambda table, kind: (
            environment.get_template(f"{kind}.j2").render(table=table).rstrip("\n")
        ),
        "rule": lambda entry: "---" if entry.align == "left" else "---:",
        "signed": signed,
        "tex": _latex,
        "tex_cell": _latex_cell,
    }
    return environment


def listed(parts: Sequence[str]) -> str:
    """Words in a row: ``a``, ``a and b``, ``a, b and c``."""
    return " and ".join([", ".join(parts[:-1]), parts[-1]] if len(parts) > 1 else parts)


def _markdown(text: str) -> str:
    """Keep Markdown from reading a title's characters as markup."""
    return " ".join(re.sub(r"([\\`*_|<>\[\]])", r"\\\1", text).split())


@cache
def _substitutes() -> dict[int, str]:
    """What stands for characters that LaTeX reads as markup, or that pdflatex does not know."""
    lines = (_TEMPLATES / "latex.tsv").read_text(encoding="utf-8").splitlines()
    pairs = (line.split("\t") for line in lines)
    return {int(code.removeprefix("U+"), 16): latex for code, latex in pairs}


def _latex(text: str) -> str:
    """Text that LaTeX prints as it stands."""
    return " ".join(text.split()).translate(_substitutes())


def _latex_cell(cell: Cell) -> str:
    text = _latex(cell.shown)
    if cell.best:
        text = rf"\textbf{{{text}}}"
    if cell.mark:
        # Without width, so that numbers stay below each other.
        mark = rf"\textsuperscript{{{_latex(cell.mark)}}}"
        text += mark if cell.interval else rf"\rlap{{{mark}}}"
    return rf"{text} {{\footnotesize {_latex(cell.interval)}}}" if cell.interval else text


def _csv(table: Table) -> str:
    """Full precision: a column a value, more for changes, intervals and p-values.

    First come the columns that say which checkpoint a line is about, then for each column of print
    its value as Python writes it (17 digits bring the same float back), followed by ``KEY_pct``
    where the column has changes against a reference, and by the further columns of its cells, such
    as ``KEY_low`` and ``KEY_high``. What is undefined is left empty.
    """
    ids = list(dict.fromkeys(chain.from_iterable(row.ids for row in table.rows)))
    header, lines = list(ids), [[row.ids.get(name, "") for name in ids] for row in table.rows]
    for index, entry in enumerate(table.fields):
        cells = [row.cells[index] for row in table.rows]
        columns: dict[str, list[Any]] = {entry.key: [cell.value for cell in cells]}
        if any(cell.change_text for cell in cells):
            columns[f"{entry.key}_pct"] = [cell.change for cell in cells]
        for suffix in dict.fromkeys(chain.from_iterable(cell.extra for cell in cells)):
            columns[f"{entry.key}_{suffix}"] = [cell.extra.get(suffix) for cell in cells]
        header += columns
        for line, values in zip(lines, zip(*columns.values(), strict=True), strict=True):
            line += ["" if v is None else v if isinstance(v, str) else repr(v) for v in values]
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows([header, *lines])
    return text.getvalue()


def _plain(table: Table) -> str:
    """Title, heads and lines in aligned columns, for the terminal; no notes."""
    lines = [[entry.header for entry in table.fields]]
    lines += [[cell.printed for cell in row.cells] for row in table.rows]
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    pads = [str.ljust if entry.align == "left" else str.rjust for entry in table.fields]
    padded = [
        "  ".join(pad(text, width) for pad, text, width in zip(pads, line, widths, strict=True))
        for line in lines
    ]
    head, *rest = (line.rstrip() for line in padded)
    rule = "-" * max(map(len, (head, *rest)))
    return "\n".join([table.title, "", head, rule, *rest]) + "\n"
