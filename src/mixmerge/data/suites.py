"""What a suite holds out of training, and its items: prompts and reference texts.

What is held out is kept apart from the prompts, so that a changed prompt or a trial's `limit` asks
for new completions but trains nothing again.
"""

import re
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np

from mixmerge.artifacts.manifest import MANIFEST, publish, read_manifest
from mixmerge.core.errors import UserError, nearest
from mixmerge.core.io import write_jsonl
from mixmerge.data.prepare import RowMapping
from mixmerge.data.problems import HUMAN_EVAL, locate_problems, problem_texts, read_problems
from mixmerge.data.rows import ITEMS, PROBLEMS, ROWS, TEXTS, Row, progress, read_rows
from mixmerge.data.settings import CodeItems, SuiteSettings
from mixmerge.data.split import lowest, rank
from mixmerge.data.templates import Template


def hold_out_problems(suite: str, settings: SuiteSettings, out: Path, corpus: Path | None) -> None:
    """Write a code suite's problems.jsonl (verbatim) and texts.jsonl (prompt, solution).

    The manifest's fact ``origin`` is ``humaneval``, ``mbpp``, ``human-eval`` or ``problems``:
    EvalPlus decodes MBPP's inputs in a way of their own. ``release`` and ``md5`` say which file of
    EvalPlus it really is, by its content; ``release`` is None for any other. For the package
    `human-eval`, ``release`` is its version. ``corpus`` is the embedded study's directory.

    Raises:
        UserError: see `mixmerge.data.problems`.
    """
    entry = settings.suite
    assert isinstance(entry, CodeItems)
    try:
        path, identity = locate_problems(entry.problems, entry.version, corpus)
        read = read_problems(path, entry.unit_tests)
        pairs = list(progress(read, f"hold out {suite}"))
    except UserError as error:
        raise UserError(f"suites.{suite}.problems: {error}") from None
    prefix = pairs[-1][1]["task_id"].split("/")[0]
    origin = {"HumanEval": "humaneval", "Mbpp": "mbpp"}.get(prefix, "problems")
    package = HUMAN_EVAL if entry.problems == HUMAN_EVAL else "evalplus"
    with publish(out, "heldout", inputs=[path], settings=settings, packages=[package]) as artifact:
        (artifact.path / PROBLEMS).write_bytes(b"".join(line + b"\n" for line, _ in pairs))
        write_jsonl(artifact.path / TEXTS, (problem_texts(problem) for _, problem in pairs))
        artifact.facts |= {"items": len(pairs), "origin": origin, **identity}


def hold_out_rows(suite: str, settings: SuiteSettings, source: Path, out: Path) -> None:
    """Write a summary suite's texts.jsonl: a source's fields that the task's templates name."""
    total = read_manifest(source, "rows")["facts"]["rows"]
    mapping = RowMapping(f"suites.{suite}", source.name, settings.templates, settings.columns)

    def texts(path: Path) -> Iterator[Row]:
        for number, row in progress(read_rows(path), f"hold out {suite}", total):
            where = f"{path}:{number}"
            fields: dict[str, str] = {}
            for turn in mapping.turns(row, where):
                for field, start, end in turn.spans:
                    fields.setdefault(field, turn.text[start:end])
            own = mapping.identity(row, where)
            yield {"id": f"line {number}" if own is None else own, "texts": fields}

    with publish(out, "heldout", inputs=[source / MANIFEST], settings=settings) as artifact:
        count = write_jsonl(artifact.path / TEXTS, texts(source / ROWS))
        artifact.facts |= {"items": count, "origin": "rows"}


