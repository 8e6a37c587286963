"""Templates of turns: literal text and fields to fill in, as in `str.format`.

``{code}`` is the row's column ``code``; ``{messages[0][content]}`` reaches into a list or object; a
literal brace is written twice. Only the template is parsed, never a value, so code full of braces
passes through untouched. After a colon come filters, from left to right:

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

#: Filters by name; one of them takes a language besides the text.
FILTERS: dict[str, Callable[..., str]] = {
    "strip": str.strip,
    _WITHOUT_DOCSTRINGS: without_docstrings,
    "without_triple_quoted": without_triple_quoted,
}


class FieldError(Exception):
    """A row has nothing that could fill a template's field; says what it has, and the way out."""


class MissingField(FieldError):
    """The row has no such column, or it has nothing at the path's place in it."""


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


class Template:
    """A parsed template; ``fields`` are all that it reads, those that name a language last."""

    def __init__(self, text: str, where: str) -> None:
        """Parse; ``where`` is the template's place in the config, for messages."""
        try:
            parsed = list(string.Formatter().parse(text))
        except ValueError as error:
            raise UserError(
                f"{where}: not a template ({error}); write a literal brace twice: {{{{ }}}}"
            ) from None
        #: Literal text, the field after it, and the field's filters with their arguments.
        self._pieces: list[tuple[str, str | None, list[tuple[str, str | None]]]] = []
        for literal, field, spec, conversion in parsed:
            if field == "" or conversion:
                raise UserError(
                    f"{where}: write a field as {{name}}, without conversion, and a literal "
                    "brace twice: {{ }}"
                )
            place = f"{where}: {{{field}:{spec}}}"
            filters = [_parse_filter(name, place) for name in (spec or "").split(":") if name]
            self._pieces.append((literal, field, filters))
        fields = [field for _, field, _ in self._pieces if field is not None]
        if not fields:
            raise UserError(f"{where}: names no field; write the column to fill in as {{column}}")
        arguments = [argument for *_, filters in self._pieces for _, argument in filters]
        fields += [argument for argument in arguments if argument and argument not in LANGUAGES]
        self.fields = tuple(dict.fromkeys(fields))

    def render(self, row: Row, columns: dict[str, str]) -> Turn:
        """Fill in a row's values; blank lines before and white space after the text are cut.

        ``columns``: field -> column, where it has another name. Raises `FieldError` where the row
        lacks a field's column, it holds a list or an object, or names a language other than
        `LANGUAGES` whose docstrings are to be removed.
        """
        text = ""
        spans = []
        for literal, field, filters in self._pieces:
            text += literal
            if field is not None:
                value = _text(row, columns.get(field, field))
                for name, argument in filters:
                    languages = [_language(row, argument, columns)] if argument else []
                    value = FILTERS[name](value, *languages)
                spans.append((field, len(text), len(text) + len(value)))
                text += value
        text = text.rstrip()
        start = text.rfind("\n", 0, len(text) - len(text.lstrip())) + 1

        def moved(place: int) -> int:
            return min(max(place, start), len(text)) - start

        return Turn(text[start:], tuple((field, moved(a), moved(b)) for field, a, b in spans))


def _parse_filter(text: str, where: str) -> tuple[str, str | None]:
    """Parse ``name`` or ``name[argument]``; raises `UserError` where there is no such one."""
    parts = re.fullmatch(r"([^\[\]]*)(?:\[(.+)\])?", text)
    name, argument = parts.groups() if parts else (text, None)
    if name not in FILTERS:
        raise UserError(f"{where}: unknown filter {text!r}{nearest(name, set(FILTERS))}")
    if argument is not None and name != _WITHOUT_DOCSTRINGS:
        raise UserError(f"{where}: the filter {name!r} takes nothing in brackets")
    return name, argument


def _language(row: Row, argument: str, columns: dict[str, str]) -> str:
    """A language named in brackets, or the row's by the field that is named there."""
    if argument in LANGUAGES:
        return argument
    column = columns.get(argument, argument)
    language = _text(row, column)
    if language not in LANGUAGES:
        raise FieldError(
            f"column {column!r} says {language!r}, but docstrings can be told apart only in "
            f"{' and '.join(LANGUAGES)}; leave those rows out, or use another filter in the "
            "template (`without_triple_quoted`)"
        )
    return language


def find_column(row: Row, column: str) -> Any:
    """What a row has in a column or at a path; raises `MissingField`."""
    value: Any = row
    # A column of that very name comes before a path such as ``messages[0][content]``.
    for key in [column] if column in row else re.findall(r"[^\[\]]+", column) or [column]:
        try:
            value = value[int(key)] if isinstance(value, list) else value[key]
        except (KeyError, IndexError, ValueError, TypeError):
            raise MissingField(column) from None
    return value


def _text(row: Row, column: str) -> str:
    """What a row has in a column as text; empty for null."""
    value = find_column(row, column)
    if isinstance(value, list | dict):
        kind = "a list" if isinstance(value, list) else "an object"
        raise FieldError(
            f"column {column!r} holds {kind}, not text; reach into it as {column}[0] or "
            f"{column}[key] in the source's `columns`"
        )
    return "" if value is None else str(value)
