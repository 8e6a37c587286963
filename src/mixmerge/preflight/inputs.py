"""Checks of what the configuration names: files, recipes, rows, suites' files, METEOR's data."""

import os
import re
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import chain
from pathlib import Path

from mixmerge.artifacts.manifest import MANIFEST, read_manifest
from mixmerge.config.checks import unusable, unusable_files
from mixmerge.core.errors import nearest, one_line
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
from mixmerge.data.settings import LocalSource, PackageSource
from mixmerge.evaluate.nltk_data import RESOURCES
from mixmerge.evaluate.settings import CodeSuite, SummarySuite
from mixmerge.merge.settings import RecipeSettings
from mixmerge.preflight.findings import Area, Context, few
from mixmerge.study.plan import Study

#: Seconds for the rows of all sources together, and for the problems of one file of the user's.
_ROWS_SECONDS, _PROBLEMS_SECONDS = 8.0, 3.0
#: Kinds of faults that are told of one file at most.
_MOST_FAULTS = 10


@dataclass
class _RowErrors(Area):
    """Errors in rows, perhaps one in each, by their kind: the message without its line number."""

    kinds: dict[str, dict[str, None]] = field(default_factory=dict)

    def error(self, text: object) -> None:
        line = one_line(text)
        self.kinds.setdefault(re.sub(r":\d+:", ":", line, count=1), {})[line] = None


def check_config(context: Context, area: Area) -> None:
    """The files that the configuration names, and the recipes that it asks for."""
    config, study = context.config, context.study
    for line in unusable_files(config):
        area.error(f"{context.where}: {line}")
    pairs = study.checkpoints("merge")
    for model, variant in pairs:
        where = f"{context.where}: strategies.{study.strategy(model, variant)}"
        with area.refusals():
            validated(RecipeSettings, study.recipe_settings(model, variant), where)
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
            if source.lock is None or not unusable(source.lock):
                with area.refusals():
                    packages = context.choose_packages(source, key)[source.part]
                    area.checked.append(f"{key}: {len(packages)} packages")
        elif isinstance(source, LocalSource):
            if not unusable(source.path):
                files[key] = source.path
        elif (folder / MANIFEST).exists():
            with area.refusals():
                read_manifest(folder, "rows", content=False)
                files[key] = folder / ROWS
        elif source.kind == "hub":
            area.unchecked.append(f"{key}: not fetched yet (columns, ids, empty rows)")
    for key, path in files.items():
        with area.refusals():
            _check_rows(study, key, path, _ROWS_SECONDS / len(files), area)


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
    config, rows = study.config, _RowErrors(key)
    source = config.sources[key]
    tasks = {f"tasks.{k}": task for k, task in config.tasks.items() if key in task.sources}
    for suite, entry in config.suites.items():
        if isinstance(entry, SummarySuite) and entry.source == key:
            tasks[f"suites.{suite}"] = config.tasks[entry.task]
    mappings = [RowMapping(owner, key, templates, source) for owner, templates in tasks.items()]
    deadline, count, extent = time.monotonic() + seconds, 0, "all"
    with rows.refusals():
        for number, row in _rows(path, rows):
            if count == source.limit:
                break
            if count == 0:
                missing = {mapping.owner: mapping.missing(row) for mapping in mappings}
                for text in [*_missing_held_out(study, key, row), *chain(*missing.values())]:
                    rows.error(f"{path}:1: {text}")
                mappings = [mapping for mapping in mappings if not missing[mapping.owner]]
            count += 1
            for mapping in mappings:
                with rows.refusals():
                    mapping.map(row, path, number)
            if time.monotonic() > deadline:
                extent = "the first"
                break
    for mapping in mappings:
        with rows.refusals():
            mapping.finish()
    for first, *more in list(rows.kinds.values())[:_MOST_FAULTS]:
        area.error(first + (f" (and {len(more):,} more rows)" if more else ""))
    if len(rows.kinds) > _MOST_FAULTS:
        area.error(f"{path}: {len(rows.kinds) - _MOST_FAULTS} more kinds of faults")
    if not rows.kinds and count == 0:
        area.error(f"{path}: holds no rows; sources.{key} needs some")
    area.checked.append(f"{key}: {extent} {count:,} rows")


def _rows(path: Path, area: Area) -> Iterator[tuple[int, Row]]:
    """Number and row; a line that is no row is an error, and the next one is read."""
    if path.suffix == ".parquet":
        yield from enumerate(read_parquet(path), start=1)
        return
    for number, line in read_lines(path):
        with area.refusals():
            yield number, plain_row(line, path, number)


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
            with area.refusals(f"{where}: "):
                _check_suite(key, suite, where, area)


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


def check_nltk_data(context: Context, area: Area) -> None:
    """METEOR's data: fetched and still what nltk reads, on this machine, or to be fetched."""
    suites = [
        key
        for key, suite in context.config.suites.items()
        if isinstance(suite, SummarySuite) and "meteor" in suite.metrics
    ]
    published = context.config.results / "nltk_data"
    if not suites:
        area.checked.append("no suite is scored with METEOR")
        return
    if (published / MANIFEST).exists():
        with area.refusals():
            read_manifest(published, "nltk_data")
            area.checked.append(str(published))
        return
    for name, place in RESOURCES.items():
        trees = [root / place for root in _nltk_roots()]
        here = [t for t in trees if t.is_dir() or t.with_name(f"{t.name}.zip").is_file()]
        if here:
            area.checked.append(f"{name}: {here[0]} (for {few(suites)})")
        else:
            area.unchecked.append(
                f"{name}: not here; will be fetched from nltk's server or a package "
                "registry (`snakemake nltk_data` does it now)"
            )


def _nltk_roots() -> list[Path]:
    """Where nltk looks for its data, without the seconds that its import takes."""
    roots = [part for part in os.environ.get("NLTK_DATA", "").split(os.pathsep) if part]
    roots += [f"{sys.prefix}/{part}nltk_data" for part in ("", "share/", "lib/")]
    roots += [f"/usr/{part}/nltk_data" for part in ("share", "local/share", "lib", "local/lib")]
    return [Path("~/nltk_data").expanduser(), *map(Path, roots)]
