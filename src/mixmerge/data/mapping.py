"""From a source's row to a conversation, with errors that name the row and the column."""

from pathlib import Path
from typing import Any

from mixmerge.core.errors import UserError, nearest
from mixmerge.data.docstrings import LANGUAGES
from mixmerge.data.lines import Row
from mixmerge.data.settings import Columns, Templates
from mixmerge.data.template import MissingField, NotText, Template, Turn, UnknownLanguage


class Mapping:
    """The templates of one task or suite applied to the rows of one source."""

    def __init__(self, owner: str, source: str, templates: Templates, columns: Columns) -> None:
        """Parse the templates.

        Args:
            owner: whose templates they are, as the config spells it: ``tasks.codegen``.
            source: the source's key.
            templates: system message, prompt and answer.
            columns: which columns the templates' fields are.

        Raises:
            UserError: a template is malformed, or ``columns`` has a slip of a field's name.
        """
        self.owner = owner
        self.source = source
        self.system = templates.system
        self.columns = columns
        self._prompt = Template(templates.prompt, f"{owner}.prompt")
        self._answer = Template(templates.answer, f"{owner}.answer")
        known = {*self._prompt.fields, *self._answer.fields}
        for field in columns.columns:
            # A source may serve several tasks, so a field that this one does not use is fine,
            # unless it looks like a slip of one that it does use.
            hint = nearest(field, known)
            if field not in known and hint.startswith("; did you mean"):
                missing = [name for name in known if repr(name) in hint]
                if missing and missing[0] not in columns.columns:
                    raise UserError(
                        f"sources.{source}.columns: the templates of {owner} have no field "
                        f"{field!r}{hint}"
                    )

    @property
    def fields(self) -> tuple[str, ...]:
        """Fields of both templates, each once."""
        return tuple(dict.fromkeys([*self._prompt.fields, *self._answer.fields]))

    def turns(self, row: Row, path: Path, number: int) -> tuple[Turn, Turn]:
        """Render the user's and the assistant's turn of the row on line ``number`` of ``path``.

        Raises:
            UserError: a column is missing, or holds something that is no text.
        """
        try:
            columns = self.columns.columns
            return self._prompt.render(row, columns), self._answer.render(row, columns)
        except MissingField as error:
            raise UserError(
                f"{path}:{number}: source {self.source!r} has no column {error.column!r} "
                f"(field {{{error.field}}} of {self.owner})"
                f"{_hint(error.column, row)}. Name the right one in "
                f"sources.{self.source}.columns: {{{error.field}: ...}}"
            ) from None
        except NotText as error:
            raise UserError(
                f"{path}:{number}: column {error.column!r} of source {self.source!r} holds "
                f"{error.kind}, not text; reach into it as {error.column}[0] or "
                f"{error.column}[key] in sources.{self.source}.columns"
            ) from None
        except UnknownLanguage as error:
            raise UserError(
                f"{path}:{number}: column {error.column!r} of source {self.source!r} says "
                f"{error.language!r}, but docstrings can be told apart only in "
                f"{' and '.join(LANGUAGES)}; leave those rows out, or use another filter in "
                f"{self.owner} (`without_triple_quoted`)"
            ) from None

    def identity(self, row: Row, path: Path, number: int) -> str | None:
        """The row's own id as text, or None where the source names no id column.

        Raises:
            UserError: the id column is missing, or the row's id is null, blank or no scalar.
        """
        column = self.columns.id_column
        if column is None:
            return None
        if column not in row:
            raise UserError(
                f"{path}:{number}: source {self.source!r} has no column {column!r} "
                f"(sources.{self.source}.id_column){_hint(column, row)}"
            )
        value = row[column]
        if not isinstance(value, str | int | float) or not str(value).strip():
            raise UserError(
                f"{path}:{number}: the id in column {column!r} is {value!r}; an id is a number "
                f"or a text. Leave sources.{self.source}.id_column out to have ids made"
            )
        return str(value)

    def messages(self, prompt: Turn, answer: Turn | None) -> list[dict[str, str]]:
        """The conversation: system message where there is one, user, and the answer if given."""
        turns = [{"role": "user", "content": prompt.text}]
        if self.system is not None:
            turns.insert(0, {"role": "system", "content": self.system})
        if answer is not None:
            turns.append({"role": "assistant", "content": answer.text})
        return turns


def _hint(column: str, row: Row) -> str:
    hint = nearest(column, set(row))
    listed = "it has " + ", ".join(repr(name) for name in row)
    return f"; {listed}{hint}" if hint.startswith("; did") else f"; {listed}"


class Blanks:
    """Rows without prompt or answer: counted, then an error unless they may be dropped."""

    def __init__(self, source: str, columns: Columns, path: Path) -> None:
        self._source = source
        self._drop = columns.on_empty == "drop"
        self._path = path
        self._first: tuple[int, str] | None = None
        self.count = 0

    def found(self, prompt: Turn, answer: Turn, number: int) -> bool:
        """Whether the row on line ``number`` has a blank turn; remembers it."""
        if not prompt.blank and not answer.blank:
            return False
        if self._first is None:
            self._first = (number, "answer" if answer.blank else "prompt")
        self.count += 1
        return True

    def check(self) -> None:
        """Call at the end of the source; raises `UserError` where rows had to be whole."""
        if self._first is not None and not self._drop:
            number, what = self._first
            rows = "1 row has" if self.count == 1 else f"{self.count} rows have"
            raise UserError(
                f"{self._path}:{number}: empty {what}; {rows} an empty prompt or answer in source "
                f"{self._source!r}. Mend them, or leave them out and have them counted with "
                f"sources.{self._source}.on_empty: drop"
            )


def spans(prompt: Turn, answer: Turn, offset: int) -> dict[str, list[list[int]]]:
    """Where each field's value stands: field -> [message, start, end] in characters.

    Args:
        prompt: the user's turn.
        answer: the assistant's turn.
        offset: index of the user's message.
    """
    places: dict[str, list[list[int]]] = {}
    for index, turn in enumerate((prompt, answer), start=offset):
        for field, start, end in turn.spans:
            places.setdefault(field, []).append([index, start, end])
    return places


def field_texts(row: dict[str, Any]) -> dict[str, list[str]]:
    """The values of a prepared row's fields, cut out of its messages by its spans."""
    messages = row["messages"]
    return {
        field: [messages[index]["content"][start:end] for index, start, end in places]
        for field, places in row["spans"].items()
    }
