"""Templates of turns: literal text and fields to fill in, as in `str.format`.

``{code}`` is the row's field ``code``; ``{messages[0][content]}`` reaches into a list or an object;
a literal brace is written twice. Only the template is parsed, never a value, so code full of braces
passes through untouched.
After a colon come filters, from left to right:

- ``{docstring:strip}``: without white space at both ends;
- ``{code:without_docstrings}``: Python source without its docstrings. In brackets stands another
  language, ``{code:without_docstrings[java]}``, or the field that names each row's,
  ``{code:without_docstrings[language]}``; see `mixmerge.data.code_text`;
- ``{code:without_triple_quoted}``: without triple-quoted strings, docstrings or not: what the
  paper's authors did to their summarisation inputs, whatever the language.
"""

import re
import string
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from mixmerge.core.errors import UserError, nearest
from mixmerge.data.code_text import LANGUAGES, without_docstrings, without_triple_quoted
from mixmerge.data.rows import Row

_WITHOUT_DOCSTRINGS = "without_docstrings"

#: Filters that know nothing but the text.
FILTERS: dict[str, Callable[[str], str]] = {
    "strip": str.strip,
    _WITHOUT_DOCSTRINGS: without_docstrings,
    "without_triple_quoted": without_triple_quoted,
}


class FieldError(Exception):
    """A row has nothing that could fill a template's field.

    Attributes:
        field: the field's name.
        column: the column that it stands for.
        found: what the column holds instead.
    """

    def __init__(self, field: str, column: str, found: str = "") -> None:
        super().__init__(column)
        self.field, self.column, self.found = field, column, found


class MissingField(FieldError):
    """The row has no such column, or it has nothing at the path's place in it."""


class NotText(FieldError):
    """The column holds a list or an object, which has no one way to become text."""


class UnknownLanguage(FieldError):
    """The row's language is none whose docstrings can be told from other strings."""


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
    """A filter; `argument` is what stands in brackets: a language, or the field that holds it."""

    name: str
    argument: str | None

    @classmethod
    def parse(cls, text: str, where: str) -> "_Filter":
        """Parse ``name`` or ``name[argument]``; raises `UserError` where there is no such one."""
        parts = re.fullmatch(r"([^\[\]]*)(?:\[(.+)\])?", text)
        name, argument = parts.groups() if parts else (text, None)
        if name not in FILTERS:
            raise UserError(f"{where}: unknown filter {text!r}{nearest(name, set(FILTERS))}")
        if argument is not None and name != _WITHOUT_DOCSTRINGS:
            raise UserError(f"{where}: the filter {name!r} takes nothing in brackets")
        return cls(name, argument)

    @property
    def field(self) -> str | None:
        return None if self.argument in LANGUAGES else self.argument

    def apply(self, value: str, row: Row, columns: dict[str, str]) -> str:
        if self.argument is None:
            return FILTERS[self.name](value)
        language = self.argument
        if self.field is not None:
            column = columns.get(self.field, self.field)
            language = _text(row, self.field, column)
            if language not in LANGUAGES:
                raise UnknownLanguage(self.field, column, language)
        return without_docstrings(value, language)


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
        #: Literal text, the field after it, and the field's filters.
        self._pieces: list[tuple[str, str | None, list[_Filter]]] = []
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
            place = f"{where}: {{{field}:{spec}}}"
            names = filter(None, (spec or "").split(":"))
            self._pieces.append((literal, field, [_Filter.parse(name, place) for name in names]))
        filled = [field for _, field, _ in self._pieces if field is not None]
        if not filled:
            raise UserError(f"{where}: names no field; write the column to fill in as {{column}}")
        asked = [part.field for *_, filters in self._pieces for part in filters if part.field]
        self.fields = tuple(dict.fromkeys([*filled, *asked]))

    def render(self, row: Row, columns: dict[str, str]) -> Turn:
        """Fill in a row's values; blank lines before and white space after the text are cut.

        Args:
            row: column -> value.
            columns: field -> column, for fields that are not columns of their own name.

        Raises:
            MissingField: the row lacks a field's column.
            NotText: the column's value is a list or an object.
            UnknownLanguage: docstrings are to be removed from a language other than `LANGUAGES`.
        """
        text = ""
        spans = []
        for literal, field, filters in self._pieces:
            text += literal
            if field is not None:
                value = _text(row, field, columns.get(field, field))
                for part in filters:
                    value = part.apply(value, row, columns)
                spans.append((field, len(text), len(text) + len(value)))
                text += value
        end = len(text.rstrip())
        lead = re.match(r"(?:[^\S\n]*\n)*", text[:end])
        start = lead.end() if lead else 0

        def moved(place: int) -> int:
            return min(max(place, start), end) - start if end > start else 0

        return Turn(text[start:end], tuple((name, moved(a), moved(b)) for name, a, b in spans))


def _text(row: Row, field: str, column: str) -> str:
    value = row[column] if column in row else _nested_value(row, field, column)
    if value is None:
        return ""
    if isinstance(value, str | int | float):
        return str(value)
    raise NotText(field, column, "a list" if isinstance(value, list) else "an object")


def _nested_value(row: Row, field: str, column: str) -> Any:
    """The value at a path such as ``messages[0][content]``."""
    head, *keys = re.findall(r"[^\[\]]+", column) or [column]
    if head not in row or not keys:
        raise MissingField(field, head if head not in row else column)
    value = row[head]
    for key in keys:
        try:
            value = value[int(key)] if isinstance(value, list) else value[key]
        except (KeyError, IndexError, ValueError, TypeError):
            raise MissingField(field, column) from None
    return value
