"""HTML rendering: one self-contained page a table, for Snakemake's report and the browser."""

from collections.abc import Sequence
from html import escape
from itertools import groupby

from mixmerge.report.table import Cell, Field, Row, Table

_STYLE = """
body { font: 14px/1.45 system-ui, sans-serif; color: #1a1a1a; background: #fff; margin: 1.5rem; }
.scroll { overflow-x: auto; }
table { border-collapse: collapse; border-block: 2px solid #1a1a1a; }
caption { caption-side: top; text-align: left; font-weight: 600; padding-bottom: .6rem; }
th, td { padding: .25rem .4rem; text-align: right; white-space: nowrap;
  font-variant-numeric: tabular-nums; font-weight: normal; }
th.left, td.left, tbody th { text-align: left; }
thead th { font-weight: 600; vertical-align: bottom; }
thead th[colspan] { text-align: center; border-bottom: 1px solid #767676; }
thead tr:last-child > * { border-bottom: 1px solid #1a1a1a; }
tbody + tbody { border-top: 1px solid #767676; }
tbody th[scope=rowgroup] { font-style: italic; padding-top: .5rem; }
tbody tr:hover { background: #f3f3f3; }
.change { color: #555; font-size: .87em; }
.mark, .interval { display: inline-block; text-align: left; }
.mark { min-width: 1.1em; padding-left: .1em; }
.interval { min-width: 6.6em; text-align: right; color: #555; font-size: .87em; }
strong, strong .change { font-weight: 700; color: #000; }
.notes { max-width: 75ch; margin-top: .8rem; font-size: .9em; color: #333; }
.notes p { margin: .2rem 0; }
h1 { font-size: 1.4rem; } h2 { font-size: 1.15rem; margin-top: 1.8rem; }
section > p { max-width: 75ch; } section thead th { white-space: normal; }
section :is(th, td) { padding-inline: .45rem; } section > .notes { margin-bottom: 1.6rem; }
"""


def render(table: Table) -> str:
    """The table as an HTML document: spanning heads, row headers, notes; no script, no link."""
    return document(table.title, fragment(table))


def document(title: str, body: str) -> str:
    """An HTML document around a body; the title is escaped here, the body is not."""
    return f"""<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
<title>{escape(title)}</title>
<style>{_STYLE}</style>
</head>
<body>
{body}
</body>
</html>
"""


def fragment(table: Table) -> str:
    """The table with its caption and notes, for the body of a document."""
    rooms = [_room([row.cells[i] for row in table.rows]) for i in range(len(table.fields))]
    body = "\n".join(
        _block(block, list(rows), table.fields, rooms)
        for block, rows in groupby(table.rows, key=lambda row: row.block)
    )
    notes = "\n".join(f"<p>{escape(note)}</p>" for note in table.notes)
    return f"""<div class="scroll">
<table>
<caption>{escape(table.title)}</caption>
<thead>
{_head(table)}
</thead>
{body}
</table>
</div>
<div class="notes">
{notes}
</div>"""


def _head(table: Table) -> str:
    lines = []
    if any(field.group for field in table.fields):
        cells = []
        for group, fields in groupby(table.fields, key=lambda field: field.group):
            span = len(list(fields))
            if group:
                cells.append(f'<th scope="colgroup" colspan="{span}">{escape(group)}</th>')
            else:
                cells.append("<td></td>" * span)
        lines.append(f"<tr>{''.join(cells)}</tr>")
    heads = "".join(
        f'<th scope="col" class="{field.align}">{escape(field.header)}</th>'
        for field in table.fields
    )
    lines.append(f"<tr>{heads}</tr>")
    return "\n".join(lines)


def _room(cells: Sequence[Cell]) -> tuple[bool, bool]:
    """Whether each cell of a column keeps room for marks, and for an interval."""
    return any(cell.mark for cell in cells), any(cell.interval for cell in cells)


def _block(
    block: str, rows: list[Row], fields: Sequence[Field], rooms: Sequence[tuple[bool, bool]]
) -> str:
    lines = ["<tbody>"]
    if block:
        head = f'<th scope="rowgroup" colspan="{len(rooms)}">{escape(block)}</th>'
        lines.append(f"<tr>{head}</tr>")
    for row in rows:
        first, *rest = row.cells
        cells = "".join(
            f"<td{_left(field)}{_hint(cell)}>{_cell(cell, room)}</td>"
            for cell, field, room in zip(rest, fields[1:], rooms[1:], strict=True)
        )
        lines.append(f'<tr><th scope="row">{_cell(first, rooms[0])}</th>{cells}</tr>')
    return "\n".join([*lines, "</tbody>"])


def _left(field: Field) -> str:
    return ' class="left"' if field.align == "left" else ""


def _hint(cell: Cell) -> str:
    return f' title="{escape(cell.hint)}"' if cell.hint else ""


def _cell(cell: Cell, room: tuple[bool, bool]) -> str:
    marks, intervals = room
    text = escape(cell.text)
    if cell.change_text:
        text += f' <span class="change">({escape(cell.change_text)})</span>'
    if cell.best:
        text = f"<strong>{text}</strong>"
    if marks:
        text += f'<span class="mark">{escape(cell.mark)}</span>'
    if intervals:
        text += f' <span class="interval">{escape(cell.interval)}</span>'
    return text
