r"""LaTeX rendering: a floating booktabs table, for ``\input`` in a paper."""

from itertools import groupby

from mixmerge.report.table import Cell, Table

#: What stands for characters that LaTeX reads as markup, or that pdflatex does not know.
_SUBSTITUTES = {
    "\\": r"\textbackslash{}",
    "{": r"\{",
    "}": r"\}",
    "&": r"\&",
    "%": r"\%",
    "$": r"\$",
    "#": r"\#",
    "_": r"\_",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "|": r"\textbar{}",
    '"': "''",
    "−": "$-$",
    "–": "--",
    "—": "---",
    "†": r"\dag{}",
    "‡": r"\ddag{}",
    "≈": r"$\approx$",
    "×": r"$\times$",
    "·": r"$\cdot$",
    "≥": r"$\geq$",
    "≤": r"$\leq$",
    "±": r"$\pm$",
    "→": r"$\rightarrow$",
    "λ": r"$\lambda$",
    "ε": r"$\varepsilon$",
    "’": "'",
    "“": "``",
    "”": "''",
    "…": r"\ldots{}",
    "\u00a0": "~",
    "\u202f": r"\,",
}


def render(table: Table) -> str:
    r"""The table as a ``table`` environment with caption, label and notes.

    It needs the packages booktabs and graphicx, and fits itself to the text's width.
    """
    width = len(table.fields)
    layout = "".join("l" if field.align == "left" else "r" for field in table.fields)
    lines = [
        "% Needs \\usepackage{booktabs} and \\usepackage{graphicx}.",
        r"\begin{table}[htbp]",
        r"\centering",
        rf"\caption{{{escape(_caption(table))}}}",
        rf"\label{{tab:{_label(table.name)}}}",
        r"\resizebox{\ifdim\width>\linewidth\linewidth\else\width\fi}{!}{%",
        rf"\begin{{tabular}}{{@{{}}{layout}@{{}}}}",
        r"\toprule",
        *_groups(table),
        " & ".join(escape(field.header) for field in table.fields) + r" \\",
        r"\midrule",
    ]
    for index, (block, rows) in enumerate(groupby(table.rows, key=lambda row: row.block)):
        if index:
            lines.append(r"\midrule")
        if block:
            lines.append(rf"\multicolumn{{{width}}}{{@{{}}l}}{{\textit{{{escape(block)}}}}} \\")
        lines += [" & ".join(_cell(cell) for cell in row.cells) + r" \\" for row in rows]
    lines += [r"\bottomrule", r"\end{tabular}}"]
    if table.notes:
        notes = " ".join(escape(note) for note in table.notes)
        lines.append(rf"\par\smallskip\parbox{{\linewidth}}{{\footnotesize {notes}}}")
    lines.append(r"\end{table}")
    return "\n".join(lines) + "\n"


def escape(text: str) -> str:
    """Text that LaTeX prints as it stands."""
    return "".join(_SUBSTITUTES.get(character, character) for character in " ".join(text.split()))


def _caption(table: Table) -> str:
    """The title without its number, which LaTeX sets itself."""
    number, _, rest = table.title.partition(". ")
    return rest or number


def _label(name: str) -> str:
    """A label of characters that are safe in every document."""
    return "".join(c if c.isascii() and (c.isalnum() or c in "-.") else "-" for c in name)


def _groups(table: Table) -> list[str]:
    """The line of spanning heads with its rules; nothing where no column is grouped."""
    if not any(field.group for field in table.fields):
        return []
    cells, rules, column = [], [], 1
    for group, fields in groupby(table.fields, key=lambda field: field.group):
        span = len(list(fields))
        if group:
            cells.append(rf"\multicolumn{{{span}}}{{c}}{{{escape(group)}}}")
            rules.append(rf"\cmidrule(lr){{{column}-{column + span - 1}}}")
        else:
            cells += [""] * span
        column += span
    return [" & ".join(cells) + r" \\", "".join(rules)]


def _cell(cell: Cell) -> str:
    text = escape(cell.shown)
    if cell.best:
        text = rf"\textbf{{{text}}}"
    if cell.mark:
        # Without width, so that numbers stay below each other.
        mark = rf"\textsuperscript{{{escape(cell.mark)}}}"
        text += mark if cell.interval else rf"\rlap{{{mark}}}"
    return rf"{text} {{\footnotesize {escape(cell.interval)}}}" if cell.interval else text
