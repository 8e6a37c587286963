"""Tables as data, and all that is written of them: CSV, Markdown, LaTeX, HTML, text; and prose.

``templates/fields.tsv`` lists columns with expressions over a line's record; ``templates/*.j2``
have the markup and every sentence.
"""

import csv
import html
import io
import re
from collections.abc import Iterable, Mapping, Sequence
from functools import cache, partial
from itertools import chain, groupby
from pathlib import Path
from typing import Any, NamedTuple

import jinja2

from mixmerge.core.errors import one_line
from mixmerge.core.io import atomic_open
from mixmerge.report import templates
from mixmerge.report.layout import TABLE_FORMATS

_TEMPLATES = Path(templates.__file__).parent

UNDEFINED = "–"  # printed where a value or a percentage is not defined


class Field(NamedTuple):
    """A column of a table."""

    key: str  # in CSV files
    header: str
    group: str = ""  # spanning head
    #: ``text`` (the one aligned to the left), ``,`` (thousands), ``p``, or ``DECIMALS [UNIT]``.
    form: str = ""
    value: str = ""  # Jinja expression over a line's record; by default what it has under the key

    @property
    def align(self) -> str:
        """``left`` or ``right``."""
        return "left" if self.form == "text" else "right"


class Cell(NamedTuple):
    """A value as it is and as it is printed."""

    value: float | int | str | None  # in full precision; None where it is not defined
    text: str
    change: str = ""  # against a reference, as printed; empty where there is no reference
    best: bool = False  # whether it is the best of its column among the rows compared
    mark: str = ""  # signs behind value and change, which a note explains
    interval: str = ""  # the value's confidence interval, where it is printed
    hint: str = ""  # what a page shows when the pointer rests on the cell
    extra: Mapping[str, float | None] = {}  # further columns of the CSV file: suffix -> value

    @property
    def printed(self) -> str:
        """Value, change, marks and interval: ``0.671 (−11.24)≈``, ``−1.38≈ [−3.20, 0.44]``."""
        shown = f"{self.text} ({self.change})" if self.change else self.text
        return f"{shown}{self.mark} {self.interval}".rstrip()


class Row(NamedTuple):
    """A line of a table."""

    cells: Sequence[Cell]  # one a column
    block: str = ""  # heading under which lines of the same block stand together
    ids: Mapping[str, str] = {}  # columns of the CSV file that say what the line is about
    note: str = ""  # printed under the line


class Table(NamedTuple):
    """A table with its caption."""

    name: str  # stem of its files
    texts: Sequence[str]  # title (``Table 3. Mixing and merging``), then what a reader must know
    fields: Sequence[Field]
    rows: Sequence[Row]
    block_header: str = ""  # heads the blocks' names where there are no spanning lines

    @property
    def blocks(self) -> list[tuple[str, list[Row]]]:
        """Neighbouring lines of the same block."""
        return [(block, list(rows)) for block, rows in groupby(self.rows, lambda row: row.block)]

    @property
    def groups(self) -> list[tuple[str, int]]:
        """Spanning heads with the number of columns that each spans."""
        return [(key, len(list(own))) for key, own in groupby(self.fields, lambda f: f.group)]

    def pages(self) -> list["Table"]:
        """The table in parts of whole blocks that fit a page each; notes stand below the last."""
        parts: list[list[Row]] = [[]]
        for _, block in self.blocks:
            if parts[-1] and len(parts[-1]) + len(block) > 32:  # with caption and notes
                parts.append([])
            parts[-1] += block
        pages = [
            self._replace(name=f"{self.name}-{at}", rows=rows, texts=self.texts[:1])
            for at, rows in enumerate(parts, 1)
        ]
        pages[-1] = pages[-1]._replace(texts=self.texts)
        return pages if len(pages) > 1 else [self]


PageSection = tuple[str, list[str], list[Table]]  # title (or empty), paragraphs, tables


def table(
    name: str,
    part: str,
    records: Iterable[Mapping[str, Any]],
    block_header: str = "",
    fields: Sequence[Field] | None = None,
    **words: Any,
) -> Table:
    """A table of a line a record: cells or values by key, names for expressions, `Row`'s fields.

    The words are for ``part``, the ``TEMPLATE.MACRO`` of the texts.
    """
    template, macro = part.split(".")
    columns = fields_of(macro, **words) if fields is None else fields
    rows = [
        Row(
            [_cell(field, record) for field in columns],
            record.get("block", ""),
            record.get("ids", {}),
            record.get("note", ""),
        )
        for record in records
    ]
    return Table(name, prose(template, macro, **words), columns, rows, block_header)


def fields_of(part: str, **words: Any) -> list[Field]:
    """A table's columns in ``templates/fields.tsv``; words stand for ``{names}`` in the heads."""
    lines = [rest for name, *rest in _lines("fields.tsv") if name == part]
    return [Field(key, header.format(**words), *rest) for key, header, *rest in lines]


