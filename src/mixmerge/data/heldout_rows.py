"""Problems out of a training source's held-out rows: what a split kept from training, with tests.

A row of the split's validation part is joined back to its source's row by its id, which is made
again exactly as `prepare` made it. A row whose tests are also those of a trained row is left out:
KodCode asks most problems twice, in other words and with one solution.

A row's test program is pytest's and is read without running it. It imports what it tests from the
module `solution`. Some of KodCode's import nothing and use the names all the same; those get the
import they lack.
"""

import ast
import builtins
import hashlib
import sys
import warnings
from collections import Counter
from pathlib import Path
from typing import Any

from tqdm import tqdm

from mixmerge.artifacts.manifest import MANIFEST, publish, read_manifest
from mixmerge.core.errors import UserError, nearest
from mixmerge.core.io import read_jsonl, write_json, write_jsonl
from mixmerge.data.prepare import RowMapping
from mixmerge.data.problems import problem_texts
from mixmerge.data.rows import PROBLEMS, REPORT, ROWS, TEXTS, TRAIN, VALIDATION, Row, progress
from mixmerge.data.suite_settings import CodeItems, HeldOutFields, SuiteSettings

#: Modules whose use makes a verdict depend on the machine and what else it does.
_CLOCKS = {"time", "timeit", "signal"}

_DEFINITIONS = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)


class Unusable(Exception):
    """A row that makes no problem; the message is the reason's key in reports."""


def hold_out_validation(
    suite: str, settings: SuiteSettings, source: Path, split: Path, out: Path
) -> dict[str, Any]:
    """Write problems.jsonl, texts.jsonl and report.json of a `held-out` suite.

    A problem is ``{"task_id", "prompt", "entry_point", "names", "canonical_solution", "test"}``;
    its id is that of the training stage's row, such as ``codegen/kodcode/Algorithm_7_I``.

    Args:
        suite: the suite's key, for messages.
        settings: the suite's entry, the task's templates and the source's columns.
        source: the fetched source's directory, named like the source.
        split: the task's split, named like the task.
        out: target directory.

    Returns:
        The report: rows held out, problems, and rows left out by reason.

    Raises:
        UserError: a missing column, rows that do not fit together, or no problem left.
    """
    assert isinstance(settings.suite, CodeItems) and settings.suite.fields is not None
    fields = settings.suite.fields
    mapping = RowMapping(f"tasks.{split.name}", source.name, settings.templates, settings.columns)
    total = read_manifest(source, "rows")["facts"]["rows"]
    read_manifest(split, "rows")
    prefix = f"{split.name}/{source.name}/"
    held_out, trained = (
        {row["id"] for row in read_jsonl(split / part) if row["id"].startswith(prefix)}
        for part in (VALIDATION, TRAIN)
    )
    rows: dict[str, Row] = {}
    tests_of_others: dict[bytes, str] = {}
    for mapped in progress(mapping.read(source / ROWS), f"hold out {suite}", total):
        name = prefix + mapped.id
        if name in trained:
            tests_of_others[_digest(mapped.row, fields)] = "trained_twin"
        elif name in held_out:
            where = f"{source / ROWS}:{mapped.number}: suites.{suite}.fields"
            _check_columns(mapped.row, fields, where)
            rows[name] = mapped.row
    if len(rows) != len(held_out):
        raise UserError(
            f"suites.{suite}: {split / VALIDATION} has {len(held_out)} rows of source "
            f"{source.name!r}, but {len(rows)} of them are in {source / ROWS}; the two do not "
            "belong together, so run the rules fetch and split again"
        )
    problems: list[Row] = []
    left_out: Counter[str] = Counter()
    for name, row in rows.items():
        tests = _digest(row, fields)
        try:
            problem = _problem(name, row, fields)
            if tests in tests_of_others:
                raise Unusable(tests_of_others[tests])
        except Unusable as reason:
            left_out[str(reason)] += 1
            continue
        tests_of_others[tests] = "twin"
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
    report = {
        "suite": suite,
        "source": source.name,
        "held_out": len(rows),
        "problems": len(problems),
        "left_out": reasons,
    }
    inputs = [source / MANIFEST, split / MANIFEST]
    with publish(out, "heldout", inputs=inputs, settings=settings) as artifact:
        write_jsonl(artifact.path / PROBLEMS, problems)
        write_jsonl(artifact.path / TEXTS, map(problem_texts, problems))
        write_json(artifact.path / REPORT, report)
        artifact.facts |= {"items": len(problems), "origin": "held-out", "left_out": reasons}
    return report


