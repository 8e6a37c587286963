"""Sources: whether their rows have the columns, ids and texts that the tasks and suites ask for."""

import time
from collections.abc import Iterator
from pathlib import Path

from mixmerge.artifacts.manifest import MANIFEST, read_manifest
from mixmerge.core.errors import UserError, nearest
from mixmerge.core.section import Pinned, is_commit
from mixmerge.data.packages import chosen_packages
from mixmerge.data.prepare import RowMapping
from mixmerge.data.rows import ROWS, Row, parse_line, read_lines, read_parquet
from mixmerge.data.settings import HubSource, LocalSource, PackageSource, PrepareSettings
from mixmerge.data.suite_settings import SuiteSettings
from mixmerge.evaluate.settings import CodeSuite, SummarySuite
from mixmerge.preflight.context import Context
from mixmerge.preflight.finding import Area, few
from mixmerge.preflight.paths import unusable
from mixmerge.preflight.rows import Faults, Reader
from mixmerge.study.plan import Study

#: Seconds for the rows of all sources together.
_SECONDS = 8.0


def check(context: Context) -> Area:
    """All sources of a study."""
    area = Area("data")
    study = context.study
    if study is None:
        return area
    _moving(context, area)
    here = {}
    for key, source in study.config.sources.items():
        if isinstance(source, PackageSource):
            _packages(key, source, area)
        elif (path := _rows_of(study, key, area)) is not None:
            here[key] = path
        elif isinstance(source, HubSource):
            area.unchecked.append(f"{key}: not fetched yet (columns, ids, empty rows)")
    for key, path in here.items():
        _rows(study, key, path, _SECONDS / len(here), area)
    return area


def _moving(context: Context, area: Area) -> None:
    """Revisions that are no commits, each repository once."""
    moving: dict[tuple[str, str], list[str]] = {}
    for section in ("models", "sources"):
        for key, entry in getattr(context.config, section).items():
            if isinstance(entry, Pinned) and not is_commit(entry.revision):
                place = (str(getattr(entry, "id", "")), entry.revision)
                moving.setdefault(place, []).append(f"{section}.{key}")
    for (name, revision), users in moving.items():
        area.warning(
            f"{context.where}: {few(users)}.revision: {revision!r} of {name} is a tag or a branch "
            "and may move, which stops the job; write its commit (40 hexadecimal digits)"
        )


def _packages(key: str, source: PackageSource, area: Area) -> None:
    if source.lock is not None and unusable(source.lock):
        return
    try:
        parts = chosen_packages(source, key)
    except UserError as error:
        area.refused(error)
        return
    area.checked.append(f"{key}: {len(parts[source.part])} packages")


def _rows_of(study: Study, key: str, area: Area) -> Path | None:
    """The file with a source's rows, where there is one by now."""
    entry = study.config.sources[key]
    if isinstance(entry, LocalSource):
        return None if unusable(entry.path) else entry.path
    folder = Path(study.path("data", "sources", key))
    if not (folder / MANIFEST).exists():
        return None
    try:
        read_manifest(folder, "rows", content=False)
    except UserError as error:
        area.refused(error)
        return None
    return folder / ROWS


def _readers(study: Study, key: str) -> list[RowMapping]:
    """How each task and suite that reads a source maps its rows."""
    found = []
    for task, entry in study.config.tasks.items():
        if key in entry.sources:
            settings = PrepareSettings.model_validate(study.prepare_settings(task))
            found.append(
                RowMapping(f"tasks.{task}", key, settings.templates, settings.columns[key])
            )
    for suite, own in study.config.suites.items():
        if isinstance(own, SummarySuite) and own.source == key:
            given = SuiteSettings.model_validate(study.suite_settings(suite))
            found.append(RowMapping(f"suites.{suite}", key, given.templates, given.columns))
    return found


def _rows(study: Study, key: str, path: Path, seconds: float, area: Area) -> None:
    """Read rows for a while and note each kind of fault once."""
    try:
        readers = [Reader(mapping, path) for mapping in _readers(study, key)]
    except UserError as error:
        area.refused(error)
        return
    faults = Faults()
    limit = study.config.sources[key].limit
    end, count, whole = time.monotonic() + seconds, 0, True
    try:
        for number, row in _read(path, faults):
            if count == limit:
                break
            if count == 0:
                _held_out_columns(study, key, path, row, faults)
            count += 1
            for reader in readers:
                reader.take(number, row, faults)
            if time.monotonic() > end:
                whole = False
                break
    except UserError as error:
        faults.add(error)
    for reader in readers:
        reader.finish(faults)
    if count == 0 and not faults.lines:
        area.error(f"{path}: holds no rows; sources.{key} needs some")
    for line in faults.told():
        area.error(line)
    area.checked.append(f"{key}: {'all' if whole else 'the first'} {count:,} rows")


def _read(path: Path, faults: Faults) -> Iterator[tuple[int, Row]]:
    """Number and row; a line that is no row is a fault, and the next one is read."""
    if path.suffix == ".parquet":
        yield from enumerate(read_parquet(path), start=1)
        return
    for number, line in read_lines(path):
        try:
            row = parse_line(line, path, number)
        except UserError as error:
            faults.add(error)
        else:
            yield number, row


def _held_out_columns(study: Study, key: str, path: Path, row: Row, faults: Faults) -> None:
    """Columns that suites of held-out rows name."""
    for suite, entry in study.config.suites.items():
        if not isinstance(entry, CodeSuite) or entry.source != key or entry.fields is None:
            continue
        for field, column in entry.fields.model_dump().items():
            if column not in row:
                hint = nearest(column, set(row))
                faults.add(
                    UserError(f"{path}: suites.{suite}.fields.{field}: no column {column!r}{hint}")
                )