def _lines(name: str) -> list[list[str]]:
    text = (_TEMPLATES / name).read_text(encoding="utf-8")
    return [line.split("\t") for line in text.splitlines()]


def _cell(field: Field, record: Mapping[str, Any]) -> Cell:
    """The cell of a record, printed as the column's form says; cells stand as they are."""
    key, _, _, form, expression = field
    value = _compiled(expression)(record) if expression else record.get(key)
    if isinstance(value, Cell):
        return value
    if value is None or isinstance(value, str):
        return Cell(value, value or UNDEFINED)
    if form == "p":
        return Cell(value, p_value(value).lstrip("p= "))
    if form == ",":
        return Cell(value, f"{value:,}")
    digits, space, unit = form.partition(" ")
    return Cell(value, f"{number(value, int(digits))}{space}{unit}")


def number(value: float | None, digits: int = 2, sign: str = "-") -> str:
    """A number as printed, with a true minus sign and no negative zero; ``+`` as sign for both."""
    if value is None:
        return UNDEFINED
    text = f"{value:{sign}.{digits}f}"
    return (text if float(text) else text.lstrip("+-")).replace("-", "−")


def bracket(ends: Sequence[float], digits: int = 1) -> str:
    """An interval: ``[−3.2, 0.4]``."""
    return f"[{', '.join(number(end, digits) for end in ends)}]"


def bounded(value: float | None, ends: tuple[float, float] | None) -> Cell:
    """A value in percent or points with its interval, which has columns of its own in CSV."""
    if value is None or ends is None:
        return Cell(value, number(value))
    extra = {"low": ends[0], "high": ends[1]}
    return Cell(value, number(value), interval=bracket(ends), extra=extra)


def p_value(value: float) -> str:
    """Such as ``p = 0.012`` or ``p < 0.001``."""
    return "p < 0.001" if value < 0.001 else f"p = {value:.2g}"


def render(table: Table, form: str) -> str:
    """A table as text: ``csv`` (full precision), ``md``, ``tex``, ``html`` (a page) or ``txt``."""
    if form != "csv":
        kind = "page" if form == "html" else "table"
        return _filled(f"{kind}.{form}", table=table, title=table.texts[0])
    # What a line is about, then for each column its value and its cells' further ones: ``KEY_pct``.
    ids = dict.fromkeys(chain.from_iterable(row.ids for row in table.rows))
    columns: dict[str, list[Any]] = {key: [row.ids.get(key) for row in table.rows] for key in ids}
    for index, field in enumerate(table.fields):
        cells = [row.cells[index] for row in table.rows]
        columns[field.key] = [cell.value for cell in cells]
        for suffix in dict.fromkeys(chain.from_iterable(cell.extra for cell in cells)):
            columns[f"{field.key}_{suffix}"] = [cell.extra.get(suffix) for cell in cells]
    text = io.StringIO()
    rows = zip(*columns.values(), strict=True)
    csv.writer(text, lineterminator="\n").writerows([columns, *rows])
    return text.getvalue()


def write_table(
    table: Table, out: Path, formats: Sequence[str] = TABLE_FORMATS, paged: bool = False
) -> None:
    """Write ``out/{table.name}.{format}`` for each format; paged, LaTeX gets a ``table`` a page."""
    for form in formats:
        parts = table.pages() if paged and form == "tex" else [table]
        write_text(out / f"{table.name}.{form}", "\n".join(render(part, form) for part in parts))


def write_page(name: str, title: str, sections: Iterable[PageSection], out: Path) -> None:
    """Write sections as Markdown, HTML and LaTeX."""
    shown = [(head, texts, [t for t in tables if t.rows]) for head, texts, tables in sections]
    for form in ("md", "html", "tex"):
        write_text(out / f"{name}.{form}", _filled(f"page.{form}", title=title, sections=shown))


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
    return _environment().get_template(f"{template}.j2").render(**values).rstrip("\n") + "\n"


@cache
def _compiled(expression: str) -> Any:
    """An expression as a function of a record; None for an attribute of what is not there."""
    return _environment().compile_expression(expression, undefined_to_none=True)


@cache
def _environment() -> jinja2.Environment:
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(_TEMPLATES),
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=jinja2.StrictUndefined,
    )
    latex = {int(code.removeprefix("U+"), 16): text for code, text in _lines("latex.tsv")}
    environment.filters |= {
        "bounded": bounded,
        "cell": Cell,
        "html": html.escape,
        "label": lambda name: re.sub(r"[^A-Za-z0-9.-]", "-", name),
        "md": lambda text: one_line(re.sub(r"([\\`*_|<>\[\]])", r"\\\1", text)),
        "number": number,
        "p_value": p_value,
        "percent": lambda value: 100 * value if isinstance(value, float) else None,
        "render": lambda table, kind: _filled(kind, table=table).rstrip("\n"),
        "signed": partial(number, sign="+"),
        "tex": lambda text: one_line(text).translate(latex),
    }
    return environment
