"""What a suite holds out of training and, apart from it, its items: prompts and references."""

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
from mixmerge.data.columns import MissingField
from mixmerge.data.prepare import RowMapping
from mixmerge.data.problems import HUMAN_EVAL, Unusable, locate_problems, read_problems, read_tests
from mixmerge.data.rows import (
    ITEMS,
    PROBLEMS,
    REPORT,
    ROWS,
    TEXTS,
    TRAIN,
    VALIDATION,
    Row,
    progress,
    read_directory,
)
from mixmerge.data.settings import CodeItems, SuiteSettings, Templates
from mixmerge.data.split import lowest, rank
from mixmerge.data.templates import Template


def hold_out_problems(suite: str, settings: SuiteSettings, out: Path, corpus: Path | None) -> None:
    """Write a code suite's problems.jsonl (verbatim) and texts.jsonl (prompt, solution)."""
    entry = settings.suite
    assert isinstance(entry, CodeItems)
    try:
        path, identity = locate_problems(entry.problems, entry.version, corpus)
        read = read_problems(path, entry.unit_tests)
        pairs = list(progress(read, f"hold out {suite}"))
    except UserError as error:
        raise UserError(f"suites.{suite}.problems: {error}") from None
    # EvalPlus decodes MBPP's inputs in a way of their own.
    prefix = pairs[-1][1]["task_id"].split("/")[0]
    origin = {"HumanEval": "humaneval", "Mbpp": "mbpp"}.get(prefix, "problems")
    package = HUMAN_EVAL if entry.problems == HUMAN_EVAL else "evalplus"
    with publish(out, "heldout", inputs=[path], settings=settings, packages=[package]) as artifact:
        (artifact.path / PROBLEMS).write_bytes(b"".join(line + b"\n" for line, _ in pairs))
        write_jsonl(artifact.path / TEXTS, (problem_texts(problem) for _, problem in pairs))
        artifact.facts |= {"items": len(pairs), "origin": origin, **identity}


def problem_texts(problem: Row) -> Row:
    """What of a problem must not occur in training data."""
    texts = {"problem": problem["prompt"], "solution": problem["canonical_solution"]}
    return {"id": problem["task_id"], "texts": texts}


def hold_out_rows(suite: str, settings: SuiteSettings, source: Path, out: Path) -> None:
    """Write a summary suite's texts.jsonl: a source's fields that the task's templates name."""
    mapping = RowMapping(f"suites.{suite}", source.name, settings.templates, settings.columns)

    def texts() -> Iterator[Row]:
        for number, row in read_directory(source, f"hold out {suite}"):
            where = f"{source / ROWS}:{number}"
            name = mapping.identity(row, where) or f"line {number}"
            yield {"id": name, "texts": row_texts(mapping, row, where)}

    with publish(out, "heldout", inputs=[source / MANIFEST], settings=settings) as artifact:
        count = write_jsonl(artifact.path / TEXTS, texts())
        artifact.facts |= {"items": count, "origin": "rows"}


def row_texts(mapping: RowMapping, row: Row, where: str) -> dict[str, str]:
    """What of a row must not occur in training data: of each turn its fields, by their names."""
    texts = {}
    for turn in reversed(mapping.turns(row, where)):
        name = ", ".join(field for field, *_ in turn.spans)
        texts[name] = "\n".join(turn.text[start:end] for _, start, end in turn.spans)
    return texts


def hold_out_validation(
    suite: str, settings: SuiteSettings, source: Path, split: Path, out: Path
) -> Row:
    """Write problems.jsonl, texts.jsonl and report.json of a `held-out` suite; returns the report.

    Problems are rows that a split kept from training, joined to their source's, with the tests, by
    `prepare`'s ids. One whose tests are also those of a trained row is left out: KodCode asks most
    problems twice, in other words and with one solution.
    """
    assert isinstance(settings.suite, CodeItems) and settings.suite.fields is not None
    fields = settings.suite.fields
    mapping = RowMapping(f"tasks.{split.name}", source.name, settings.templates, settings.columns)
    read_manifest(split, "rows")
    prefix = f"{split.name}/{source.name}/"
    held_out, trained = (
        {row["id"] for row in read_jsonl(split / part) if row["id"].startswith(prefix)}
        for part in (VALIDATION, TRAIN)
    )
    rows: dict[str, tuple[Row, bytes]] = {}
    #: Digest of tests, white space aside -> why another row with the same ones is left out.
    twins: dict[bytes, str] = {}
    for where, own, *_, row in mapping.read(source, f"hold out {suite}"):
        name, tests = prefix + own, digest(one_line(row.get(fields.tests)), 16)
        if name in trained:
            twins[tests] = "trained_twin"
        elif name in held_out:
            rows[name] = row, tests
            for field, column in fields.model_dump().items():
                if column not in row:
                    words = f"no column {column!r} in the source{nearest(column, set(row))}"
                    raise UserError(f"{where}: suites.{suite}.fields.{field}: {words}")
    if len(rows) != len(held_out):
        words = f"{split / VALIDATION} has {len(held_out)} rows of {source / ROWS}, which has"
        way_out = f"{len(rows)} of them; run the rules fetch and split again"
        raise UserError(f"suites.{suite}: {words} {way_out}")
    problems: list[Row] = []
    left_out: Counter[str] = Counter()
    for name, (row, tests) in rows.items():
        question, solution = row[fields.problem], row[fields.solution]
        try:
            if not isinstance(question, str) or not question.strip():
                raise Unusable("no_problem")
            program, names = read_tests(row[fields.tests], solution)
            if tests in twins:
                raise Unusable(twins[tests])
        except Unusable as reason:
            left_out[str(reason)] += 1
            continue
        twins[tests] = "twin"
        entry = {"task_id": name, "prompt": question, "entry_point": names[0], "names": names}
        problems.append({**entry, "canonical_solution": solution, "test": program})
    reasons = dict(sorted(left_out.items()))
    words = f"{left_out.total()} of {len(rows)} held-out rows make no problem: {reasons}"
    if not problems:
        way_out = "a larger data.validation_fraction holds out more"
        raise UserError(f"suites.{suite}: {words}; {way_out}")
    if reasons:
        tqdm.write(f"warning: suites.{suite}: {words}", file=sys.stderr)
    report: Row = {"suite": suite, "source": source.name, "problems": len(problems)}
    report |= {"held_out": len(rows), "left_out": reasons}
    inputs = [source / MANIFEST, split / MANIFEST]
    with publish(out, "heldout", inputs=inputs, settings=settings) as artifact:
        write_jsonl(artifact.path / PROBLEMS, problems)
        write_jsonl(artifact.path / TEXTS, map(problem_texts, problems))
        write_json(artifact.path / REPORT, report)
        artifact.facts |= {"items": len(problems), "origin": "held-out", "left_out": reasons}
    return report


