"""A task's rows: mapped to chat messages, given ids, and free of duplicates."""

import hashlib
from collections.abc import Container, Iterator
from pathlib import Path
from typing import Any, NamedTuple

from mixmerge.artifacts.manifest import MANIFEST, publish, read_manifest
from mixmerge.core.errors import UserError, nearest
from mixmerge.core.io import write_json, write_jsonl
from mixmerge.data.rows import REPORT, ROWS, Row, Seen, progress, read_rows
from mixmerge.data.settings import Columns, PrepareSettings, Templates
from mixmerge.data.templates import FieldError, MissingField, Template, Turn


class MappedRow(NamedTuple):
    """A source's row on line ``number``, and its conversation; the id is unique in the source."""

    number: int
    id: str
    prompt: Turn
    answer: Turn
    row: Row


class RowMapping:
    """The templates of one task or suite applied to the rows of one source."""

    def __init__(self, owner: str, source: str, templates: Templates, columns: Columns) -> None:
        """Parse the templates; ``owner`` is whose they are, such as ``tasks.codegen``.

        Raises:
            UserError: a template is malformed, or ``columns`` has a slip of a field's name.
        """
        self.owner, self.source = owner, source
        self.system, self.columns = templates.system, columns
        #: Rows that `read` left out, because they had a blank turn: line number and turn.
        self.blanks: list[tuple[int, str]] = []
        self._prompt = Template(templates.prompt, f"{owner}.prompt")
        self._answer = Template(templates.answer, f"{owner}.answer")
        self.fields = tuple(dict.fromkeys([*self._prompt.fields, *self._answer.fields]))
        unused = set(self.fields) - set(columns.columns)
        for field in columns.columns:
            # A source may serve several tasks, so a field that this one does not use is fine,
            # unless it looks like a slip of one that it does use.
            hint = nearest(field, set(self.fields))
            if field not in self.fields and any(f"mean {name!r}" in hint for name in unused):
                raise UserError(
                    f"sources.{source}.columns: the templates of {owner} have no field "
                    f"{field!r}{hint}"
                )

    def read(self, path: Path) -> Iterator[MappedRow]:
        """Stream the fetched rows of which neither turn is blank.

        Raises:
            UserError: a column is missing or holds no text, an id is missing or comes twice, or (at
                the end) a turn was blank and such rows are not to be dropped.
        """
        lines: dict[str, int] = {}
        self.blanks = []
        for number, row in read_rows(path):
            prompt, answer = self.turns(row, path, number)
            if self.is_blank(prompt, answer, number):
                continue
            own = self.identity(row, path, number)
            if own is None:
                own = _content_id(prompt, answer, lines)
            elif own in lines:
                raise UserError(
                    f"{path}:{number}: duplicate id {own!r} in column {self.columns.id_column!r} "
                    f"of source {self.source!r}; line {lines[own]} has it too. Mend the data, or "
                    f"leave sources.{self.source}.id_column out to have ids made from the content"
                )
            lines[own] = number
            yield MappedRow(number, own, prompt, answer, row)
        self.check_blanks(path)

    def turns(self, row: Row, path: Path, number: int) -> tuple[Turn, Turn]:
        """The user's and the assistant's turn; `UserError` where a column holds no text."""
        try:
            columns = self.columns.columns
            return self._prompt.render(row, columns), self._answer.render(row, columns)
        except MissingField as error:
            raise UserError(f"{path}:{number}: {self.missing(error, row)}") from None
        except FieldError as error:
            raise UserError(f"{path}:{number}: {error} (sources.{self.source})") from None

    def missing(self, error: MissingField, row: Row) -> str:
        """What a message says of a column that a row lacks."""
        return (
            f"no column {error.column!r} for the field {{{error.field}}} of {self.owner}"
            f"{nearest(error.column, set(row))}; name the right one in "
            f"sources.{self.source}.columns: {{{error.field}: ...}}"
        )

    def identity(self, row: Row, path: Path, number: int) -> str | None:
        """The row's own id, None where the source names no id column; `UserError` for no scalar."""
        column = self.columns.id_column
        if column is None:
            return None
        if column not in row:
            raise UserError(
                f"{path}:{number}: sources.{self.source}.id_column: no column {column!r}"
                f"{nearest(column, set(row))}"
            )
        value = row[column]
        if not isinstance(value, str | int | float) or not str(value).strip():
            raise UserError(
                f"{path}:{number}: the id in column {column!r} is {value!r}; an id is a number "
                f"or a text. Leave sources.{self.source}.id_column out to have ids made"
            )
        return str(value)

    def is_blank(self, prompt: Turn, answer: Turn, number: int) -> bool:
        """Whether the row on line ``number`` has a blank turn; remembers it."""
        if prompt.blank or answer.blank:
            self.blanks.append((number, "answer" if answer.blank else "prompt"))
            return True
        return False

    def check_blanks(self, path: Path) -> None:
        """Raise `UserError` if there were rows with a blank turn and these must not be dropped."""
        if self.blanks and self.columns.on_empty == "error":
            number, turn = self.blanks[0]
            count = len(self.blanks)
            rows = "1 row has" if count == 1 else f"{count} rows have"
            raise UserError(
                f"{path}:{number}: empty {turn}; {rows} an empty prompt or answer in source "
                f"{self.source!r}. Mend them, or leave them out and have them counted with "
                f"sources.{self.source}.on_empty: drop"
            )

    def messages(self, *turns: Turn) -> list[dict[str, str]]:
        """The conversation: system message where there is one, user, and the answer if given."""
        texts = [self.system, *(turn.text for turn in turns)]
        roles = ("system", "user", "assistant")
        pairs = zip(roles, texts, strict=False)
        return [{"role": role, "content": text} for role, text in pairs if text is not None]


