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
import sys
import warnings
from collections import Counter
from pathlib import Path

from tqdm import tqdm

from mixmerge.artifacts.manifest import MANIFEST, publish, read_manifest
from mixmerge.core.errors import UserError, nearest, one_line
from mixmerge.core.io import digest, read_jsonl, write_json, write_jsonl
from mixmerge.data.prepare import RowMapping
from mixmerge.data.problems import problem_texts
from mixmerge.data.rows import PROBLEMS, REPORT, ROWS, TEXTS, TRAIN, VALIDATION, Row, progress
from mixmerge.data.settings import CodeItems, HeldOutFields, SuiteSettings

#: Modules whose use makes a verdict depend on the machine and what else it does.
_CLOCKS = {"time", "timeit", "signal"}

_DEFINITIONS = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)


class Unusable(Exception):
    """A row that makes no problem; the message is the reason's key in reports."""


def hold_out_validation(
    suite: str, settings: SuiteSettings, source: Path, split: Path, out: Path
) -> Row:
    """Write problems.jsonl, texts.jsonl and report.json of a `held-out` suite.

    A problem is ``{"task_id", "prompt", "entry_point", "names", "canonical_solution", "test"}``;
    its id is that of the training stage's row, such as ``codegen/kodcode/Algorithm_7_I``.
    ``source`` is the fetched source's directory, ``split`` the task's, each named like it.

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
            for field, column in fields.model_dump().items():
                if column not in mapped.row:
                    raise UserError(
                        f"{mapped.where}: suites.{suite}.fields.{field}: no column {column!r} in "
                        f"the source{nearest(column, set(mapped.row))}"
                    )
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
        else:
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
    report: Row = {"suite": suite, "source": source.name, "held_out": len(rows)}
    report |= {"problems": len(problems), "left_out": reasons}
    inputs = [source / MANIFEST, split / MANIFEST]
    with publish(out, "heldout", inputs=inputs, settings=settings) as artifact:
        write_jsonl(artifact.path / PROBLEMS, problems)
        write_jsonl(artifact.path / TEXTS, map(problem_texts, problems))
        write_json(artifact.path / REPORT, report)
        artifact.facts |= {"items": len(problems), "origin": "held-out", "left_out": reasons}
    return report


def _digest(row: Row, fields: HeldOutFields) -> bytes:
    """A digest of a row's tests without regard to white space."""
    return digest(one_line(row.get(fields.tests)), 16)


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
    for text, reason in ((tests, "no_tests"), (solution, "no_solution")):
        if not isinstance(text, str) or not text.strip():
            raise Unusable(reason)
    assert isinstance(tests, str) and isinstance(solution, str)
    program, reference = _parse(tests), _parse(solution)
    nodes = list(ast.walk(program))
    from_imports = [node for node in nodes if isinstance(node, ast.ImportFrom)]
    imports = [alias for node in nodes if isinstance(node, ast.Import) for alias in node.names]
    modules = [node.module or "" for node in from_imports] + [alias.name for alias in imports]
    if _CLOCKS & {name.split(".")[0] for name in modules}:
        raise Unusable("clock")
    imported = [a.name for n in from_imports if n.module == "solution" for a in n.names]
    aliases = {alias.asname or alias.name for alias in imports if alias.name == "solution"}
    for node in nodes:
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
            imported += [node.attr] if node.value.id in aliases else []
    own = {node.name for node in program.body if isinstance(node, _DEFINITIONS)}
    if imported and "*" not in imported:
        names = [name for name in dict.fromkeys(imported) if name not in own]
        text = tests
    else:
        offered = {node.name for node in reference.body if isinstance(node, _DEFINITIONS)}
        for node in reference.body:
            if isinstance(node, ast.Assign):
                offered |= {target.id for target in node.targets if isinstance(target, ast.Name)}
        offered -= own | set(dir(builtins))
        used = [node for node in nodes if isinstance(node, ast.Name) and node.id in offered]
        used.sort(key=lambda node: (node.lineno, node.col_offset))
        names = list(dict.fromkeys(node.id for node in used))
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