def make_suite(
    suite: str, settings: SuiteSettings, made_from: Path, out: Path, seed: int | None = None
) -> int:
    """Write items.jsonl, and a code suite's problems.jsonl besides; returns the number of items.

    They are made from a code suite's held-out directory or a summary suite's fetched source. An
    item is in a sample by ``seed`` and its id alone, so a larger sample holds a smaller one.
    """
    entry, templates = settings.suite, settings.templates
    if entry.prompt is not None:
        templates = templates.model_copy(update={"prompt": entry.prompt})
    lines: list[bytes] = []
    if isinstance(entry, CodeItems):
        lines, items, facts = _code_items(suite, entry, templates, made_from)
    else:
        mapping = RowMapping(f"suites.{suite}", made_from.name, templates, settings.columns)
        rows = mapping.read(made_from, f"suite {suite}")
        items = [
            {"id": row.id, "messages": mapping.messages(row.prompt), "reference": row.answer.text}
            for row in islice(rows, None if entry.sample else entry.limit)
        ]
        facts = {"origin": "rows"}
    if not items:
        raise UserError(f"suites.{suite}: source {made_from.name!r} has no usable rows")
    chosen = list(range(len(items)))
    if entry.sample is not None:
        assert seed is not None
        values = np.array([rank(seed, item["id"]) for item in items], np.uint64)
        chosen = np.flatnonzero(lowest(values, entry.sample)).tolist()
    chosen = chosen[: entry.limit]
    inputs = [made_from / MANIFEST]
    with publish(out, "suite", inputs=inputs, settings=settings, seed=seed) as artifact:
        write_jsonl(artifact.path / ITEMS, (items[place] for place in chosen))
        if lines:
            (artifact.path / PROBLEMS).write_bytes(b"".join(lines[place] for place in chosen))
        artifact.facts |= {"items": len(chosen), "kind": entry.kind, **facts}
    return len(chosen)


def _code_items(
    suite: str, entry: CodeItems, templates: Templates, heldout: Path
) -> tuple[list[bytes], list[Row], dict[str, Any]]:
    """Problems' lines with line breaks, their items, and the suite's facts."""
    where = f"suites.{suite}.prompt"
    known = read_manifest(heldout, "heldout")["facts"]
    facts = {name: known.get(name) for name in ("origin", "release", "md5")}
    if held_out := entry.problems == "held-out":
        facts["unnamed"] = 0
    template = Template(templates.prompt, where)
    system = [] if templates.system is None else [{"role": "system", "content": templates.system}]
    lines, items = [], []
    for line, problem in read_problems(heldout / PROBLEMS, entry.unit_tests):
        prompt = problem["prompt"]
        names = problem.get("names") or [problem["entry_point"]]
        fields = {"problem": prompt.strip(), "prompt": prompt, "entry_point": ", ".join(names)}
        try:
            text = template.render(fields, {}).text
        except MissingField as field:
            hint = nearest(str(field), fields)
            way_out = "give the suite a prompt over {problem}, {prompt} and {entry_point}"
            raise UserError(f"{where}: no field '{field}' here{hint}; {way_out}") from None
        # Whose prompt doesn't name all that its tests use can't be answered.
        if held_out and not set(names) <= set(re.findall(r"\w+", text)):
            facts["unnamed"] += 1
            continue
        messages = [*system, {"role": "user", "content": text}]
        lines.append(line + b"\n")
        items.append({"id": problem["task_id"], "messages": messages, "reference": None})
    if not items:
        words = f"none of {facts['unnamed']} prompts names all that the tests call"
        raise UserError(f"{where}: {words}; let it say so with {{entry_point}}")
    return lines, items, facts
