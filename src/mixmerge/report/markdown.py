"""Markdown rendering: a pipe table under its title, notes below."""

from collections import Counter

from mixmerge.report.table import Cell, Table


def render(table: Table) -> str:
    """The table as GitHub-flavoured Markdown; blocks become a first column."""
    blocks = any(row.block for row in table.rows)
    # There are no spanning heads here, so the group goes into heads that are not unique.
    heads = Counter(field.header for field in table.fields)
    header = [
        escape(f"{field.group}, {field.header}" if heads[field.header] > 1 else field.header)
        for field in table.fields
    ]
    rule = ["---" if field.align == "left" else "---:" for field in table.fields]
    if blocks:
        header.insert(0, escape(table.block_header))
        rule.insert(0, "---")
    lines = [f"**{escape(table.title)}**", "", _line(header), _line(rule)]
    previous = ""
    for row in table.rows:
        cells = [_cell(cell) for cell in row.cells]
        if blocks:
            cells.insert(0, escape(row.block) if row.block != previous else "")
            previous = row.block
        lines.append(_line(cells))
    if table.notes:
        lines += [
            "",
            *(f"{escape(note)}  " for note in table.notes[:-1]),
            escape(table.notes[-1]),
        ]
    return "\n".join(lines) + "\n"


def _line(cells: list[str]) -> str:
    return "| " + " | ".join(cells) + " |"


def _cell(cell: Cell) -> str:
    text = escape(cell.printed)
    return f"**{text}**" if cell.best else text


def escape(text: str) -> str:
    """Keep Markdown from reading a title's characters as markup."""
    for character in "\\`*_|<>[]":
        text = text.replace(character, f"\\{character}")
    return " ".join(text.split())
