"""A suite's items: the conversations up to the user's turn, and the reference texts."""

import re
from collections.abc import Callable, Iterator
from itertools import compress, islice
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from mixmerge.artifacts.manifest import MANIFEST, read_manifest, write_manifest, write_provenance
from mixmerge.core.errors import UserError, nearest
from mixmerge.core.io import atomic_dir
from mixmerge.data.identity import Seen, content_id
from mixmerge.data.layout import ITEMS, PROBLEMS, ROWS
from mixmerge.data.lines import Row, encode, progress, read_rows
from mixmerge.data.mapping import Blanks, Mapping
from mixmerge.data.problems import KEYS, UNIT_TEST_KEYS, read_problems
from mixmerge.data.sampling import lowest, rank
from mixmerge.data.suite_settings import CodeItems, SuiteItems, SuiteSettings
from mixmerge.data.template import Template

T = TypeVar("T")


def code_suite(
    suite: str,
    settings: SuiteSettings,
    heldout: Path,
    out: Path,
    given: dict[str, Any],
    seed: int | None = None,
) -> int:
    """Write items.jsonl and the problems.jsonl they belong to; returns the number of items.

    The prompt's fields: ``prompt``, the problem's own text to the letter; ``problem``, the same
    without white space around it; ``entry_point``, the function's name (of held-out rows: all
    names that the tests use). A held-out problem whose prompt leaves one of these names out can't
    be answered; it is left out and counted (the manifest's fact ``unnamed``).

    Args:
        suite: the suite's key.
        settings: prompt, system message, sample, limit.
        heldout: the suite's held-out directory.
        out: target directory.
        given: the settings as they came, for the provenance.
        seed: of the sample, where the settings ask for one.

    Raises:
        UserError: the prompt names a field that problems don't have, or no problem is left.
    """
    assert isinstance(settings.suite, CodeItems)
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
    unnamed: set[str] = set()

    def read() -> Iterator[tuple[bytes, Row]]:
        return _code_items(heldout / PROBLEMS, template, settings, unnamed)

    with atomic_dir(out) as scratch:
        count = 0
        with (scratch / ITEMS).open("wb") as items, (scratch / PROBLEMS).open("wb") as problems:
            chosen = _chosen(read, lambda pair: str(pair[1]["id"]), settings.suite, seed)
            for line, item in progress(chosen, f"suite {suite}"):
                items.write(encode(item))
                problems.write(line + b"\n")
                count += 1
        if not count:
            raise UserError(
                f"suites.{suite}.prompt: none of {len(unnamed)} prompts names all that the tests "
                "call; let it say so with {entry_point}"
            )
        write_provenance(
            scratch, inputs=[heldout / MANIFEST], settings=given, seed=seed, packages=[]
        )
        identity = {name: facts.get(name) for name in ("origin", "release", "md5")}
        if settings.suite.problems == "held-out":
            identity["unnamed"] = len(unnamed)
        write_manifest(scratch, "suite", {"items": count, "kind": "code", **identity})
    return count


def _code_items(
    path: Path, template: Template, settings: SuiteSettings, unnamed: set[str]
) -> Iterator[tuple[bytes, Row]]:
    """Yield (problem's line, item); notes the problems whose prompt leaves out a tested name."""
    assert isinstance(settings.suite, CodeItems)
    keys = UNIT_TEST_KEYS if settings.suite.unit_tests else KEYS
    for line, problem in read_problems(path, keys):
        names = problem.get("names") or [problem["entry_point"]]
        fields = {
            "problem": problem["prompt"].strip(),
            "prompt": problem["prompt"],
            "entry_point": ", ".join(names),
        }
        text = template.render(fields, {}).text
        if settings.suite.problems == "held-out" and not set(names) <= set(
            re.findall(r"\w+", text)
        ):
            unnamed.add(problem["task_id"])
            continue
        messages = [{"role": "user", "content": text}]
        if settings.templates.system is not None:
            messages.insert(0, {"role": "system", "content": settings.templates.system})
        yield line, {"id": problem["task_id"], "messages": messages, "reference": None}


def _chosen(
    read: Callable[[], Iterator[T]],
    identity: Callable[[T], str],
    entry: SuiteItems,
    seed: int | None,
) -> Iterator[T]:
    """The items that are judged on, in their own order: a sample where one is asked for.

    Whether an item is drawn depends on the seed and its id alone, so a larger sample holds a
    smaller one. The items are read twice rather than kept.
    """
    items = read()
    if entry.sample is not None:
        assert seed is not None
        values = np.fromiter((rank(seed, identity(item)) for item in items), np.uint64)
        items = compress(read(), lowest(values, entry.sample))
    return islice(items, entry.limit)


def summary_suite(
    suite: str,
    settings: SuiteSettings,
    source: Path,
    out: Path,
    given: dict[str, Any],
    seed: int | None = None,
) -> int:
    """Write items.jsonl with references; returns the number of items.

    Args:
        suite: the suite's key.
        settings: templates, columns, sample, limit.
        source: the fetched source's directory.
        out: target directory.
        given: the settings as they came, for the provenance.
        seed: of the sample, where the settings ask for one.

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
            chosen = _chosen(
                lambda: _summary_items(mapping, source / ROWS),
                lambda item: str(item["id"]),
                settings.suite,
                seed,
            )
            wanted = min(total, settings.suite.sample or total, settings.suite.limit or total)
            for item in progress(chosen, f"suite {suite}", wanted):
                file.write(encode(item))
                count += 1
        if not count:
            raise UserError(f"suites.{suite}: source {source.name!r} has no usable rows")
        write_provenance(
            scratch, inputs=[source / MANIFEST], settings=given, seed=seed, packages=[]
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
