"""Plain-text rendering for the terminal: aligned columns, no notes."""

from mixmerge.report.table import Table


def render(table: Table) -> str:
    """The table's title, heads and lines in columns."""
    lines = [[field.header for field in table.fields]]
    lines += [[cell.printed for cell in row.cells] for row in table.rows]
    widths = [max(len(line[i]) for line in lines) for i in range(len(table.fields))]
    left = [field.align == "left" for field in table.fields]
    printed = [
        "  ".join(
            text.ljust(width) if is_left else text.rjust(width)
            for text, width, is_left in zip(line, widths, left, strict=True)
        ).rstrip()
        for line in lines
    ]
    rule = "-" * max(len(line) for line in printed)
    return "\n".join([table.title, "", printed[0], rule, *printed[1:]]) + "\n"
