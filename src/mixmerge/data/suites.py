"""What a suite holds out of training, and its items: prompts and reference texts.

What is held out is kept apart from the prompts, so that a changed prompt or a trial's `limit` asks
for new completions but trains nothing again.
"""

import re
from collections.abc import Callable, Iterator
from itertools import compress, islice
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from mixmerge.artifacts.manifest import MANIFEST, read_manifest
from mixmerge.core.errors import UserError, nearest
from mixmerge.data.prepare import BlankRows, RowMapping, content_id
from mixmerge.data.problems import (
    FILES,
    HUMAN_EVAL,
    KEYS,
    UNIT_TEST_KEYS,
    check_release,
    human_eval_problems,
    md5_of,
    problems_path,
    read_problems,
)
from mixmerge.data.rows import (
    ITEMS,
    PROBLEMS,
    ROWS,
    TEXTS,
    Row,
    Seen,
    encode,
    progress,
    publish,
    read_rows,
)
from mixmerge.data.split import lowest, rank
from mixmerge.data.suite_settings import CodeItems, SuiteItems, SuiteSettings
from mixmerge.data.templates import Template

T = TypeVar("T")


def hold_out_problems(suite: str, settings: SuiteSettings, out: Path, corpus: Path | None) -> None:
    """Write a code suite's problems.jsonl (verbatim) and texts.jsonl (prompt, solution).

    The manifest's fact ``origin`` is ``humaneval``, ``mbpp``, ``human-eval`` or ``problems``:
    EvalPlus decodes MBPP's inputs in a way of their own. ``release`` and ``md5`` say which file of
    EvalPlus it really is, by its content; ``release`` is None for any other. For the package
    `human-eval`, ``release`` is its version.

    Args:
        suite: the suite's key, for messages.
        settings: which problems.
        out: target directory.
        corpus: directory of the embedded corpus, for its problems.

    Raises:
        UserError: see `mixmerge.data.problems`.
    """
    entry = settings.suite
    assert isinstance(entry, CodeItems)
    try:
        if entry.problems == HUMAN_EVAL:
            path, release = human_eval_problems(entry.version)
            identity: dict[str, Any] = {"origin": HUMAN_EVAL, "release": release}
        else:
            path = problems_path(entry.problems, entry.version, corpus)
            named = str(entry.problems) if entry.problems in FILES else None
            md5 = md5_of(path)
            identity = {"release": check_release(path, md5, named, entry.version), "md5": md5}
        prefix = ""
        package = HUMAN_EVAL if entry.problems == HUMAN_EVAL else "evalplus"
        with publish(out, "heldout", [path], _given(settings), packages=[package]) as (
            scratch,
            facts,
        ):
            count = 0
            with (scratch / PROBLEMS).open("wb") as raw, (scratch / TEXTS).open("wb") as texts:
                problems = read_problems(path, UNIT_TEST_KEYS if entry.unit_tests else KEYS)
                for line, problem in progress(problems, f"hold out {suite}"):
                    raw.write(line + b"\n")
                    texts.write(encode(problem_texts(problem)))
                    prefix = problem["task_id"].split("/")[0]
                    count += 1
            origin = {"HumanEval": "humaneval", "Mbpp": "mbpp"}.get(prefix, "problems")
            facts |= {"items": count, "origin": origin, **identity}
    except UserError as error:
        raise UserError(f"suites.{suite}.problems: {error}") from None


def problem_texts(problem: Row) -> Row:
    """What of a problem must not occur in training data."""
    held_out = {"problem": problem["prompt"], "solution": problem["canonical_solution"]}
    return {"id": problem["task_id"], "texts": held_out}


def hold_out_rows(suite: str, settings: SuiteSettings, source: Path, out: Path) -> None:
    """Write a summary suite's texts.jsonl: the fields that the task's templates name.

    Args:
        suite: the suite's key, for messages.
        settings: templates and columns.
        source: the fetched source's directory.
        out: target directory.

    Raises:
        UserError: a missing column, or no rows.
    """
    total = read_manifest(source, "rows")["facts"]["rows"]
    mapping = RowMapping(f"suites.{suite}", source.name, settings.templates, settings.columns)
    path = source / ROWS
    with publish(out, "heldout", [source / MANIFEST], _given(settings)) as (scratch, facts):
        count = 0
        with (scratch / TEXTS).open("wb") as file:
            for number, row in progress(read_rows(path), f"hold out {suite}", total):
                texts: dict[str, str] = {}
                for turn in mapping.turns(row, path, number):
                    for field, start, end in turn.spans:
                        texts.setdefault(field, turn.text[start:end])
                own = mapping.identity(row, path, number)
                name = own if own is not None else f"line {number}"
                file.write(encode({"id": name, "texts": texts}))
                count += 1
        facts |= {"items": count, "origin": "rows"}


