"""Fetches a source: its rows, columns as they are, one JSON object a line."""

import itertools
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from mixmerge.artifacts.manifest import MANIFEST, publish
from mixmerge.checkpoint.hub import check_endpoint, resolve
from mixmerge.core.archives import Bounds
from mixmerge.core.errors import UserError, not_a_file, one_line
from mixmerge.core.io import write_jsonl
from mixmerge.core.section import is_commit
from mixmerge.data.rows import ROWS, Row, plain, plain_row, progress, read_lines, read_parquet
from mixmerge.data.settings import EmbeddedSource, HubSource, LocalSource, PackageSource

#: What the rows of a file may come to: packed columns shrink further than text, but not for ever.
_ROWS = Bounds(bytes=1 << 50, ratio=1000, free=1 << 30)

#: What reads rows of a data set: `datasets`' own modules for tables.
_TABLES = ("arrow", "csv", "json", "parquet", "text")
_BY_HAND = "convert the data to Parquet by hand and use a source of kind `local`"

#: Words in the message of a library, and what is to be done about it.
_GATED = "it is gated or private: accept its terms on the hub, and `hf auth login`, or set HF_TOKEN"
_AGAIN = "check the network or HF_ENDPOINT and run this rule again (files that arrived are kept)"
_WAYS_OUT = {
    "offline": "fetch it once on a machine with internet, or unset HF_HUB_OFFLINE",
    "gated|authenticated|401|403": _GATED,
    "builderconfig|split": "mend `subsets` or `split`",
    "couldn't reach|connect|timed out": f"{_AGAIN}, or copy it here for a source of kind `local`",
    "": _BY_HAND,
}


def fetch(
    name: str,
    source: HubSource | LocalSource | EmbeddedSource | PackageSource,
    out: Path,
    corpus: Path | None = None,
    read_packages: Callable[[PackageSource, str], Iterator[Row]] | None = None,
) -> int:
    """Write ``out``/rows.jsonl with provenance and manifest; returns the number of rows."""
    settings = source.model_dump(mode="json", exclude_unset=True)
    inputs: list[Path] = []
    match source:
        case HubSource():
            check_endpoint()
            from huggingface_hub import constants

            commit = source.revision
            # A cached copy of a commit needs no hub; see `_open_subset`.
            if not (constants.HF_HUB_OFFLINE and is_commit(commit)):
                commit = str(resolve("dataset", source.id, commit, f"sources.{name}", out).sha)
            settings["commit"] = commit
            rows = _read_hub(source.model_copy(update={"revision": commit}), name)
        case PackageSource():
            assert read_packages is not None, "no reader for sources of kind 'packages'"
            rows = read_packages(source, name)
            inputs = [] if source.lock is None else [source.lock]
        case LocalSource():
            path = source.path
            problem = None if path.is_file() else not_a_file(path)
            if not path.name.endswith((".jsonl", ".jsonl.gz", ".parquet")):
                problem = "is none of .jsonl, .jsonl.gz, .parquet; convert or rename it"
            if problem:
                raise UserError(f"sources.{name}.path: {path}: {problem}")
            rows, inputs = _read_file(path), [path]
        case EmbeddedSource():
            if corpus is None:
                raise UserError(f"sources.{name}: of kind 'embedded', which needs --corpus")
            rows, inputs = _read_file(corpus / f"{source.part}.jsonl"), [corpus / MANIFEST]
    columns: set[str] = set()

    def counted() -> Iterator[Row]:
        for row in progress(itertools.islice(rows, source.limit), f"fetch {name}"):
            columns.update(row)
            yield row

    packages = ("datasets", "pyarrow")
    with publish(out, "rows", inputs=inputs, settings=settings, packages=packages) as artifact:
        count = write_jsonl(artifact.path / ROWS, counted())
        if not count:
            raise UserError(f"sources.{name}: holds no rows; name another origin, or delete it")
        artifact.facts |= {"rows": count, "columns": sorted(columns)}
    return count


def _read_file(path: Path) -> Iterator[Row]:
    """A file's rows; raises `BadArchive` once they are more than a Parquet file can hold."""
    if path.suffix != ".parquet":
        yield from (plain_row(line, path, number) for number, line in read_lines(path))
        return
    size, packed = 0, path.stat().st_size
    for row in read_parquet(path):
        size += len(str(row))
        _ROWS.check(path, size, packed)
        yield row


def _read_hub(source: HubSource, name: str) -> Iterator[Row]:
    """Stream a data set's rows, subset after subset; `UserError` for all that may go wrong."""
    from datasets.exceptions import DatasetsError
    from httpx2 import HTTPError
    from pyarrow import ArrowException

    # RuntimeError is a script among the hub's files, OverflowError a date after the year 9999.
    expected = (OSError, ValueError, OverflowError, RuntimeError)
    pinned = f"{source.id}@{source.revision}"
    for subset in source.subsets:
        try:
            for row in _open_subset(source, f"sources.{name}: {pinned}", subset):
                yield {key: plain(value) for key, value in row.items()}
        except (DatasetsError, ArrowException, HTTPError, *expected) as error:
            message = one_line(error)
            if "generating" in message and (cause := error.__cause__ or error.__context__):
                message += f": {one_line(cause)}"
            kind = next(words for words in _WAYS_OUT if re.search(words, message.lower()))
            where = f"sources.{name}: {pinned}, subset {subset!r}, split {source.split!r}"
            raise UserError(f"{where}: cannot be read: {message}; {_WAYS_OUT[kind]}") from None


def _open_subset(source: HubSource, where: str, subset: str) -> Any:
    """One subset's rows, certainly of the commit that was asked for, and read as tables.

    Readers of other formats may run decoders of their own. That a card names only files of its own
    repository, and brings no script, the library checks. The whole set goes through the hub's cache
    (`HF_HOME`), unless a `limit` is set and the machine is online.
    """
    from datasets import config, load_dataset_builder
    from huggingface_hub import constants

    builder = load_dataset_builder(source.id, name=subset, revision=source.revision)
    tables = ", ".join(_TABLES)
    # Where the hub does not answer, or has no files that the library reads, it takes the latest
    # cached copy, of whatever commit.
    if builder.hash != source.revision:
        reason = f"it holds no files that are read as tables ({tables}), or the hub did not answer"
        if constants.HF_HUB_OFFLINE:
            reason = "HF_HUB_OFFLINE forbids to ask the hub"
        raise UserError(
            f"{where} is not in the cache ({constants.HF_HOME}), which holds commit {builder.hash}"
            f", and {reason}; run this rule where the internet is, or {_BY_HAND}"
        )
    module = type(builder).__module__
    reader = module.split(".")[-1]
    known = module == f"datasets.packaged_modules.{reader}.{reader}"
    if not known or reader not in (*_TABLES, "cache"):
        raise UserError(f"{where} is read by {reader!r}; only tables are ({tables}): {_BY_HAND}")
    if source.limit is not None and not config.HF_HUB_OFFLINE:
        return builder.as_streaming_dataset(split=source.split)
    builder.download_and_prepare()
    return builder.as_dataset(split=source.split)
