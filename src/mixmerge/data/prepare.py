"""A task's rows: mapped to chat messages, given ids, and free of duplicates."""

from collections.abc import Iterator
from itertools import chain, count
from pathlib import Path
from typing import NamedTuple

from mixmerge.artifacts.manifest import MANIFEST, publish
from mixmerge.core.errors import UserError, nearest, one_line
from mixmerge.core.io import digest, write_json, write_jsonl
from mixmerge.data.rows import REPORT, ROWS, Row, read_directory
from mixmerge.data.settings import Columns, PrepareSettings, Templates
from mixmerge.data.templates import FieldError, MissingField, Template, Turn, find_column


class MappedRow(NamedTuple):
    """A source's row, where it stands, and its conversation; the id is unique in the source."""

    where: str
    id: str
    prompt: Turn
    answer: Turn
    row: Row


class RowMapping:
    """The templates of one task or suite applied to the rows of one source.

    Attributes:
        blanks: how many rows `map` left out, because they had a blank turn.
    """

    def __init__(self, owner: str, source: str, templates: Templates, columns: Columns) -> None:
        """Parse the templates of ``owner``, such as ``tasks.codegen``; refuse slips in columns."""
        self.owner, self.source = owner, source
        self.system, self.columns = templates.system, columns
        self.blanks, self._first_blank = 0, ""
        self._lines: dict[str, int] = {}
        self._prompt = Template(templates.prompt, f"{owner}.prompt")
        self._answer = Template(templates.answer, f"{owner}.answer")
        self._fields = dict.fromkeys([*self._prompt.fields, *self._answer.fields])
        for field in columns.columns:
            # A source may serve several tasks, so a field that this one does not use is fine,
            # unless it looks like a slip of one that it does use.
            hint = nearest(field, set(self._fields))
            unused = set(self._fields) - set(columns.columns)
            if field not in self._fields and any(f"mean {name!r}" in hint for name in unused):
                raise UserError(
                    f"sources.{source}.columns: the templates of {owner} have no field "
                    f"{field!r}{hint}"
                )

    def read(self, source: Path, what: str) -> Iterator[MappedRow]:
        """Stream a fetched directory's rows of which neither turn is blank, with a bar."""
        for number, row in read_directory(source, what):
            if (mapped := self.map(row, source / ROWS, number)) is not None:
                yield mapped
        self.finish()

    def map(self, row: Row, path: Path, number: int) -> MappedRow | None:
        """Map one row of a file after the other; None for one with a blank turn.

        Raises `UserError` where a column is missing or holds no text, an id is missing or twice.
        """
        where = f"{path}:{number}"
        prompt, answer = self.turns(row, where)
        if prompt.blank or answer.blank:
            self.blanks += 1
            if self.blanks == 1:
                self._first_blank = f"{where}: empty {'answer' if answer.blank else 'prompt'}"
            return None
        own = self.identity(row, where)
        if own is None:
            base = digest(f"{prompt.text}\x1f{answer.text}", 10).hex()
            # Equal rows, where they may stay, are told apart by a count.
            names = chain([base], (f"{base}.{n}" for n in count(2)))
            own = next(name for name in names if name not in self._lines)
        elif own in self._lines:
            raise UserError(
                f"{where}: duplicate id {own!r} in column {self.columns.id_column!r} of source "
                f"{self.source!r}; line {self._lines[own]} has it too. Mend the data, or leave "
                f"sources.{self.source}.id_column out to have ids made from the content"
            )
        self._lines[own] = number
        return MappedRow(where, own, prompt, answer, row)

    def finish(self) -> None:
        """Raise `UserError` if there were rows with a blank turn and these must not be dropped."""
        if self.blanks and self.columns.on_empty == "error":
            rows = "1 row has" if self.blanks == 1 else f"{self.blanks} rows have"
            raise UserError(
                f"{self._first_blank}; {rows} an empty prompt or answer in source "
                f"{self.source!r}. Mend them, or leave them out and have them counted with "
                f"sources.{self.source}.on_empty: drop"
            )

    def missing(self, row: Row) -> list[str]:
        """What messages say of each column that the mapping reads and a row lacks."""
        messages = []
        for field in self._fields:
            column = self.columns.columns.get(field, field)
            try:
                find_column(row, column)
            except MissingField:
                messages.append(
                    f"no column {column!r} for the field {{{field}}} of {self.owner}"
                    f"{nearest(column, set(row))}; name the right one in "
                    f"sources.{self.source}.columns: {{{field}: ...}}"
                )
        own = self.columns.id_column
        if own is not None and own not in row:
            hint = nearest(own, set(row))
            messages.append(f"sources.{self.source}.id_column: no column {own!r}{hint}")
        return messages

    def turns(self, row: Row, where: str) -> tuple[Turn, Turn]:
        """The user's and the assistant's turn; `UserError` where a column holds no text."""
        columns = self.columns.columns
        try:
            return self._prompt.render(row, columns), self._answer.render(row, columns)
        except MissingField:
            raise UserError(f"{where}: {self.missing(row)[0]}") from None
        except FieldError as error:
            raise UserError(f"{where}: {error} (sources.{self.source})") from None

    def identity(self, row: Row, where: str) -> str | None:
        """The row's own id, None where the source names no id column; `UserError` for no scalar."""
        column = self.columns.id_column
        if column is None:
            return None
        if column not in row:
            raise UserError(f"{where}: {self.missing(row)[-1]}")
        value = row[column]
        if not isinstance(value, str | int | float) or not str(value).strip():
            raise UserError(
                f"{where}: the id in column {column!r} is {value!r}; an id is a number or a text. "
                f"Leave sources.{self.source}.id_column out to have ids made"
            )
        return str(value)

    def messages(self, *turns: Turn) -> list[dict[str, str]]:
        """The conversation: system message where there is one, user, and the answer if given."""
        texts = [self.system, *(turn.text for turn in turns)]
        pairs = zip(("system", "user", "assistant"), texts, strict=False)
        return [{"role": role, "content": text} for role, text in pairs if text is not None]


