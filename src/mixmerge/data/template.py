"""Templates of turns: literal text and fields to fill in, as in `str.format`.

``{code}`` is the row's field ``code``; ``{messages[0][content]}`` reaches into a list or an object;
a literal brace is written twice. Only the template is parsed, never a value, so code full of braces
passes through untouched. After a colon come filters, from left to right:

- ``{docstring:strip}``: without white space at both ends;
- ``{code:without_docstrings}``: without triple-quoted strings (the paper's summarisation inputs).
"""

import re
import string
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from mixmerge.errors import UserError, nearest

# A literal that has its lines to itself takes them along; one within a line leaves the rest.
_TRIPLE = r"[rRbBuUfF]{0,2}(?:\"\"\"(?:\\.|[^\\])*?\"\"\"|'''(?:\\.|[^\\])*?''')"
_ALONE = re.compile(rf"^[ \t]*{_TRIPLE}[ \t]*;?[ \t]*(?:\n|\Z)", re.DOTALL | re.MULTILINE)
_ANYWHERE = re.compile(_TRIPLE, re.DOTALL)


def without_docstrings(code: str) -> str:
    """Remove every triple-quoted string from source text.

    Works on text, not on a syntax tree: the corpora hold Python 2, Java and fragments.
    """
    return _ANYWHERE.sub("", _ALONE.sub("", code))


FILTERS: dict[str, Callable[[str], str]] = {
    "strip": str.strip,
    "without_docstrings": without_docstrings,
}


class MissingField(Exception):
    """The row has no such column, or it has nothing at the path's place in it."""

    def __init__(self, field: str, column: str) -> None:
        super().__init__(column)
        self.field = field
        self.column = column


class NotText(Exception):
    """The column holds a list or an object, which has no one way to become text."""

    def __init__(self, field: str, column: str, kind: str) -> None:
        super().__init__(column)
        self.field = field
        self.column = column
        self.kind = kind


@dataclass(frozen=True)
class Turn:
    """A rendered template and where in it each field's value stands."""

    text: str
    spans: tuple[tuple[str, int, int], ...]
    """(field, start, end) in characters of `text`."""

    @property
    def blank(self) -> bool:
        """Whether no field brought anything but white space."""
        return not any(self.text[start:end].strip() for _, start, end in self.spans)


@dataclass(frozen=True)
class _Piece:
    literal: str
    field: str | None
    filters: tuple[Callable[[str], str], ...]


class Template:
    """A parsed template."""

    def __init__(self, text: str, where: str) -> None:
        """Parse.

        Args:
            text: the template.
            where: its place in the config, for messages.

        Raises:
            UserError: unbalanced braces, a conversion such as ``!r``, an unknown filter, or no
                field at all.
        """
        self._pieces = []
        try:
            parsed = list(string.Formatter().parse(text))
        except ValueError as error:
            raise UserError(
                f"{where}: not a template ({error}); write a literal brace twice: {{{{ }}}}"
            ) from None
        for literal, field, spec, conversion in parsed:
            if field == "" or conversion:
                raise UserError(
                    f"{where}: write a field as {{name}}, without conversion, and a literal "
                    "brace twice: {{ }}"
                )
            names = [name for name in (spec or "").split(":") if name]
            for name in names:
                if name not in FILTERS:
                    raise UserError(
                        f"{where}: unknown filter {name!r} in {{{field}:{spec}}}"
                        f"{nearest(name, set(FILTERS))}"
                    )
            self._pieces.append(_Piece(literal, field, tuple(FILTERS[name] for name in names)))
        self.fields = tuple(dict.fromkeys(p.field for p in self._pieces if p.field is not None))
        if not self.fields:
            raise UserError(f"{where}: names no field; write the column to fill in as {{column}}")

    def render(self, row: Mapping[str, Any], columns: Mapping[str, str]) -> Turn:
        """Fill in a row's values; blank lines before and white space after the text are cut.

        Args:
            row: column -> value.
            columns: field -> column, for fields that are not columns of their own name.

        Raises:
            MissingField: the row lacks a field's column.
            NotText: the column's value is a list or an object.
        """
        parts: list[str] = []
        spans = []
        length = 0
        for piece in self._pieces:
            parts.append(piece.literal)
            length += len(piece.literal)
            if piece.field is not None:
                value = _text(row, piece.field, columns.get(piece.field, piece.field))
                for apply in piece.filters:
                    value = apply(value)
                parts.append(value)
                spans.append((piece.field, length, length + len(value)))
                length += len(value)
        text = "".join(parts)
        end = len(text.rstrip())
        lead = re.match(r"(?:[^\S\n]*\n)*", text[:end])
        start = lead.end() if lead else 0
        moved = tuple(
            (field, min(max(a, start), end) - start, min(max(b, start), end) - start)
            if end > start
            else (field, 0, 0)
            for field, a, b in spans
        )
        return Turn(text[start:end], moved)


def _text(row: Mapping[str, Any], field: str, column: str) -> str:
    value = row[column] if column in row else _reach(row, field, column)
    if value is None:
        return ""
    if isinstance(value, str):
        return value
    if isinstance(value, int | float):
        return str(value)
    raise NotText(field, column, "a list" if isinstance(value, list) else "an object")


def _reach(row: Mapping[str, Any], field: str, column: str) -> Any:
    head, *keys = re.findall(r"[^\[\]]+", column) or [column]
    if head not in row:
        raise MissingField(field, head)
    value = row[head]
    for key in keys:
        try:
            value = value[int(key)] if isinstance(value, list) else value[key]
        except (KeyError, IndexError, ValueError, TypeError):
            raise MissingField(field, column) from None
    if not keys:
        raise MissingField(field, column)
    return value
