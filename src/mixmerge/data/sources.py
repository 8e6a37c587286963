"""Fetches a source: its rows, columns as they are, one JSON object a line.

Rows come from a data set of the Hugging Face hub at a pinned revision, a local file, the embedded
corpus, or a reader that the caller hands in.
"""

import itertools
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from mixmerge.artifacts.manifest import MANIFEST
from mixmerge.checkpoint.hub import check_endpoint, resolve
from mixmerge.core.archives import Bounds
from mixmerge.core.errors import UserError, not_a_file
from mixmerge.core.section import is_commit
from mixmerge.data.rows import ROWS, Row, encode, plain, progress, publish, read_parquet, read_rows
from mixmerge.data.settings import EmbeddedSource, HubSource, LocalSource, PackageSource

#: What the rows of a file may come to: packed columns shrink further than text, but not for ever.
_ROWS = Bounds(bytes=1 << 50, ratio=1000, free=1 << 30)

#: What reads rows of a data set: `datasets`' own modules for tables.
_READERS = frozenset({"arrow", "csv", "json", "parquet", "text", "cache"})
_TABLES = ", ".join(sorted(_READERS - {"cache"}))

AnySource = HubSource | LocalSource | EmbeddedSource | PackageSource
PackageReader = Callable[[PackageSource, str], Iterator[Row]]


def fetch(
    name: str,
    source: AnySource,
    out: Path,
    corpus: Path | None = None,
    read_packages: PackageReader | None = None,
) -> int:
    """Write ``out``/rows.jsonl with provenance and manifest; returns the number of rows.

    Args:
        name: the source's key, for messages.
        source: its section.
        out: target directory, replaced as a whole when all rows are there.
        corpus: directory of the embedded corpus, for sources of that kind.
        read_packages: reads sources of kind ``packages``; without it there can be none.

    Raises:
        UserError: the source cannot be read, or is empty.
    """
    settings = source.model_dump(mode="json", exclude_unset=True)
    if isinstance(source, HubSource):
        source = pin(source, name, out)
        settings["commit"] = source.revision
    rows, inputs = open_source(name, source, corpus, read_packages)
    packed = source.path if isinstance(source, LocalSource) else None
    packed_bytes = packed.stat().st_size if packed else 0
    columns: dict[str, None] = {}
    count = size = 0
    packages = ("datasets", "pyarrow")
    with publish(out, "rows", inputs, settings, packages=packages) as (scratch, facts):
        with (scratch / ROWS).open("wb") as file:
            for row in progress(itertools.islice(rows, source.limit), f"fetch {name}"):
                columns.update(dict.fromkeys(row))
                size += file.write(encode(row))
                count += 1
                if packed is not None:
                    _ROWS.check(packed, size, packed_bytes)
        if not count:
            raise UserError(
                f"sources.{name}: {_origin(source)} holds no rows; name another origin, or delete "
                "the source"
            )
        facts |= {"rows": count, "columns": sorted(columns)}
    return count


def _origin(source: AnySource) -> str:
    match source:
        case HubSource():
            return f"{source.id}@{source.revision}, split {source.split!r}"
        case LocalSource():
            return str(source.path)
        case PackageSource():
            return f"part {source.part!r} of the packages"
    return f"part {source.part!r} of the embedded corpus"


def open_source(
    name: str,
    source: AnySource,
    corpus: Path | None = None,
    read_packages: PackageReader | None = None,
) -> tuple[Iterator[Row], list[Path]]:
    """The rows of a source as a stream, and the local files they come from; see `fetch`."""
    match source:
        case HubSource():
            return read_hub(source, name), []
        case PackageSource():
            assert read_packages is not None, "no reader for sources of kind 'packages'"
            return read_packages(source, name), [] if source.lock is None else [source.lock]
        case LocalSource():
            path = source.path
            if not path.name.endswith((".jsonl", ".jsonl.gz", ".parquet")):
                raise UserError(
                    f"sources.{name}.path: {path} is none of .jsonl, .jsonl.gz, .parquet; convert "
                    "or rename it"
                )
            if not path.is_file():
                raise UserError(f"sources.{name}.path: {path}: {not_a_file(path)}")
            return (read_parquet if path.suffix == ".parquet" else _read_jsonl)(path), [path]
    if corpus is None:
        raise UserError(f"sources.{name}: of kind 'embedded', but no --corpus directory was given")
    path = corpus / f"{source.part}.jsonl"
    if not path.exists():
        raise UserError(f"{path}: not in the corpus; build it again (rule corpus)")
    manifest = corpus / MANIFEST
    return _read_jsonl(path), [manifest if manifest.exists() else path]


def _read_jsonl(path: Path) -> Iterator[Row]:
    for number, row in read_rows(path):
        try:
            yield plain(row)
        except RecursionError:
            raise UserError(
                f"{path}:{number}: nested too deep to be read; mend or delete that line"
            ) from None


