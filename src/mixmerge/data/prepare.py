"""A task's rows: mapped to chat messages, given ids, and free of duplicates."""

import hashlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from mixmerge.artifacts.manifest import MANIFEST, read_manifest
from mixmerge.core.errors import UserError, nearest
from mixmerge.core.io import write_json
from mixmerge.data.code_text import LANGUAGES
from mixmerge.data.rows import REPORT, ROWS, Row, Seen, encode, progress, publish, read_rows
from mixmerge.data.settings import Columns, PrepareSettings, Templates
from mixmerge.data.templates import MissingField, NotText, Template, Turn, UnknownLanguage


class RowMapping:
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
        self.owner, self.source = owner, source
        self.system, self.columns = templates.system, columns
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

    def turns(self, row: Row, path: Path, number: int) -> tuple[Turn, Turn]:
        """Render the user's and the assistant's turn of the row on line ``number`` of ``path``.

        Raises:
            UserError: a column is missing, or holds something that is no text.
        """
        try:
            columns = self.columns.columns
            return self._prompt.render(row, columns), self._answer.render(row, columns)
        except MissingField as error:
            problem = (
                f"source {self.source!r} has no column {error.column!r} (field {{{error.field}}} "
                f"of {self.owner}){_column_hint(error.column, row)}. Name the right one in "
                f"sources.{self.source}.columns: {{{error.field}: ...}}"
            )
        except NotText as error:
            problem = (
                f"column {error.column!r} of source {self.source!r} holds {error.found}, not text; "
                f"reach into it as {error.column}[0] or {error.column}[key] in "
                f"sources.{self.source}.columns"
            )
        except UnknownLanguage as error:
            problem = (
                f"column {error.column!r} of source {self.source!r} says {error.found!r}, but "
                f"docstrings can be told apart only in {' and '.join(LANGUAGES)}; leave those rows "
                f"out, or use another filter in {self.owner} (`without_triple_quoted`)"
            )
        raise UserError(f"{path}:{number}: {problem}")

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
                f"(sources.{self.source}.id_column){_column_hint(column, row)}"
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
        turns = [("system", self.system), ("user", prompt.text)]
        turns += [("assistant", answer.text)] if answer is not None else []
        return [{"role": role, "content": text} for role, text in turns if text is not None]


def _column_hint(column: str, row: Row) -> str:
    hint = nearest(column, set(row))
    listed = "; it has " + ", ".join(repr(name) for name in row)
    return f"{listed}{hint}" if hint.startswith("; did") else listed


class BlankRows:
    """Rows without prompt or answer: counted, then an error unless they may be dropped."""

    def __init__(self, source: str, columns: Columns, path: Path) -> None:
        self._source, self._path = source, path
        self._drop = columns.on_empty == "drop"
        self._first: tuple[int, str] | None = None
        self.count = 0

    def add(self, prompt: Turn, answer: Turn, number: int) -> bool:
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


def content_id(ids: Seen, prompt: str, answer: str) -> str:
    """An id made from a row's text; equal rows, where they may stay, are told apart by a count.

    Args:
        ids: those given so far; the new one is added.
        prompt: the user's turn.
        answer: the assistant's turn.
    """
    text = f"{prompt}\x1f{answer}".encode("utf-8", "surrogatepass")
    base = hashlib.blake2b(text, digest_size=10).hexdigest()
    name, count = base, 1
    while not ids.add(name):
        count += 1
        name = f"{base}.{count}"
    return name


def prepare(
    task: str, settings: PrepareSettings, sources: dict[str, Path], out: Path
) -> dict[str, Any]:
    """Write ``out``/rows.jsonl and report.json, with provenance and manifest.

    A row is ``{"id", "messages", "source", "spans", "task"}``; ``spans`` says where in the
    messages the fields' values stand (field -> [message, start, end]), so that decontamination
    compares those and not the words of the templates, and is dropped there. Ids start with task and
    source, hence are unique in the whole study.

    Args:
        task: the task's key.
        settings: templates, and columns by source.
        sources: source -> its fetched directory, in the order in which they are read.
        out: target directory.

    Returns:
        The report: rows read, blank, duplicate and kept, by source and in all.

    Raises:
        UserError: a missing column, a blank turn, a duplicate id, or nothing left.
    """
    if set(sources) != set(settings.columns):
        raise UserError(
            f"task {task!r}: the settings have columns for {sorted(settings.columns)}, but "
            f"--sources names {sorted(sources)}"
        )
    report: dict[str, Any] = {"task": task, "sources": {}}
    duplicates = Seen() if settings.deduplicate else None
    inputs = [directory / MANIFEST for directory in sources.values()]
    given = settings.model_dump(mode="json", exclude_unset=True)
    with publish(out, "rows", inputs, given) as (scratch, facts):
        with (scratch / ROWS).open("wb") as file:
            for source, directory in sources.items():
                columns = settings.columns[source]
                mapping = RowMapping(f"tasks.{task}", source, settings.templates, columns)
                counts = dict.fromkeys(("read", "empty", "duplicates", "rows"), 0)
                for row in _mapped(task, mapping, directory, duplicates, counts):
                    file.write(encode(row))
                report["sources"][source] = counts
        totals = [*report["sources"].values()]
        report |= {key: sum(counts[key] for counts in totals) for key in totals[0]}
        if not report["rows"]:
            raise UserError(f"task {task!r}: no rows left of {report['read']} read")
        write_json(scratch / REPORT, report)
        facts["rows"] = report["rows"]
    return report


def _mapped(
    task: str, mapping: RowMapping, directory: Path, duplicates: Seen | None, counts: dict[str, int]
) -> Iterator[Row]:
    """Map one source's rows, counting as it goes."""
    total = read_manifest(directory, "rows")["facts"]["rows"]
    path = directory / ROWS
    blanks = BlankRows(mapping.source, mapping.columns, path)
    ids = Seen()
    for number, row in progress(read_rows(path), f"prepare {mapping.source}", total):
        counts["read"] += 1
        prompt, answer = mapping.turns(row, path, number)
        if blanks.add(prompt, answer, number):
            continue
        own = mapping.identity(row, path, number)
        if own is not None and not ids.add(own):
            raise _duplicate_id(mapping, path, number, own)
        words = "\x1f".join(" ".join(turn.text.split()) for turn in (prompt, answer))
        if duplicates is not None and not duplicates.add(words):
            counts["duplicates"] += 1
            continue
        if own is None:
            own = content_id(ids, prompt.text, answer.text)
        counts["rows"] += 1
        spans: dict[str, list[list[int]]] = {}
        for index, turn in enumerate((prompt, answer), start=0 if mapping.system is None else 1):
            for field, start, end in turn.spans:
                spans.setdefault(field, []).append([index, start, end])
        yield {
            "id": f"{task}/{mapping.source}/{own}",
            "task": task,
            "source": mapping.source,
            "messages": mapping.messages(prompt, answer),
            "spans": spans,
        }
    counts["empty"] = blanks.count
    blanks.check()


def _duplicate_id(mapping: RowMapping, path: Path, number: int, own: str) -> UserError:
    """The error; finds the first bearer of the id by a second pass rather than by memory."""
    first = next(
        line
        for line, row in read_rows(path)
        if str(row.get(mapping.columns.id_column or "")) == own
    )
    return UserError(
        f"{path}:{number}: duplicate id {own!r} in column {mapping.columns.id_column!r} of source "
        f"{mapping.source!r}; line {first} has it too. Mend the data, or leave "
        f"sources.{mapping.source}.id_column out to have ids made from the content"
    )
