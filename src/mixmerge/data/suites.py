"""A suite's items: the conversations up to the user's turn, and the reference texts."""

from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Any

from mixmerge.data.identity import Seen, content_id
from mixmerge.data.layout import ITEMS, PROBLEMS, ROWS
from mixmerge.data.lines import Row, encode, progress, read_rows
from mixmerge.data.mapping import Blanks, Mapping
from mixmerge.data.problems import read_problems
from mixmerge.data.suite_settings import SuiteSettings
from mixmerge.data.template import Template
from mixmerge.errors import UserError, nearest
from mixmerge.files import atomic_dir
from mixmerge.manifest import MANIFEST, read_manifest, write_manifest, write_provenance


def code_suite(
    suite: str, settings: SuiteSettings, heldout: Path, out: Path, given: dict[str, Any]
) -> int:
    """Write items.jsonl and the problems.jsonl they belong to; returns the number of items.

    The prompt's fields: ``prompt``, the problem's own text to the letter; ``problem``, the same
    without white space around it; ``entry_point``, the function's name.

    Args:
        suite: the suite's key.
        settings: prompt, system message, limit.
        heldout: the suite's held-out directory.
        out: target directory.
        given: the settings as they came, for the provenance.

    Raises:
        UserError: the prompt names a field that problems don't have.
    """
    facts = read_manifest(heldout, "heldout")["facts"]
    template = Template(
        settings.suite.prompt or settings.templates.prompt, f"suites.{suite}.prompt"
    )
    offered = {"problem", "prompt", "entry_point"}
    for field in template.fields:
        if field not in offered:
            raise UserError(
                f"suites.{suite}.prompt: a code suite has no field {field!r}"
                f"{nearest(field, offered)}. The task's own prompt is the default; give the suite "
                "one over {problem}, {prompt} and {entry_point}"
            )
    with atomic_dir(out) as scratch:
        count = 0
        with (scratch / ITEMS).open("wb") as items, (scratch / PROBLEMS).open("wb") as problems:
            read = islice(read_problems(heldout / PROBLEMS), settings.suite.limit)
            for line, problem in progress(read, f"suite {suite}"):
                fields = {
                    "problem": problem["prompt"].strip(),
                    "prompt": problem["prompt"],
                    "entry_point": problem["entry_point"],
                }
                messages = [{"role": "user", "content": template.render(fields, {}).text}]
                if settings.templates.system is not None:
                    messages.insert(0, {"role": "system", "content": settings.templates.system})
                items.write(
                    encode({"id": problem["task_id"], "messages": messages, "reference": None})
                )
                problems.write(line + b"\n")
                count += 1
        write_provenance(
            scratch, inputs=[heldout / MANIFEST], settings=given, seed=None, packages=[]
        )
        write_manifest(
            scratch, "suite", {"items": count, "kind": "code", "origin": facts["origin"]}
        )
    return count


def summary_suite(
    suite: str, settings: SuiteSettings, source: Path, out: Path, given: dict[str, Any]
) -> int:
    """Write items.jsonl with references; returns the number of items.

    Args:
        suite: the suite's key.
        settings: templates, columns, limit.
        source: the fetched source's directory.
        out: target directory.
        given: the settings as they came, for the provenance.

    Raises:
        UserError: a missing column, a blank turn, or a duplicate id.
    """
    total = read_manifest(source, "rows")["facts"]["rows"]
    templates = settings.templates
    if settings.suite.prompt is not None:
        templates = templates.model_copy(update={"prompt": settings.suite.prompt})
    mapping = Mapping(f"suites.{suite}", source.name, templates, settings.columns)
    with atomic_dir(out) as scratch:
        count = 0
        with (scratch / ITEMS).open("wb") as file:
            items = islice(_summary_items(mapping, source / ROWS), settings.suite.limit)
            for item in progress(
                items, f"suite {suite}", min(total, settings.suite.limit or total)
            ):
                file.write(encode(item))
                count += 1
        if not count:
            raise UserError(f"suites.{suite}: source {source.name!r} has no usable rows")
        write_provenance(
            scratch, inputs=[source / MANIFEST], settings=given, seed=None, packages=[]
        )
        write_manifest(scratch, "suite", {"items": count, "kind": "summary", "origin": "rows"})
    return count


def _summary_items(mapping: Mapping, path: Path) -> Iterator[Row]:
    blanks = Blanks(mapping.source, mapping.columns, path)
    ids = Seen()
    for number, row in read_rows(path):
        prompt, answer = mapping.turns(row, path, number)
        if blanks.found(prompt, answer, number):
            continue
        own = mapping.identity(row, path, number)
        if own is None:
            own = content_id(ids, prompt.text, answer.text)
        elif not ids.add(own):
            raise UserError(
                f"{path}:{number}: duplicate id {own!r} in column {mapping.columns.id_column!r} of "
                f"source {mapping.source!r}; mend the data, or leave id_column out"
            )
        yield {"id": own, "messages": mapping.messages(prompt, None), "reference": answer.text}
    blanks.check()
