"""Fetches a source: its rows, columns as they are, one JSON object a line.

Rows come from a data set of the Hugging Face hub at a pinned revision, a local file, the embedded
corpus, or a reader that the caller hands in.
"""

import itertools
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from mixmerge.artifacts.manifest import MANIFEST, publish
from mixmerge.checkpoint.hub import check_endpoint, resolve
from mixmerge.core.archives import Bounds
from mixmerge.core.errors import UserError, not_a_file
from mixmerge.core.io import write_jsonl
from mixmerge.core.section import is_commit
from mixmerge.data.rows import ROWS, Row, plain, plain_row, progress, read_lines, read_parquet
from mixmerge.data.settings import EmbeddedSource, HubSource, LocalSource, PackageSource

#: What the rows of a file may come to: packed columns shrink further than text, but not for ever.
_ROWS = Bounds(bytes=1 << 50, ratio=1000, free=1 << 30)

#: What reads rows of a data set: `datasets`' own modules for tables.
_TABLES = ("arrow", "csv", "json", "parquet", "text")

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
    inputs: list[Path] = []
    match source:
        case HubSource():
            source = pin(source, name, out)
            settings["commit"] = source.revision
            rows = read_hub(source, name)
        case PackageSource():
            assert read_packages is not None, "no reader for sources of kind 'packages'"
            rows = read_packages(source, name)
            inputs = [] if source.lock is None else [source.lock]
        case LocalSource():
            path = source.path
            if not path.name.endswith((".jsonl", ".jsonl.gz", ".parquet")):
                raise UserError(
                    f"sources.{name}.path: {path} is none of .jsonl, .jsonl.gz, .parquet; convert "
                    "or rename it"
                )
            if not path.is_file():
                raise UserError(f"sources.{name}.path: {path}: {not_a_file(path)}")
            rows, inputs = _bounded(path), [path]
        case EmbeddedSource():
            if corpus is None:
                raise UserError(f"sources.{name}: of kind 'embedded', which needs --corpus")
            rows, inputs = _read_jsonl(corpus / f"{source.part}.jsonl"), [corpus / MANIFEST]
    columns: dict[str, None] = {}

    def counted() -> Iterator[Row]:
        for row in progress(itertools.islice(rows, source.limit), f"fetch {name}"):
            columns.update(dict.fromkeys(row))
            yield row

    packages = ("datasets", "pyarrow")
    with publish(out, "rows", inputs=inputs, settings=settings, packages=packages) as artifact:
        count = write_jsonl(artifact.path / ROWS, counted())
        if not count:
            raise UserError(f"sources.{name}: holds no rows; name another origin, or delete it")
        artifact.facts |= {"rows": count, "columns": sorted(columns)}
    return count


def _read_jsonl(path: Path) -> Iterator[Row]:
    return (plain_row(line, path, number) for number, line in read_lines(path))


def _bounded(path: Path) -> Iterator[Row]:
    """A local file's rows; raises `BadArchive` once they are more than such a file can hold."""
    if path.suffix != ".parquet":
        yield from _read_jsonl(path)
        return
    size, packed = 0, path.stat().st_size
    for row in read_parquet(path):
        size += len(str(row))
        _ROWS.check(path, size, packed)
        yield row


def pin(source: HubSource, name: str, out: Path) -> HubSource:
    """The same source with the commit that its revision is; raises as `resolve` does.

    What stands at ``out`` says which commit a branch stood at before.
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
            raise _explained(source, name, subset, error) from None


def _open_subset(source: HubSource, name: str, subset: str) -> Any:
    """One subset's rows, certainly of the commit that was asked for, and read as tables.

    Some readers of other formats run decoders of their own. That a card names only files of its own
    repository, and brings no script, the library checks.
    """
    from datasets import config, load_dataset_builder
    from huggingface_hub import constants

    builder = load_dataset_builder(source.id, name=subset, revision=source.revision)
    where = f"sources.{name}: {source.id}@{source.revision}"
    tables = ", ".join(_TABLES)
    by_hand = "to Parquet by hand and use a source of kind `local`"
    # Where the hub does not answer, or has no files that the library reads, it takes the latest
    # cached copy, of whatever commit.
    if builder.hash != source.revision and constants.HF_HUB_OFFLINE:
        raise UserError(
            f"{where} is not in the cache ({_cache()}), which holds commit {builder.hash}, and "
            "HF_HUB_OFFLINE forbids to ask the hub; fetch it once on a machine with internet"
        )
    if builder.hash != source.revision:
        raise UserError(
            f"{where} holds no files that are read as tables ({tables}), or the hub stopped "
            f"answering; the cache ({_cache()}), which holds commit {builder.hash}, is no "
            f"substitute. Run this rule again, or convert the data {by_hand}"
        )
    module = type(builder).__module__
    if module not in {
        f"datasets.packaged_modules.{table}.{table}" for table in (*_TABLES, "cache")
    }:
        raise UserError(
            f"{where} is read by {module.split('.')[-1]!r}; only tables are ({tables}). Convert it "
            f"{by_hand}"
        )
    if source.limit is not None and not config.HF_HUB_OFFLINE:
        return builder.as_streaming_dataset(split=source.split)
    builder.download_and_prepare()
    return builder.as_dataset(split=source.split)


#: A word in a library's message -> field that it is about, what is wrong and the way out.
_EXPLANATIONS = {
    ("offline",): (
        "",
        "{pinned} is not in the cache ({cache}), and HF_HUB_OFFLINE forbids to fetch it; fetch it "
        "once on a machine with internet, or unset HF_HUB_OFFLINE",
    ),
    ("gated", "authenticated", "401", "403"): (
        ".id",
        "{id} is gated or private ({message}); accept its terms on the hub and log in with `hf "
        "auth login`, or set HF_TOKEN",
    ),
    ("builderconfig",): (".subsets", "{subset!r} is no subset of {pinned}: {message}"),
    ("split",): (".split", "{pinned} has no split {split!r}: {message}"),
    ("couldn't reach", "connect", "timed out"): (
        "",
        "{pinned} could not be fetched ({message}); check the network or HF_ENDPOINT and run this "
        "rule again (files that have arrived are kept), or copy the files here and use a source "
        "of kind `local`",
    ),
    ("",): ("", "{pinned}, subset {subset!r}: cannot be read: {message}"),
}


def _explained(source: HubSource, name: str, subset: str, error: Exception) -> UserError:
    """One message with the way out; the library's own sentence stays in it."""
    cause = error.__cause__ or error.__context__
    message = " ".join(str(error).split())
    if cause is not None and "generating" in message:
        message = f"{message}: {' '.join(str(cause).split())}"
    lowered = message.lower()
    field, text = next(
        explanation
        for words, explanation in _EXPLANATIONS.items()
        if any(word in lowered for word in words)
    )
    filled = text.format(
        id=source.id,
        pinned=f"{source.id}@{source.revision}",
        split=source.split,
        subset=subset,
        cache=_cache(),
        message=message,
    )
    return UserError(f"sources.{name}{field}: {filled}")


def _cache() -> str:
    return os.environ.get("HF_HOME", "~/.cache/huggingface")
