"""Tables and pages as data, and their renderings: CSV, Markdown, LaTeX, HTML and plain text."""

import csv
import html
import io
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cache
from itertools import chain, groupby
from pathlib import Path
from typing import Any, Literal, NamedTuple

import jinja2

from mixmerge.core.io import atomic_open
from mixmerge.report import templates
from mixmerge.report.entries import TABLE_FORMATS

#: Printed where a value or a percentage is not defined.
UNDEFINED = "–"

#: Lines that fit a page of print with caption and notes.
_LINES = 32

_TEMPLATES = Path(templates.__file__).parent


class Field(NamedTuple):
    """A column of a table: its name in CSV files, printed head, spanning head, alignment."""

    key: str
    header: str
    group: str = ""
    align: Literal["left", "right"] = "right"


@dataclass(frozen=True)
class Cell:
    """A value, how it is printed, and its change against a reference.

    Attributes:
        value: in full precision; None where it is not defined.
        text: the value as printed.
        change: against the reference in percent, in full precision.
        change_text: the change as printed; empty where the cell has no reference.
        best: whether it is the best of its column among the rows compared.
        mark: signs behind value and change, which a note explains.
        interval: the value's confidence interval, where it is printed.
        hint: what a page shows when the pointer rests on the cell.
        extra: further columns of the CSV file: suffix -> value.
    """

    value: float | int | str | None
    text: str
    change: float | None = None
    change_text: str = ""
    best: bool = False
    mark: str = ""
    interval: str = ""
    hint: str = ""
    extra: Mapping[str, float | None] = field(default_factory=dict)

    @property
    def shown(self) -> str:
        """Value and change: ``0.671 (−11.24)``."""
        return f"{self.text} ({self.change_text})" if self.change_text else self.text

    @property
    def printed(self) -> str:
        """Value, change, marks and interval: ``0.671 (−11.24)≈``, ``−1.38≈ [−3.20, 0.44]``."""
        text = f"{self.shown}{self.mark}"
        return f"{text} {self.interval}" if self.interval else text


@dataclass(frozen=True)
class Row:
    """One line of a table.

    Attributes:
        cells: one a column.
        block: heading under which lines of the same block stand together.
        ids: columns of the CSV file that say which checkpoint the line is about.
        compared: whether the line takes part in the search for each column's best value.
    """

    cells: Sequence[Cell]
    block: str = ""
    ids: Mapping[str, str] = field(default_factory=dict)
    compared: bool = False


@dataclass(frozen=True)
class Table:
    """A table with its caption.

    Attributes:
        name: stem of its files.
        title: caption's first sentence, such as ``Table 3. Mixing and merging``.
        fields: the columns.
        rows: the lines.
        block_header: head of the column that names the blocks where there are no spanning lines.
        notes: what a reader must know to read the numbers.
    """

    name: str
    title: str
    fields: Sequence[Field]
    rows: Sequence[Row]
    block_header: str = ""
    notes: Sequence[str] = ()

    @property
    def caption(self) -> str:
        """The title without its number, which LaTeX sets itself."""
        number, _, rest = self.title.partition(". ")
        return rest or number

    @property
    def blocks(self) -> list[tuple[str, list[Row]]]:
        """Neighbouring lines of the same block."""
        return [(block, list(rows)) for block, rows in groupby(self.rows, lambda row: row.block)]

    @property
    def grouped(self) -> bool:
        """Whether any column has a spanning head."""
        return any(entry.group for entry in self.fields)

    @property
    def groups(self) -> list[tuple[str, int]]:
        """Spanning heads with the number of columns that each spans."""
        groups = groupby(self.fields, lambda entry: entry.group)
        return [(group, len(list(fields))) for group, fields in groups]

    @property
    def unique_heads(self) -> list[str]:
        """Heads of the columns, with the spanning head where they are not unique."""
        heads = Counter(entry.header for entry in self.fields)
        return [f"{f.group}, {f.header}" if heads[f.header] > 1 else f.header for f in self.fields]

    @property
    def rooms(self) -> list[dict[str, bool]]:
        """For each column whether cells keep room for marks, and for an interval."""
        columns = list(zip(*(row.cells for row in self.rows), strict=True))
        columns = columns or [()] * len(self.fields)
        names = ("mark", "interval")
        return [{name: any(getattr(c, name) for c in cells) for name in names} for cells in columns]

    def pages(self) -> list["Table"]:
        """The table in parts of whole blocks that fit a page each; notes stand below the last."""
        parts: list[list[Row]] = [[]]
        for _, block in self.blocks:
            if parts[-1] and len(parts[-1]) + len(block) > _LINES:
                parts.append([])
            parts[-1] += block
        if len(parts) == 1:
            return [self]
        notes = [()] * (len(parts) - 1) + [self.notes]
        return [
            replace(self, name=f"{self.name}-{at}", rows=part, notes=below)
            for at, (part, below) in enumerate(zip(parts, notes, strict=True), 1)
        ]


class Section(NamedTuple):
    """A part of a page: its heading (empty for the first), paragraphs, then tables."""

    title: str
    paragraphs: Sequence[str] = ()
    tables: Sequence[Table] = ()


def number(value: float | None, digits: int = 2) -> str:
    """A number as printed, with a true minus sign and no negative zero."""
    if value is None:
        return UNDEFINED
    text = f"{value:.{digits}f}"
    if float(text) == 0:
        text = text.lstrip("-")
    return text.replace("-", "−")


def signed(value: float | None, digits: int = 2) -> str:
    """A change with its sign: ``+5.00``, ``−3.77``, ``0.00``."""
    text = number(value, digits)
    return f"+{text}" if value is not None and float(f"{value:.{digits}f}") > 0 else text


def p_value(value: float) -> str:
    """Such as ``p = 0.012`` or ``p < 0.001``."""
    return "p < 0.001" if value < 0.001 else f"p = {value:.2g}"


def amount(value: float) -> str:
    """Hours with three digits that count, none of them pretended."""
    if 0 < value < 0.0005:
        return "< 0.001"
    return number(value, 0 if value >= 100 else 1 if value >= 10 else 2 if value >= 1 else 3)


def label(text: str) -> Cell:
    """A cell of plain text."""
    return Cell(text, text)


def number_cell(value: float | None, digits: int, factor: float = 1) -> Cell:
    """A cell of a number, times a factor, to so many decimals."""
    value = value if value is None or factor == 1 else factor * value
    return Cell(value, number(value, digits))


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
