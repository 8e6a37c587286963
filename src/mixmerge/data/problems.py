"""Code problems in EvalPlus's format, as lines that stay byte for byte what they were.

They are never decoded and written again: their inputs hold infinities and dictionaries whose order
matters to some solutions.
"""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from mixmerge.data.lines import parse_line, read_lines
from mixmerge.errors import UserError, nearest

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
_RELEASES = {"humaneval": "HumanEvalPlus", "mbpp": "MbppPlus"}


def read_problems(path: Path) -> Iterator[tuple[bytes, dict[str, Any]]]:
    """Stream (line, decoded problem), checked.

    Raises:
        UserError: no file, not JSON, a key of EvalPlus's format is missing, a prompt, solution or
            name is no text or blank, a duplicate task_id, or no problem at all.
    """
    seen: dict[str, int] = {}
    for number, line in read_lines(path):
        problem = parse_line(line, path, number)
        for key in KEYS:
            if key not in problem:
                raise UserError(
                    f"{path}:{number}: the problem has no key {key!r}{nearest(key, set(problem))}. "
                    f"EvalPlus's format has {', '.join(KEYS)}"
                )
        for key in ("task_id", "prompt", "entry_point", "canonical_solution"):
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
    if problems in _RELEASES:
        return _evalplus(str(problems), version)
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
            "humaneval, mbpp, embedded-validation, embedded-test"
        )
    return path


def _evalplus(name: str, version: str | None) -> Path:
    """EvalPlus's file: the override path of its environment variable, its cache, or a download.

    `get_human_eval_plus(version=...)` of 0.3.1 ignores the version, hence the two steps by hand.
    """
    variable = f"{name.upper()}_OVERRIDE_PATH"
    override = os.environ.get(variable)
    if override:
        path = Path(override)
        if not path.is_file():
            raise UserError(f"{variable}: {path}: file not found; mend or unset the variable")
        return path
    from evalplus.data.humaneval import HUMANEVAL_PLUS_VERSION
    from evalplus.data.mbpp import MBPP_PLUS_VERSION
    from evalplus.data.utils import get_dataset_metadata

    default = HUMANEVAL_PLUS_VERSION if name == "humaneval" else MBPP_PLUS_VERSION
    url, cached = get_dataset_metadata(_RELEASES[name], version or default, False)
    path = Path(cached)
    if not path.exists():
        _download(url, path, variable)
    return path


def _download(url: str, path: Path, variable: str) -> None:
    """Fetch and unpack a release, atomically (EvalPlus's own download leaves halves behind)."""
    import gzip
    import urllib.error
    import urllib.request
    import zlib

    from mixmerge.files import atomic_open

    try:
        with urllib.request.urlopen(url, timeout=60) as answer:
            data = gzip.decompress(answer.read())
    except (urllib.error.URLError, OSError, EOFError, zlib.error) as error:
        raise UserError(
            f"{url}: cannot be downloaded ({error}); check the network and the suite's `version`, "
            f"or download it elsewhere and set {variable} to the .jsonl(.gz) file"
        ) from None
    with atomic_open(path, "wb") as file:
        file.write(data)