def code_suite(
    suite: str, settings: SuiteSettings, heldout: Path, out: Path, seed: int | None = None
) -> int:
    """Write items.jsonl and the problems.jsonl they belong to; returns the number of items.

    The prompt's fields: ``prompt``, the problem's own text to the letter; ``problem``, the same
    without white space around it; ``entry_point``, the function's name (of held-out rows: all
    names that the tests use). A held-out problem whose prompt leaves one of these names out can't
    be answered; it is left out and counted (the manifest's fact ``unnamed``). ``seed`` is that of
    the sample, where the settings ask for one.

    Raises:
        UserError: the prompt names a field that problems don't have, or no problem is left.
    """
    entry, templates = settings.suite, settings.templates
    assert isinstance(entry, CodeItems)
    facts = read_manifest(heldout, "heldout")["facts"]
    template = Template(entry.prompt or templates.prompt, f"suites.{suite}.prompt")
    offered = {"problem", "prompt", "entry_point"}
    for field in template.fields:
        if field not in offered:
            raise UserError(
                f"suites.{suite}.prompt: a code suite has no field {field!r}"
                f"{nearest(field, offered)}. The task's own prompt is the default; give the suite "
                "one over {problem}, {prompt} and {entry_point}"
            )
    held_out = entry.problems == "held-out"
    system = [] if templates.system is None else [{"role": "system", "content": templates.system}]
    lines, items, unnamed = [], [], 0
    for line, problem in read_problems(heldout / PROBLEMS, entry.unit_tests):
        prompt = problem["prompt"]
        names = problem.get("names") or [problem["entry_point"]]
        fields = {"problem": prompt.strip(), "prompt": prompt, "entry_point": ", ".join(names)}
        text = template.render(fields, {}).text
        if held_out and not set(names) <= set(re.findall(r"\w+", text)):
            unnamed += 1
            continue
        messages = [*system, {"role": "user", "content": text}]
        lines.append(line + b"\n")
        items.append({"id": problem["task_id"], "messages": messages, "reference": None})
    if not items:
        raise UserError(
            f"suites.{suite}.prompt: none of {unnamed} prompts names all that the tests call; let "
            "it say so with {entry_point}"
        )
    more = {name: facts.get(name) for name in ("origin", "release", "md5")}
    more |= {"unnamed": unnamed} if held_out else {}
    return _write_items(settings, heldout, out, seed, items, more, lines)


def summary_suite(
    suite: str, settings: SuiteSettings, source: Path, out: Path, seed: int | None = None
) -> int:
    """Write a fetched source's items.jsonl with references; returns the number of items.

    Raises:
        UserError: a missing column, a blank turn, or a duplicate id.
    """
    total = read_manifest(source, "rows")["facts"]["rows"]
    entry, templates = settings.suite, settings.templates
    if entry.prompt is not None:
        templates = templates.model_copy(update={"prompt": entry.prompt})
    mapping = RowMapping(f"suites.{suite}", source.name, templates, settings.columns)
    rows = progress(mapping.read(source / ROWS), f"suite {suite}", total)
    items = [
        {"id": row.id, "messages": mapping.messages(row.prompt), "reference": row.answer.text}
        for row in islice(rows, None if entry.sample else entry.limit)
    ]
    if not items:
        raise UserError(f"suites.{suite}: source {source.name!r} has no usable rows")
    return _write_items(settings, source, out, seed, items, {"origin": "rows"})


def _write_items(
    settings: SuiteSettings,
    made_from: Path,
    out: Path,
    seed: int | None,
    items: list[Row],
    facts: dict[str, Any],
    lines: list[bytes] | None = None,
) -> int:
    """Write a suite's items, or a sample of them, with the lines of its problems; returns how many.

    Whether an item is drawn depends on the seed and its id alone, so a larger sample holds a
    smaller one.
    """
    entry = settings.suite
    chosen = range(len(items))
    if entry.sample is not None:
        assert seed is not None
        values = np.array([rank(seed, item["id"]) for item in items], np.uint64)
        chosen = np.flatnonzero(lowest(values, entry.sample)).tolist()
    chosen = chosen[: entry.limit]
    inputs = [made_from / MANIFEST]
    with publish(out, "suite", inputs=inputs, settings=settings, seed=seed) as artifact:
        write_jsonl(artifact.path / ITEMS, (items[place] for place in chosen))
        if lines is not None:
            (artifact.path / PROBLEMS).write_bytes(b"".join(lines[place] for place in chosen))
        artifact.facts |= {"items": len(chosen), "kind": entry.kind, **facts}
    return len(chosen)
