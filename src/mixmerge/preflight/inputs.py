"""Checks of what the configuration names: files, recipes, rows, suites' files, METEOR's data."""

import re
import time
from collections import Counter
from itertools import chain
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

from mixmerge.artifacts.manifest import MANIFEST, read_manifest
from mixmerge.config.checks import unusable, unusable_files
from mixmerge.config.study import HubModel
from mixmerge.core.errors import nearest
from mixmerge.core.section import is_commit, validated
from mixmerge.data.decontaminate import comparison_gaps, ngram_index
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
from mixmerge.data.rows import ROWS, plain_row, read_lines, read_parquet
from mixmerge.data.settings import HubSource, LocalSource, PackageSource
from mixmerge.data.suites import problem_texts, row_texts
from mixmerge.evaluate.settings import NLTK_RESOURCES, CodeSuite, SummarySuite
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
    moving: dict[tuple[str, str], list[str]] = {}
    for section in ("models", "sources"):
        for key, entry in getattr(study.config, section).items():
            if isinstance(entry, HubModel | HubSource) and not is_commit(entry.revision):
                moving.setdefault((entry.id, entry.revision), []).append(f"{section}.{key}")
    for (name, revision), users in moving.items():
        area.warnings.append(
            f"{context.where}: {few(users)}.revision: {revision!r} of {name} is a tag or a branch "
            "and may move, which stops the job; write its commit (40 hexadecimal digits)"
        )
    files: dict[str, Path] = {}
    for key, source in study.config.sources.items():
        folder = Path(study.path("data", "sources", key))
        named = getattr(source, "lock", getattr(source, "path", None))
        with area.refusals():
            if named is not None and unusable(named):
                continue  # told among the files of the config
            if isinstance(source, PackageSource):
                packages = context.choose_packages(source, key)[source.part]
                area.checked.append(f"{key}: {len(packages)} packages")
            elif isinstance(source, LocalSource):
                files[key] = source.path
            elif (folder / MANIFEST).exists():
                read_manifest(folder, "rows", content=False)
                files[key] = folder / ROWS
            elif source.kind == "hub":
                area.unchecked.append(f"{key}: not fetched yet (columns, ids, empty rows)")
    compared = {suite: Counter[str]() for suite in study.decontaminating_suites()}
    for key, path in files.items():
        with area.refusals():
            _check_rows(study, key, path, _ROWS_SECONDS / len(files), area, compared)
    area.unchecked += comparison_gaps(compared, study.config.data.decontamination)


def _check_rows(
    study: Study, key: str, path: Path, seconds: float, area: Area, compared: dict[str, Any]
) -> None:
    """Read rows for a while, as the stages will; note each kind of fault once, and count items."""
    config, rows = study.config, Area(key)
    ngram = config.data.decontamination.ngram
    source = config.sources[key]
    tasks = {f"tasks.{k}": task for k, task in config.tasks.items() if key in task.sources}
    columns: dict[str, str] = {}
    for suite, entry in config.suites.items():
        if isinstance(entry, SummarySuite) and entry.source == key:
            tasks[f"suites.{suite}"] = config.tasks[entry.task]
        elif isinstance(entry, CodeSuite) and entry.source == key and entry.fields is not None:
            fields = entry.fields.model_dump().items()
            columns |= {f"suites.{suite}.fields.{name}": column for name, column in fields}
    mappings = [RowMapping(owner, key, templates, source) for owner, templates in tasks.items()]
    deadline, count, extent = time.monotonic() + seconds, 0, "all"
    is_parquet = path.suffix == ".parquet"
    lines: Any = enumerate(read_parquet(path), start=1) if is_parquet else read_lines(path)
    with rows.refusals():
        for number, line in lines:
            if count == source.limit:
                break
            if number > 1 and time.monotonic() > deadline:
                extent = "the first"
                break
            with rows.refusals():  # a line that is no row is an error, and the next one is read
                row = line if is_parquet else plain_row(line, path, number)
                if not count:
                    missing = {mapping: mapping.missing(row) for mapping in mappings}
                    mappings = [mapping for mapping in mappings if not missing[mapping]]
                    lost = {place: name for place, name in columns.items() if name not in row}
                    texts = [f"{p}: no column {n!r}{nearest(n, set(row))}" for p, n in lost.items()]
                    for text in [*texts, *chain(*missing.values())]:
                        rows.error(f"{path}:{number}: {text}")
                count += 1
                for mapping in mappings:
                    with rows.refusals():
                        mapping.map(row, path, number)
                        if (suite := mapping.owner.removeprefix("suites.")) in compared:
                            item = {"id": "", "texts": row_texts(mapping, row, "")}
                            compared[suite].update(ngram_index([item], ngram)[1])
    for mapping in mappings:
        with rows.refusals():
            mapping.finish()
        area.unchecked += mapping.notes()
    kinds: dict[str, list[str]] = {}  # the message without its line number: there may be one a row
    for error in dict.fromkeys(rows.errors):
        kinds.setdefault(re.sub(r":\d+:", ":", error, count=1), []).append(error)
    for first, *more in list(kinds.values())[:_MOST_FAULTS]:
        area.error(first + (f" (and {len(more):,} more rows)" if more else ""))
    if len(kinds) > _MOST_FAULTS:
        area.error(f"{path}: {len(kinds) - _MOST_FAULTS} more kinds of faults")
    if not kinds and count == 0:
        area.error(f"{path}: holds no rows; sources.{key} needs some")
    area.checked.append(f"{key}: {extent} {count:,} rows")


