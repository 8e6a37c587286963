"""A task's rows: mapped to chat messages, given ids, and free of duplicates."""

import sys
from collections.abc import Iterator
from itertools import product
from pathlib import Path
from typing import NamedTuple

from tqdm import tqdm

from mixmerge.artifacts.manifest import MANIFEST, publish
from mixmerge.core.errors import UserError, nearest, one_line
from mixmerge.core.io import digest, write_json, write_jsonl
from mixmerge.data.columns import FieldError, MissingField, find_column
from mixmerge.data.rows import REPORT, ROWS, Row, read_directory
from mixmerge.data.settings import Columns, PrepareSettings, Templates
from mixmerge.data.templates import Template, Turn


class MappedRow(NamedTuple):
    """A source's row, where it stands, and its conversation; the id is unique in the source."""

    where: str
    id: str
    prompt: Turn
    answer: Turn
    row: Row


class RowMapping:
    """The templates of one task or suite applied to the rows of one source."""

    def __init__(self, owner: str, source: str, templates: Templates, columns: Columns) -> None:
        """Parse the templates of ``owner``, such as ``tasks.codegen``; refuse slips in columns."""
        self.owner, self.source = owner, f"sources.{source}"
        self.system, self.columns = templates.system, columns
        #: How many rows `map` left out for a blank turn, and what is said of the first.
        self.blanks, self._first_blank = 0, ""
        #: Turns of mapped chats that are in neither prompt nor answer.
        self.unused = 0
        #: Id -> its line, or how many rows have it where it is made from the content.
        self._lines: dict[str, int] = {}
        self._prompt = Template(templates.prompt, f"{owner}.prompt", "user")
        self._answer = Template(templates.answer, f"{owner}.answer", "assistant")
        self._fields = dict.fromkeys([*self._prompt.fields, *self._answer.fields])
        for field in sorted(columns.columns.keys() - self._fields.keys()):
            # It may be another task's, unless it looks like a slip of one that this one uses.
            hint = nearest(field, set(self._fields))
            unused = set(self._fields) - set(columns.columns)
            if any(f"mean {name!r}" in hint for name in unused):
                problem = f"the templates of {owner} have no field {field!r}{hint}"
                raise UserError(f"{self.source}.columns: {problem}")

    def read(self, source: Path, what: str) -> Iterator[MappedRow]:
        """Stream a fetched directory's rows of which neither turn is blank, with a bar."""
        for number, row in read_directory(source, what):
            if (mapped := self.map(row, source / ROWS, number)) is not None:
                yield mapped
        self.finish()
        for line in self.notes():
            tqdm.write(f"warning: {line}", file=sys.stderr)

    def map(self, row: Row, path: Path, number: int) -> MappedRow | None:
        """Map one row of a file after the other; None for one with a blank turn."""
        where = f"{path}:{number}"
        prompt, answer = self.turns(row, where)
        if prompt.blank or answer.blank:
            self.blanks += 1
            empty = "answer" if answer.blank else "prompt"
            self._first_blank = self._first_blank or f"{where}: empty {empty}"
            return None
        taken = {*prompt.places, *answer.places}
        self.unused += sum({place.chat: len(place.roles) for place in taken}.values()) - len(taken)
        own = self.identity(row, where)
        if own is None:
            own = digest(f"{prompt.text}\x1f{answer.text}", 10).hex()
            # Equal rows, where they may stay, are told apart by a count.
            copies = self._lines[own] = self._lines.get(own, 0) + 1
            own = own if copies == 1 else f"{own}.{copies}"
        elif own in self._lines:
            problem = f"duplicate id {own!r} in column {self.columns.id_column!r}"
            mend = f"Mend the data, or leave {self.source}.id_column out to have ids made"
            raise UserError(f"{where}: {problem}; line {self._lines[own]} has it too. {mend}")
        else:
            self._lines[own] = number
        return MappedRow(where, own, prompt, answer, row)

    def finish(self) -> None:
        """Raise `UserError` if there were rows with a blank turn and these must not be dropped."""
        if self.blanks and self.columns.on_empty == "error":
            rows = f"rows with an empty prompt or answer: {self.blanks}"
            mend = f"Mend them, or have them left out and counted: {self.source}.on_empty: drop"
            raise UserError(f"{self._first_blank}; {rows}. {mend}")

    def notes(self) -> list[str]:
        """What of the rows was left out, for people."""
        words = f"{self.owner}: turns of {self.source} that are in neither prompt nor answer"
        return [f"{words}: {self.unused:,}"] if self.unused else []

    def missing(self, row: Row) -> list[str]:
        """A message for each column that the mapping reads and a row lacks."""
        messages = []
        for field in self._fields:
            column = self.columns.columns.get(field, field)
            try:
                find_column(row, column)
            except MissingField:
                hint = f"{nearest(column, set(row))}; name the right one in {self.source}.columns"
                problem = f"no column {column!r} for the field {{{field}}} of {self.owner}"
                messages.append(f"{problem}{hint}: {{{field}: ...}}")
            except FieldError:
                pass  # of this row alone; `turns` tells
        own = self.columns.id_column
        if own is not None and own not in row:
            hint = nearest(own, set(row))
            messages.append(f"{self.source}.id_column: no column {own!r}{hint}")
        return messages

    def turns(self, row: Row, where: str) -> tuple[Turn, Turn]:
        """The user's and the assistant's turn; `UserError` where a column holds no text."""
        columns = self.columns.columns
        try:
            prompt, answer = self._prompt.render(row, columns), self._answer.render(row, columns)
            for asked, replied in product(prompt.places, answer.places):
                between = replied.roles[asked.number + 1 : replied.number]
                is_late = replied.number < asked.number or asked.roles[asked.number] in between
                if asked.chat == replied.chat and is_late:
                    turns = f"turn {replied.number} of {asked.chat!r} does not answer turn "
                    raise FieldError(f"{turns}{asked.number}; name turns by role, as [assistant]")
            return prompt, answer
        except MissingField:
            raise UserError(f"{where}: {self.missing(row)[0]}") from None
        except FieldError as error:
            raise UserError(f"{where}: {error} ({self.source})") from None

    def identity(self, row: Row, where: str) -> str | None:
        """The row's own id, None where the source names no id column; `UserError` for no scalar."""
        column = self.columns.id_column
        if column is None:
            return None
        if column not in row:
            raise UserError(f"{where}: {self.missing(row)[-1]}")
        if isinstance(row[column], str | int | float) and (own := str(row[column])).strip():
            return own
        problem = f"the id in column {column!r} is {row[column]!r}, no number or text"
        raise UserError(f"{where}: {problem}. Leave {self.source}.id_column out to have ids made")

    def messages(self, *turns: Turn) -> list[dict[str, str]]:
        """The conversation: system message where there is one, user, and the answer if given."""
        texts = [self.system, *(turn.text for turn in turns)]
        pairs = zip(("system", "user", "assistant"), texts, strict=False)
        return [{"role": role, "content": text} for role, text in pairs if text is not None]


def prepare(task: str, settings: PrepareSettings, sources: dict[str, Path], out: Path) -> Row:
    """Write the rows of fetched sources, in their order, and report.json; returns the report.

    A row is ``{"id": "TASK/SOURCE/ID", "messages", "source", "spans", "task"}``; ``spans`` says for
    decontamination where the fields' values stand: field -> [message, start, end].
    """
    by_source: dict[str, dict[str, int]] = {}
    notes: list[str] = []
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
            unused = {"unused_turns": mapping.unused}
            by_source[source] = {"read": sum(counts.values()), **counts, **unused}
            notes.extend(mapping.notes())

    inputs = [directory / MANIFEST for directory in sources.values()]
    with publish(out, "rows", inputs=inputs, settings=settings) as artifact:
        write_jsonl(artifact.path / ROWS, rows())
        names = ("read", "empty", "duplicates", "rows", "unused_turns")
        report: Row = {name: sum(counts[name] for counts in by_source.values()) for name in names}
        if not report["rows"]:
            raise UserError(f"task {task!r}: no rows left of {report['read']} read")
        report |= {"task": task, "sources": by_source, "notes": notes}
        write_json(artifact.path / REPORT, report)
        artifact.facts["rows"] = report["rows"]
    return report
