"""What a suite holds out: its problems, and the texts that must not occur in training data.

Kept apart from the suite's prompts, so that a changed prompt or a trial's `limit` asks for new
completions but trains nothing again.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from mixmerge.artifacts.manifest import MANIFEST, read_manifest, write_manifest, write_provenance
from mixmerge.core.errors import UserError
from mixmerge.core.io import atomic_dir
from mixmerge.data.layout import PROBLEMS, ROWS, TEXTS
from mixmerge.data.lines import Row, encode, progress, read_rows
from mixmerge.data.mapping import Mapping
from mixmerge.data.problems import problems_path, read_problems
from mixmerge.data.releases import FILES, check_release, md5_of
from mixmerge.data.suite_settings import CodeItems, SuiteSettings


def hold_out_problems(
    suite: str, settings: SuiteSettings, out: Path, corpus: Path | None, given: dict[str, Any]
) -> None:
    """Write a code suite's problems.jsonl (verbatim) and texts.jsonl (prompt, solution).

    The manifest's fact ``origin`` is ``humaneval``, ``mbpp`` or ``problems``: EvalPlus decodes
    MBPP's inputs in a way of their own. ``release`` and ``md5`` say which file of EvalPlus it
    really is, by its content; ``release`` is None for any other.

    Args:
        suite: the suite's key, for messages.
        settings: which problems.
        out: target directory.
        corpus: directory of the embedded corpus, for its problems.
        given: the settings as they came, for the provenance.

    Raises:
        UserError: see `mixmerge.data.problems`.
    """
    entry = settings.suite
    assert isinstance(entry, CodeItems)
    try:
        path = problems_path(entry.problems, entry.version, corpus)
        named = str(entry.problems) if entry.problems in FILES else None
        md5 = md5_of(path)
        release = check_release(path, md5, named, entry.version)
        count, prefixes = 0, set()
        with atomic_dir(out) as scratch:
            with (scratch / PROBLEMS).open("wb") as raw, (scratch / TEXTS).open("wb") as texts:
                for line, problem in progress(read_problems(path), f"hold out {suite}"):
                    raw.write(line + b"\n")
                    held = {"problem": problem["prompt"], "solution": problem["canonical_solution"]}
                    texts.write(encode({"id": problem["task_id"], "texts": held}))
                    prefixes.add(problem["task_id"].split("/")[0])
                    count += 1
            origin = {"HumanEval": "humaneval", "Mbpp": "mbpp"}.get(prefixes.pop(), "problems")
            facts = {"items": count, "origin": origin, "release": release, "md5": md5}
            _finish(scratch, [path], given, facts, ["evalplus"])
    except UserError as error:
        raise UserError(f"suites.{suite}.problems: {error}") from None


def hold_out_rows(
    suite: str, settings: SuiteSettings, source: Path, out: Path, given: dict[str, Any]
) -> None:
    """Write a summary suite's texts.jsonl: the fields that the task's templates name.

    Args:
        suite: the suite's key, for messages.
        settings: templates and columns.
        source: the fetched source's directory.
        out: target directory.
        given: the settings as they came, for the provenance.

    Raises:
        UserError: a missing column, or no rows.
    """
    total = read_manifest(source, "rows")["facts"]["rows"]
    mapping = Mapping(f"suites.{suite}", source.name, settings.templates, settings.columns)
    with atomic_dir(out) as scratch:
        count = 0
        with (scratch / TEXTS).open("wb") as file:
            rows = _row_texts(mapping, source / ROWS)
            for row in progress(rows, f"hold out {suite}", total):
                file.write(encode(row))
                count += 1
        facts = {"items": count, "origin": "rows"}
        _finish(scratch, [source / MANIFEST], given, facts, [])


def _row_texts(mapping: Mapping, path: Path) -> Iterator[Row]:
    for number, row in read_rows(path):
        prompt, answer = mapping.turns(row, path, number)
        texts: dict[str, str] = {}
        for turn in (prompt, answer):
            for field, start, end in turn.spans:
                texts.setdefault(field, turn.text[start:end])
        own = mapping.identity(row, path, number)
        yield {"id": own if own is not None else f"line {number}", "texts": texts}


def _finish(
    scratch: Path,
    inputs: list[Path],
    given: dict[str, Any],
    facts: dict[str, Any],
    packages: list[str],
) -> None:
    write_provenance(scratch, inputs=inputs, settings=given, seed=None, packages=packages)
    write_manifest(scratch, "heldout", facts)