def _content_id(prompt: Turn, answer: Turn, taken: Container[str]) -> str:
    """An id made from a row's text; equal rows, where they may stay, are told apart by a count."""
    text = f"{prompt.text}\x1f{answer.text}".encode("utf-8", "surrogatepass")
    base = hashlib.blake2b(text, digest_size=10).hexdigest()
    name, count = base, 1
    while name in taken:
        count += 1
        name = f"{base}.{count}"
    return name


def prepare(
    task: str, settings: PrepareSettings, sources: dict[str, Path], out: Path
) -> dict[str, Any]:
    """Write ``out``/rows.jsonl and report.json; returns the report.

    A row is ``{"id", "messages", "source", "spans", "task"}``; ``spans`` says where in the
    messages the fields' values stand (field -> [message, start, end]), so that decontamination
    compares those and not the words of the templates, and is dropped there. Ids start with task and
    source, hence are unique in the whole study.

    Args:
        task: the task's key.
        settings: templates, and columns by source.
        sources: source -> its fetched directory, in the order in which they are read.
        out: target directory.

    Raises:
        UserError: see `RowMapping.read`; or nothing is left.
    """
    report: dict[str, Any] = {"task": task, "sources": {}}
    inputs = [directory / MANIFEST for directory in sources.values()]
    with publish(out, "rows", inputs=inputs, settings=settings) as artifact:
        rows = _prepared(task, settings, sources, report["sources"])
        write_jsonl(artifact.path / ROWS, rows)
        totals = [*report["sources"].values()]
        report |= {key: sum(counts[key] for counts in totals) for key in totals[0]}
        if not report["rows"]:
            raise UserError(f"task {task!r}: no rows left of {report['read']} read")
        write_json(artifact.path / REPORT, report)
        artifact.facts["rows"] = report["rows"]
    return report


def _prepared(
    task: str, settings: PrepareSettings, sources: dict[str, Path], counts: dict[str, Any]
) -> Iterator[Row]:
    """The rows of all sources; counts those read, empty, duplicate and kept by source."""
    texts = Seen()
    for source, directory in sources.items():
        mapping = RowMapping(f"tasks.{task}", source, settings.templates, settings.columns[source])
        total = read_manifest(directory, "rows")["facts"]["rows"]
        first = 0 if mapping.system is None else 1
        duplicates = 0
        for row in progress(mapping.read(directory / ROWS), f"prepare {source}", total):
            turns = (row.prompt, row.answer)
            words = "\x1f".join(" ".join(turn.text.split()) for turn in turns)
            if settings.deduplicate and not texts.add(words):
                duplicates += 1
                continue
            spans: dict[str, list[list[int]]] = {}
            for index, turn in enumerate(turns, start=first):
                for field, start, end in turn.spans:
                    spans.setdefault(field, []).append([index, start, end])
            yield {
                "id": f"{task}/{source}/{row.id}",
                "task": task,
                "source": source,
                "messages": mapping.messages(*turns),
                "spans": spans,
            }
        empty = len(mapping.blanks)
        counts[source] = {
            "read": total,
            "empty": empty,
            "duplicates": duplicates,
            "rows": total - empty - duplicates,
        }
