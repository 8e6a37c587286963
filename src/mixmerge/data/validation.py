"""Problems out of a training source's held-out rows: what a split kept from training, with tests.

A row of the split's validation part is joined back to its source's row by its id, which is made
again exactly as `prepare` made it. A row whose tests are also those of a trained row is left out:
KodCode asks most problems twice, in other words and with one solution.
"""

import hashlib
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tqdm import tqdm

from mixmerge.artifacts.manifest import MANIFEST, read_manifest, write_manifest, write_provenance
from mixmerge.core.errors import UserError, nearest
from mixmerge.core.io import atomic_dir, write_json
from mixmerge.data.identity import Seen, content_id
from mixmerge.data.layout import PROBLEMS, REPORT, ROWS, TEXTS, TRAIN, VALIDATION
from mixmerge.data.lines import Row, encode, progress, read_rows
from mixmerge.data.mapping import Mapping
from mixmerge.data.suite_settings import CodeItems, SuiteSettings
from mixmerge.data.unittests import Unusable, read_tests


def hold_out_validation(
    suite: str,
    settings: SuiteSettings,
    source: Path,
    split: Path,
    out: Path,
    given: dict[str, Any],
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
        given: the settings as they came, for the provenance.

    Returns:
        The report: rows held out, problems, and rows left out by reason.

    Raises:
        UserError: a missing column, rows that do not fit together, or no problem left.
    """
    mapping = Mapping(f"tasks.{split.name}", source.name, settings.templates, settings.columns)
    total = read_manifest(source, "rows")["facts"]["rows"]
    read_manifest(split, "rows")
    assert isinstance(settings.suite, CodeItems) and settings.suite.fields is not None
    rows = _Rows(f"suites.{suite}", mapping, source / ROWS, settings.suite.fields.tests)
    prefix = f"{split.name}/{source.name}/"
    trained = _ids(split / TRAIN, prefix)
    held = _ids(split / VALIDATION, prefix)
    trained_tests: set[bytes] = set()
    for own, _, row in progress(rows.read(), f"hold out {suite}: trained", total):
        if own in trained:
            trained_tests.add(rows.tests(row))
    left_out: Counter[str] = Counter()
    found = count = 0
    known: set[bytes] = set()
    with atomic_dir(out) as scratch:
        with (scratch / PROBLEMS).open("wb") as file, (scratch / TEXTS).open("wb") as texts:
            for own, number, row in progress(rows.read(), f"hold out {suite}", total):
                if own not in held:
                    continue
                found += 1
                try:
                    problem = _problem(rows, settings, prefix + own, row, number)
                    tests = rows.tests(row)
                    if tests in trained_tests or tests in known:
                        raise Unusable("trained_twin" if tests in trained_tests else "twin")
                except Unusable as reason:
                    left_out[str(reason)] += 1
                    continue
                known.add(tests)
                file.write(encode(problem))
                asked = {"problem": problem["prompt"], "solution": problem["canonical_solution"]}
                texts.write(encode({"id": problem["task_id"], "texts": asked}))
                count += 1
        _check(suite, source, split, found, len(held), count, left_out)
        if left_out:
            tqdm.write(
                f"warning: suites.{suite}: {found - count} of {found} held-out rows make no "
                f"problem: {dict(sorted(left_out.items()))}",
                file=sys.stderr,
            )
        report = {
            "suite": suite,
            "source": source.name,
            "held_out": found,
            "problems": count,
            "left_out": dict(sorted(left_out.items())),
        }
        write_json(scratch / REPORT, report)
        inputs = [source / MANIFEST, split / MANIFEST]
        write_provenance(scratch, inputs=inputs, settings=given, seed=None, packages=[])
        facts = {"items": count, "origin": "held-out", "left_out": report["left_out"]}
        write_manifest(scratch, "heldout", facts)
    return report


class _Rows:
    """A source's rows under the ids that `prepare` gave them."""

    def __init__(self, owner: str, mapping: Mapping, path: Path, tests: str) -> None:
        self.owner = owner
        self.path = path
        self._mapping = mapping
        self._tests = tests

    def read(self) -> Iterator[tuple[str, int, Row]]:
        """Yield (id, line number, row); a copy of a row that was dropped gets an id of its own."""
        ids = Seen()
        for number, row in read_rows(self.path):
            prompt, answer = self._mapping.turns(row, self.path, number)
            if prompt.blank or answer.blank:
                continue
            own = self._mapping.identity(row, self.path, number)
            yield own or content_id(ids, prompt.text, answer.text), number, row

    def tests(self, row: Row) -> bytes:
        """A digest of the row's tests without regard to white space."""
        text = " ".join(str(row.get(self._tests)).split())
        return hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=16).digest()

    def text(self, row: Row, field: str, column: str, number: int) -> Any:
        """A column's value.

        Raises:
            UserError: the row has no such column.
        """
        if column not in row:
            hint = nearest(column, set(row)) or f"; it has {', '.join(map(repr, row))}"
            raise UserError(
                f"{self.path}:{number}: source {self._mapping.source!r} has no column {column!r} "
                f"({self.owner}.fields.{field}){hint}"
            )
        return row[column]


def _problem(rows: _Rows, settings: SuiteSettings, name: str, row: Row, number: int) -> Row:
    assert isinstance(settings.suite, CodeItems) and settings.suite.fields is not None
    fields = settings.suite.fields
    tests = rows.text(row, "tests", fields.tests, number)
    solution = rows.text(row, "solution", fields.solution, number)
    question = rows.text(row, "problem", fields.problem, number)
    if not isinstance(question, str) or not question.strip():
        raise Unusable("no_problem")
    program = read_tests(tests, solution)
    return {
        "task_id": name,
        "prompt": question,
        "entry_point": program.names[0],
        "names": list(program.names),
        "canonical_solution": solution,
        "test": program.text,
    }


def _ids(path: Path, prefix: str) -> set[str]:
    """A split part's ids of one source, without the prefix."""
    found = (row["id"] for _, row in read_rows(path, id=str))
    return {name.removeprefix(prefix) for name in found if name.startswith(prefix)}


def _check(
    suite: str,
    source: Path,
    split: Path,
    found: int,
    held: int,
    count: int,
    left_out: Counter[str],
) -> None:
    if found != held:
        raise UserError(
            f"suites.{suite}: {split / VALIDATION} has {held} rows of source {source.name!r}, but "
            f"{found} of them are in {source / ROWS}; the two do not belong together, so run the "
            "rules fetch and split again"
        )
    if not count:
        reasons = ", ".join(f"{key}: {number}" for key, number in sorted(left_out.items()))
        raise UserError(
            f"suites.{suite}: none of the {held} held-out rows of source {source.name!r} can be "
            f"judged ({reasons or 'there are none'}); a larger data.validation_fraction holds out "
            "more"
        )