def prepare(task: str, settings: PrepareSettings, sources: dict[str, Path], out: Path) -> Row:
    """Write the rows of fetched sources, in their order, and report.json; returns the report.

    A row is ``{"id", "messages", "source", "spans", "task"}``; ``spans`` says where in the
    messages the fields' values stand (field -> [message, start, end]), so that decontamination
    compares those and not the words of the templates, and is dropped there. Ids start with task and
    source, hence are unique in the whole study. Raises as `RowMapping.read`, or if nothing is left.
    """
    by_source: dict[str, dict[str, int]] = {}
    seen: set[bytes] = set()

    def rows() -> Iterator[Row]:
        for source, directory in sources.items():
            columns = settings.columns[source]
            mapping = RowMapping(f"tasks.{task}", source, settings.templates, columns)
            kept = duplicates = 0
            for row in mapping.read(directory, f"prepare {source}"):
                turns = (row.prompt, row.answer)
                words = digest("\x1f".join(one_line(turn.text) for turn in turns), 16)
                if settings.deduplicate and words in seen:
                    duplicates += 1
                    continue
                seen.add(words)
                kept += 1
                messages = mapping.messages(*turns)
                spans: dict[str, list[list[int]]] = {}
                for index, turn in enumerate(turns, start=len(messages) - 2):
                    for field, start, end in turn.spans:
                        spans.setdefault(field, []).append([index, start, end])
                name = {"id": f"{task}/{source}/{row.id}", "task": task, "source": source}
                yield {**name, "messages": messages, "spans": spans}
            counts = {"empty": mapping.blanks, "duplicates": duplicates, "rows": kept}
            by_source[source] = {"read": sum(counts.values()), **counts}

    inputs = [directory / MANIFEST for directory in sources.values()]
    with publish(out, "rows", inputs=inputs, settings=settings) as artifact:
        write_jsonl(artifact.path / ROWS, rows())
        names = ("read", "empty", "duplicates", "rows")
        report: Row = {name: sum(counts[name] for counts in by_source.values()) for name in names}
        if not report["rows"]:
            raise UserError(f"task {task!r}: no rows left of {report['read']} read")
        report |= {"task": task, "sources": by_source}
        write_json(artifact.path / REPORT, report)
        artifact.facts["rows"] = report["rows"]
    return report