def pin(source: HubSource, name: str, out: Path) -> HubSource:
    """The same source with the commit that its revision is.

    Args:
        source: the section.
        name: its key, for messages.
        out: where its rows go; what stands there says which commit a branch stood at before.

    Raises:
        UserError: an unknown or gated repository, an unknown revision or one that has moved, or no
            connection where one is needed.
    """
    check_endpoint()
    from huggingface_hub import constants

    # A cached copy of a commit needs no hub; see `read_hub`.
    if constants.HF_HUB_OFFLINE and is_commit(source.revision):
        return source
    commit = resolve("dataset", source.id, source.revision, f"sources.{name}", out).commit
    return source.model_copy(update={"revision": commit})


def read_hub(source: HubSource, name: str) -> Iterator[Row]:
    """Stream a data set's rows, subset after subset.

    The whole set goes through the hub's cache (`HF_HOME`): files that have arrived are not fetched
    again, and a second call needs no network. With a `limit` only the rows that are read are
    downloaded, unless the machine is told to stay offline (`HF_HUB_OFFLINE`).

    Args:
        source: the section.
        name: its key, for messages.

    Raises:
        UserError: no network and no cached copy, an unknown or gated repository, an unknown
            revision, subset or split, or files that cannot be read.
    """
    from datasets.exceptions import DatasetsError
    from httpx2 import HTTPError
    from pyarrow import ArrowException

    # What a hub's files may be wrong in has no end: RuntimeError is a script among them,
    # OverflowError a date after the year 9999.
    expected = (
        *(DatasetsError, ArrowException, HTTPError),
        *(OSError, ValueError, OverflowError, RuntimeError),
    )
    for subset in source.subsets:
        try:
            for row in _open_subset(source, name, subset):
                yield plain(row)
        except expected as error:
            raise UserError(_explain(source, name, subset, error)) from None


def _open_subset(source: HubSource, name: str, subset: str) -> Any:
    """One subset's rows, certainly of the commit that was asked for, and read as tables.

    Some readers of other formats run decoders of their own. That a card names only files of its own
    repository, and brings no script, the library checks.
    """
    from datasets import config, load_dataset_builder
    from huggingface_hub import constants

    builder = load_dataset_builder(source.id, name=subset, revision=source.revision)
    pinned = f"{source.id}@{source.revision}"
    by_hand = "to Parquet by hand and use a source of kind `local`"
    # Where the hub does not answer, or has no files that the library reads, it takes the latest
    # cached copy, of whatever commit.
    if builder.hash != source.revision and not constants.HF_HUB_OFFLINE:
        raise UserError(
            f"sources.{name}: {pinned} holds no files that are read as tables ({_TABLES}), or the "
            f"hub stopped answering; the cache ({_cache()}), which holds commit {builder.hash}, is "
            f"no substitute. Run this rule again, or convert the data {by_hand}"
        )
    if builder.hash != source.revision:
        raise UserError(
            f"sources.{name}.revision: {pinned} is not in the cache ({_cache()}), which holds "
            f"commit {builder.hash}, and HF_HUB_OFFLINE forbids to ask the hub; fetch it once on a "
            "machine with internet"
        )
    module = type(builder).__module__
    if module not in {f"datasets.packaged_modules.{reader}.{reader}" for reader in _READERS}:
        raise UserError(
            f"sources.{name}: {pinned} is read by {module.split('.')[-1]!r}; only tables are "
            f"({_TABLES}). Convert it {by_hand}"
        )
    if source.limit is not None and not config.HF_HUB_OFFLINE:
        return builder.as_streaming_dataset(split=source.split)
    builder.download_and_prepare()
    return builder.as_dataset(split=source.split)


def _explain(source: HubSource, name: str, subset: str, error: Exception) -> str:
    """One message with the way out; the library's own sentence stays in it."""
    where = f"sources.{name}"
    cause = error.__cause__ or error.__context__
    message = " ".join(str(error).split())
    if cause is not None and "generating" in message:
        message = f"{message}: {' '.join(str(cause).split())}"
    pinned = f"{source.id}@{source.revision}"
    lowered = message.lower()

    def mentions(*words: str) -> bool:
        return any(word in lowered for word in words)

    if mentions("offline"):
        return (
            f"{where}: {pinned} is not in the cache ({_cache()}), and HF_HUB_OFFLINE forbids to "
            "fetch it; fetch it once on a machine with internet, or unset HF_HUB_OFFLINE"
        )
    if mentions("gated", "authenticated", "401", "403"):
        return (
            f"{where}.id: {source.id} is gated or private ({message}); accept its terms on the hub "
            "and log in with `hf auth login`, or set HF_TOKEN"
        )
    if mentions("builderconfig"):
        return f"{where}.subsets: {subset!r} is no subset of {pinned}: {message}"
    if mentions("split"):
        return f"{where}.split: {pinned} has no split {source.split!r}: {message}"
    if mentions("couldn't reach", "connect", "timed out"):
        return (
            f"{where}: {pinned} could not be fetched ({message}); check the network or HF_ENDPOINT "
            "and run this rule again (files that have arrived are kept), or copy the files here "
            "and use a source of kind `local`"
        )
    return f"{where}: {pinned}, subset {subset!r}: cannot be read: {message}"


def _cache() -> str:
    return os.environ.get("HF_HOME", "~/.cache/huggingface")
