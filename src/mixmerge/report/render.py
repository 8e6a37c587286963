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
from mixmerge.report.entries import TABLE_FORMATS
from mixmerge.report.table import TEMPLATES, Table, amount, number, p_value, signed


class Section(NamedTuple):
    """A part of a page: its heading (empty for the first), paragraphs, then tables."""

    title: str
    paragraphs: Sequence[str] = ()
    tables: Sequence[Table] = ()


def render(table: Table, form: str) -> str:
    """A table as text: ``csv``, ``md``, ``tex``, ``html`` (a page of its own) or ``txt``."""
    if form in ("csv", "txt"):
        return _csv(table) if form == "csv" else _plain(table)
    kind = "page" if form == "html" else "table"
    return _filled(f"{kind}.{form}.j2", table=table, title=table.title)


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
        text = _filled(f"page.{form}.j2", title=title, sections=sections)
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


def _filled(template: str, **values: Any) -> str:
    return _environment().get_template(template).render(**values).rstrip("\n") + "\n"


def listed(parts: Sequence[str]) -> str:
    """Words in a row: ``a``, ``a and b``, ``a, b and c``."""
    return " and ".join([", ".join(parts[:-1]), parts[-1]] if len(parts) > 1 else parts)


@cache
def _environment() -> jinja2.Environment:
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(TEMPLATES),
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
        "number": number,
        "p_value": p_value,
        "render": lambda table, kind: _filled(f"{kind}.j2", table=table).rstrip("\n"),
        "signed": signed,
        "tex": _latex,
    }
    return environment


def _markdown(text: str) -> str:
    """Keep Markdown from reading a title's characters as markup."""
    return " ".join(re.sub(r"([\\`*_|<>\[\]])", r"\\\1", text).split())


@cache
def _substitutes() -> dict[int, str]:
    """What stands for characters that LaTeX reads as markup, or that pdflatex does not know."""
    lines = (TEMPLATES / "latex.tsv").read_text(encoding="utf-8").splitlines()
    pairs = (line.split("\t") for line in lines)
    return {int(code.removeprefix("U+"), 16): latex for code, latex in pairs}


def _latex(text: str) -> str:
    """Text that LaTeX prints as it stands."""
    return " ".join(text.split()).translate(_substitutes())


def _csv(table: Table) -> str:
    """Full precision: first what each line is about, then for each column its value as Python
    writes it (17 digits bring the same float back), ``KEY_pct`` where it has changes against a
    reference, and its cells' further columns. What is undefined is left empty.
    """
    ids = list(dict.fromkeys(chain.from_iterable(row.ids for row in table.rows)))
    columns: dict[str, list[Any]] = {
        name: [row.ids.get(name) for row in table.rows] for name in ids
    }
    for index, entry in enumerate(table.fields):
        cells = table.column(index)
        columns[entry.key] = [cell.value for cell in cells]
        if any(cell.change_text for cell in cells):
            columns[f"{entry.key}_pct"] = [cell.change for cell in cells]
        for suffix in dict.fromkeys(chain.from_iterable(cell.extra for cell in cells)):
            columns[f"{entry.key}_{suffix}"] = [cell.extra.get(suffix) for cell in cells]
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerows([columns, *zip(*columns.values(), strict=True)])
    return text.getvalue()


def _plain(table: Table) -> str:
    """Title, heads and lines in aligned columns, for the terminal; no notes."""
    columns = []
    for index, entry in enumerate(table.fields):
        texts = [entry.header, *(cell.printed for cell in table.column(index))]
        pad = str.ljust if entry.align == "left" else str.rjust
        columns.append([pad(text, max(map(len, texts))) for text in texts])
    head, *rest = ("  ".join(line).rstrip() for line in zip(*columns, strict=True))
    rule = "-" * max(map(len, (head, *rest)))
    return "\n".join([table.title, "", head, rule, *rest]) + "\n"
