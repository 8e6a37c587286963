"""Templates of turns: literal text and fields to fill in, as in `str.format`.

``{code}`` is the row's field ``code``; ``{messages[0][content]}`` reaches into a list or an object;
a literal brace is written twice. Only the template is parsed, never a value, so code full of braces
passes through untouched. After a colon come filters, from left to right:

- ``{docstring:strip}``: without white space at both ends;
- ``{code:without_docstrings}``: Python source without its docstrings. In brackets stands another
  language, ``{code:without_docstrings[java]}``, or the field that names each row's,
  ``{code:without_docstrings[language]}``; see `mixmerge.data.docstrings`;
- ``{code:without_triple_quoted}``: without triple-quoted strings, docstrings or not: what the
  paper's authors did to their summarisation inputs, whatever the language.
"""

import re
import string
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from mixmerge.core.errors import UserError, nearest
from mixmerge.data.docstrings import LANGUAGES, without_docstrings, without_triple_quoted

_WITHOUT_DOCSTRINGS = "without_docstrings"

#: Filters that know nothing but the text.
FILTERS: dict[str, Callable[[str], str]] = {
    "strip": str.strip,
    _WITHOUT_DOCSTRINGS: without_docstrings,
    "without_triple_quoted": without_triple_quoted,
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


class UnknownLanguage(Exception):
    """The row's language is none whose docstrings can be told from other strings."""

    def __init__(self, field: str, column: str, language: str) -> None:
        super().__init__(column)
        self.field = field
        self.column = column
        self.language = language


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
class _Filter:
    name: str
    argument: str | None
    """What stands in brackets: a language, or the field that holds it."""

    @property
    def field(self) -> str | None:
        return None if self.argument in LANGUAGES else self.argument

    def apply(self, value: str, row: Mapping[str, Any], columns: Mapping[str, str]) -> str:
        if self.argument is None:
            return FILTERS[self.name](value)
        language = self.argument
        if self.field is not None:
            column = columns.get(self.field, self.field)
            language = _text(row, self.field, column)
            if language not in LANGUAGES:
                raise UnknownLanguage(self.field, column, language)
        return without_docstrings(value, language)


@dataclass(frozen=True)
class _Piece:
    literal: str
    field: str | None
    filters: tuple[_Filter, ...]


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
            given = [name for name in (spec or "").split(":") if name]
            filters = tuple(_filter(one, f"{where}: {{{field}:{spec}}}") for one in given)
            self._pieces.append(_Piece(literal, field, filters))
        filled = [piece.field for piece in self._pieces if piece.field is not None]
        asked = [one.field for p in self._pieces for one in p.filters if one.field is not None]
        self.fields = tuple(dict.fromkeys([*filled, *asked]))
        if not filled:
            raise UserError(f"{where}: names no field; write the column to fill in as {{column}}")

    def render(self, row: Mapping[str, Any], columns: Mapping[str, str]) -> Turn:
        """Fill in a row's values; blank lines before and white space after the text are cut.

        Args:
            row: column -> value.
            columns: field -> column, for fields that are not columns of their own name.

        Raises:
            MissingField: the row lacks a field's column.
            NotText: the column's value is a list or an object.
            UnknownLanguage: docstrings are to be removed from a language other than `LANGUAGES`.
        """
        parts: list[str] = []
        spans = []
        length = 0
        for piece in self._pieces:
            parts.append(piece.literal)
            length += len(piece.literal)
            if piece.field is not None:
                value = _text(row, piece.field, columns.get(piece.field, piece.field))
                for one in piece.filters:
                    value = one.apply(value, row, columns)
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


def _filter(text: str, where: str) -> _Filter:
    """A filter as it stands in a template: ``name`` or ``name[argument]``."""
    found = re.fullmatch(r"([^\[\]]*)(?:\[(.+)\])?", text)
    name = found[1] if found else text
    argument = found[2] if found else None
    if name not in FILTERS:
        raise UserError(f"{where}: unknown filter {text!r}{nearest(name, set(FILTERS))}")
    if argument is not None and name != _WITHOUT_DOCSTRINGS:
        raise UserError(f"{where}: the filter {name!r} takes nothing in brackets")
    return _Filter(name, argument)


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