def code_suite(
    suite: str, settings: SuiteSettings, heldout: Path, out: Path, seed: int | None = None
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
        seed: of the sample, where the settings ask for one.

    Raises:
        UserError: the prompt names a field that problems don't have, or no problem is left.
    """
    entry = settings.suite
    assert isinstance(entry, CodeItems)
    known = read_manifest(heldout, "heldout")["facts"]
    template = Template(entry.prompt or settings.templates.prompt, f"suites.{suite}.prompt")
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

    inputs = [heldout / MANIFEST]
    with publish(out, "suite", inputs, _given(settings), seed=seed) as (scratch, facts):
        count = 0
        with (scratch / ITEMS).open("wb") as items, (scratch / PROBLEMS).open("wb") as problems:
            chosen = _chosen(read, lambda pair: str(pair[1]["id"]), entry, seed)
            for line, item in progress(chosen, f"suite {suite}"):
                items.write(encode(item))
                problems.write(line + b"\n")
                count += 1
        if not count:
            raise UserError(
                f"suites.{suite}.prompt: none of {len(unnamed)} prompts names all that the tests "
                "call; let it say so with {entry_point}"
            )
        facts |= {"items": count, "kind": "code"}
        facts |= {name: known.get(name) for name in ("origin", "release", "md5")}
        if entry.problems == "held-out":
            facts["unnamed"] = len(unnamed)
    return count


def _code_items(
    path: Path, template: Template, settings: SuiteSettings, unnamed: set[str]
) -> Iterator[tuple[bytes, Row]]:
    """Yield (problem's line, item); notes the problems whose prompt leaves out a tested name."""
    entry = settings.suite
    assert isinstance(entry, CodeItems)
    for line, problem in read_problems(path, UNIT_TEST_KEYS if entry.unit_tests else KEYS):
        names = problem.get("names") or [problem["entry_point"]]
        fields = {
            "problem": problem["prompt"].strip(),
            "prompt": problem["prompt"],
            "entry_point": ", ".join(names),
        }
        text = template.render(fields, {}).text
        if entry.problems == "held-out" and not set(names) <= set(re.findall(r"\w+", text)):
            unnamed.add(problem["task_id"])
            continue
        messages = [{"role": "user", "content": text}]
        if settings.templates.system is not None:
            messages.insert(0, {"role": "system", "content": settings.templates.system})
        yield line, {"id": problem["task_id"], "messages": messages, "reference": None}


def summary_suite(
    suite: str, settings: SuiteSettings, source: Path, out: Path, seed: int | None = None
) -> int:
    """Write items.jsonl with references; returns the number of items.

    Args:
        suite: the suite's key.
        settings: templates, columns, sample, limit.
        source: the fetched source's directory.
        out: target directory.
        seed: of the sample, where the settings ask for one.

    Raises:
        UserError: a missing column, a blank turn, or a duplicate id.
    """
    total = read_manifest(source, "rows")["facts"]["rows"]
    entry, templates = settings.suite, settings.templates
    if entry.prompt is not None:
        templates = templates.model_copy(update={"prompt": entry.prompt})
    mapping = RowMapping(f"suites.{suite}", source.name, templates, settings.columns)

    def read() -> Iterator[Row]:
        return _summary_items(mapping, source / ROWS)

    inputs = [source / MANIFEST]
    with publish(out, "suite", inputs, _given(settings), seed=seed) as (scratch, facts):
        count = 0
        with (scratch / ITEMS).open("wb") as file:
            chosen = _chosen(read, lambda item: str(item["id"]), entry, seed)
            wanted = min(total, entry.sample or total, entry.limit or total)
            for item in progress(chosen, f"suite {suite}", wanted):
                file.write(encode(item))
                count += 1
        if not count:
            raise UserError(f"suites.{suite}: source {source.name!r} has no usable rows")
        facts |= {"items": count, "kind": "summary", "origin": "rows"}
    return count


def _summary_items(mapping: RowMapping, path: Path) -> Iterator[Row]:
    blanks = BlankRows(mapping.source, mapping.columns, path)
    ids = Seen()
    for number, row in read_rows(path):
        prompt, answer = mapping.turns(row, path, number)
        if blanks.add(prompt, answer, number):
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


def _given(settings: SuiteSettings) -> Any:
    """The settings as the job got them, for the provenance."""
    return settings.model_dump(mode="json", exclude_unset=True)