def _check_columns(row: Row, fields: HeldOutFields, where: str) -> None:
    for field, column in fields.model_dump().items():
        if column not in row:
            hint = nearest(column, set(row))
            raise UserError(f"{where}.{field}: no column {column!r} in the source{hint}")


def _digest(row: Row, fields: HeldOutFields) -> bytes:
    """A digest of a row's tests without regard to white space."""
    text = " ".join(str(row.get(fields.tests)).split())
    return hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=16).digest()


def _problem(name: str, row: Row, fields: HeldOutFields) -> Row:
    question, solution = row[fields.problem], row[fields.solution]
    if not isinstance(question, str) or not question.strip():
        raise Unusable("no_problem")
    program, names = read_tests(row[fields.tests], solution)
    return {
        "task_id": name,
        "prompt": question,
        "entry_point": names[0],
        "names": names,
        "canonical_solution": solution,
        "test": program,
    }


def read_tests(tests: object, solution: object) -> tuple[str, list[str]]:
    """Examine a row's test program; ``solution`` says what names without an import are.

    Returns:
        The program with its import of the solution, and the names that it asks of that.

    Raises:
        Unusable: ``no_tests``, ``no_solution`` (blank or no text), ``not_python`` (either does not
            parse), ``clock`` (verdicts would depend on the machine's load), ``tests_itself`` (the
            program uses nothing of the solution, or defines it anew).
    """
    if not isinstance(tests, str) or not tests.strip():
        raise Unusable("no_tests")
    if not isinstance(solution, str) or not solution.strip():
        raise Unusable("no_solution")
    program, reference = _parse(tests), _parse(solution)
    imported, modules = _imports(program)
    if modules & _CLOCKS:
        raise Unusable("clock")
    own = _defined(program, assigned=False)
    if imported and "*" not in imported:
        names = [name for name in imported if name not in own]
        text = tests
    else:
        offered = _defined(reference) - own - set(dir(builtins))
        used = [node for node in ast.walk(program) if isinstance(node, ast.Name)]
        used.sort(key=lambda node: (node.lineno, node.col_offset))
        names = list(dict.fromkeys(node.id for node in used if node.id in offered))
        text = tests if imported else f"from solution import {', '.join(names)}\n{tests}"
    if not names:
        raise Unusable("tests_itself")
    return text, names


def _parse(text: str) -> ast.Module:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # odd escapes in other people's strings
        try:
            return ast.parse(text)
        except (SyntaxError, ValueError, RecursionError, MemoryError):
            raise Unusable("not_python") from None


def _imports(program: ast.Module) -> tuple[list[str], set[str]]:
    """Names imported from the solution (``*`` for all of them), and all modules imported."""
    names: list[str] = []
    modules: set[str] = set()
    aliases: set[str] = set()
    for node in ast.walk(program):
        if isinstance(node, ast.ImportFrom):
            modules.add((node.module or "").split(".")[0])
            if node.module == "solution":
                names += [alias.name for alias in node.names]
        elif isinstance(node, ast.Import):
            modules |= {alias.name.split(".")[0] for alias in node.names}
            aliases |= {a.asname or a.name for a in node.names if a.name == "solution"}
    for node in ast.walk(program):
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
            names += [node.attr] if node.value.id in aliases else []
    return list(dict.fromkeys(names)), modules


def _defined(module: ast.Module, assigned: bool = True) -> set[str]:
    """Names that a module's top level defines, as functions and classes or also by assignment."""
    names = {node.name for node in module.body if isinstance(node, _DEFINITIONS)}
    for node in module.body:
        if assigned and isinstance(node, ast.Assign):
            names |= {target.id for target in node.targets if isinstance(target, ast.Name)}
    return names
