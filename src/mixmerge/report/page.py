"""HTML rendering: one self-contained page a table, for Snakemake's report and the browser."""

from html import escape
from itertools import groupby

from mixmerge.report.table import Cell, Row, Table

_STYLE = """
body { font: 15px/1.45 system-ui, sans-serif; color: #1a1a1a; background: #fff; margin: 1.5rem; }
.scroll { overflow-x: auto; }
table { border-collapse: collapse; border-block: 2px solid #1a1a1a; }
caption { caption-side: top; text-align: left; font-weight: 600; padding-bottom: .6rem; }
th, td { padding: .25rem .7rem; text-align: right; white-space: nowrap;
  font-variant-numeric: tabular-nums; font-weight: normal; }
th.left, td.left, tbody th { text-align: left; }
thead th { font-weight: 600; vertical-align: bottom; }
thead th[colspan] { text-align: center; border-bottom: 1px solid #767676; }
thead tr:last-child > * { border-bottom: 1px solid #1a1a1a; }
tbody + tbody { border-top: 1px solid #767676; }
tbody th[scope=rowgroup] { font-style: italic; padding-top: .5rem; }
tbody tr:hover { background: #f3f3f3; }
.change { color: #555; font-size: .87em; }
strong, strong .change { font-weight: 700; color: #000; }
.notes { max-width: 75ch; margin-top: .8rem; font-size: .9em; color: #333; }
.notes p { margin: .2rem 0; }
"""


def render(table: Table) -> str:
    """The table as an HTML document: spanning heads, row headers, notes; no script, no link."""
    title = escape(table.title)
    body = "\n".join(
        _block(block, list(rows), len(table.fields))
        for block, rows in groupby(table.rows, key=lambda row: row.block)
    )
    notes = "\n".join(f"<p>{escape(note)}</p>" for note in table.notes)
    return f"""<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
<title>{title}</title>
<style>{_STYLE}</style>
</head>
<body>
<div class="scroll">
<table>
<caption>{title}</caption>
<thead>
{_head(table)}
</thead>
{body}
</table>
</div>
<div class="notes">
{notes}
</div>
</body>
</html>
"""


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


def _block(block: str, rows: list[Row], width: int) -> str:
    lines = ["<tbody>"]
    if block:
        head = f'<th scope="rowgroup" colspan="{width}">{escape(block)}</th>'
        lines.append(f"<tr>{head}</tr>")
    for row in rows:
        first, *rest = row.cells
        cells = "".join(f"<td>{_cell(cell)}</td>" for cell in rest)
        lines.append(f'<tr><th scope="row">{_cell(first)}</th>{cells}</tr>')
    return "\n".join([*lines, "</tbody>"])


def _cell(cell: Cell) -> str:
    text = escape(cell.text)
    if cell.change_text:
        text += f' <span class="change">({escape(cell.change_text)})</span>'
    return f"<strong>{text}</strong>" if cell.best else text
