"""Text and tables together: a page of sections in Markdown, HTML and LaTeX."""

from collections.abc import Iterator
from dataclasses import dataclass
from html import escape

from mixmerge.report import latex, markdown, page
from mixmerge.report.table import Table


@dataclass(frozen=True)
class Section:
    """A part of a page under its own heading."""

    title: str
    """Heading; empty for the first part, which stands under the page's own."""

    paragraphs: tuple[str, ...] = ()
    """Text, before the tables."""

    tables: tuple[Table, ...] = ()
    """Tables; those without a line are left out."""

    @property
    def shown(self) -> list[Table]:
        """The tables that have lines."""
        return [table for table in self.tables if table.rows]


@dataclass(frozen=True)
class Document:
    """A page."""

    title: str
    """Heading of the page."""

    sections: tuple[Section, ...]
    """Its parts; those without text and tables are left out."""

    @property
    def shown(self) -> Iterator[Section]:
        """The parts that have something to show."""
        return (section for section in self.sections if section.paragraphs or section.shown)


def to_markdown(document: Document) -> str:
    """The page as GitHub-flavoured Markdown."""
    parts = [f"# {markdown.escape(document.title)}\n"]
    for section in document.shown:
        if section.title:
            parts.append(f"## {markdown.escape(section.title)}\n")
        parts += [f"{markdown.escape(text)}\n" for text in section.paragraphs]
        parts += [markdown.render(table) for table in section.shown]
    return "\n".join(parts)


def to_html(document: Document) -> str:
    """The page as a self-contained HTML document: no script, no link."""
    parts = [f"<h1>{escape(document.title)}</h1>"]
    for section in document.shown:
        heading = [f"<h2>{escape(section.title)}</h2>"] if section.title else []
        text = [f"<p>{escape(paragraph)}</p>" for paragraph in section.paragraphs]
        tables = [page.fragment(table) for table in section.shown]
        parts.append("\n".join(["<section>", *heading, *text, *tables, "</section>"]))
    return page.document(document.title, "\n".join(parts))


def to_latex(document: Document) -> str:
    r"""The page as a fragment for ``\input``: paragraphs and floating tables."""
    parts = []
    for section in document.shown:
        text = "\n\n".join(latex.escape(paragraph) for paragraph in section.paragraphs)
        if section.title:
            parts.append(rf"\paragraph{{{latex.escape(section.title)}}}")
        if text:
            parts.append(f"{text}\n")
        parts += [latex.render(table) for table in section.shown]
    return "\n".join(parts)