def check_suites(context: Context, area: Area) -> None:
    """Code suites: files are read as their jobs read them; EvalPlus's own where it is here."""
    settings = context.config.data.decontamination
    suites = {k: s for k, s in context.config.suites.items() if isinstance(s, CodeSuite)}
    for key, suite in suites.items():
        problems, version = suite.problems, suite.version
        where = f"{context.where}: suites.{key}"
        with area.refusals(f"{where}: "):
            if problems in FILES:
                path, url = release_location(str(problems), version)
                if url is None or path.exists():
                    path, facts = locate_problems(problems, version, None)
                    area.checked.append(f"{key}: {facts['release'] or path}")
                    continue
                known = sorted(number for of, number in KNOWN.values() if of == problems)
                if version is not None and version not in known:
                    area.error(
                        f"{where}.version: {version!r} of {FILES[str(problems)]} is not known here "
                        "and could not be checked once it is downloaded; write "
                        f"{' or '.join(known)}"
                    )
                override = override_variable(str(problems))
                area.unchecked.append(f"{key}: not downloaded yet (or set {override})")
            elif problems == HUMAN_EVAL:
                area.checked.append(f"{key}: {problems} {human_eval_problems(version)[1]}")
            elif isinstance(problems, Path) and not unusable(problems):
                locate_problems(problems, version, None)
                deadline, extent, counts = (
                    time.monotonic() + _PROBLEMS_SECONDS,
                    "all",
                    Counter[str](),
                )
                for _, problem in read_problems(problems):
                    counts.update(ngram_index([problem_texts(problem)], settings.ngram)[1])
                    if time.monotonic() > deadline:
                        extent = "the first"
                        break
                area.checked.append(f"{key}: {extent} {counts['items']} problems")
                area.unchecked += (
                    comparison_gaps({key: counts}, settings) if settings.enabled else []
                )


def check_nltk_data(context: Context, area: Area) -> None:
    """METEOR's data: fetched and still what nltk reads, on this machine, or to be fetched."""
    suites = context.study.meteor_suites()
    published = context.config.results / "nltk_data"
    if not suites:
        area.checked.append("no suite is scored with METEOR")
        return
    if (published / MANIFEST).exists():
        with area.refusals():
            read_manifest(published, "nltk_data")
            area.checked.append(str(published))
        return
    from nltk.data import find  # seconds

    for name, place in NLTK_RESOURCES.items():
        try:
            area.checked.append(f"{name}: {find(f'{place}/')} (for {few(suites)})")
        except (LookupError, BadZipFile):  # the job takes no broken archive either
            way = "will be fetched from nltk's server or a package registry"
            area.unchecked.append(f"{name}: not here; {way} (`snakemake nltk_data` does it now)")
