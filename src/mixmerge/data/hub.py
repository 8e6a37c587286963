"""Rows of a data set on the Hugging Face hub, at a pinned revision."""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from mixmerge.checkpoint.hub import check_endpoint, resolve
from mixmerge.core.errors import UserError
from mixmerge.core.revision import is_commit
from mixmerge.data.parquet import plain
from mixmerge.data.settings import HubSource

#: What reads rows of a data set: `datasets`' own modules for tables.
_READERS = frozenset({"arrow", "csv", "json", "parquet", "text", "cache"})
_TABLES = ", ".join(sorted(_READERS - {"cache"}))


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
    found = resolve("dataset", source.id, source.revision, f"sources.{name}", out)
    return source.model_copy(update={"revision": found.commit})


def read_hub(source: HubSource, name: str) -> Iterator[dict[str, Any]]:
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
    from datasets import config
    from datasets.exceptions import DatasetsError
    from httpx2 import HTTPError
    from pyarrow import ArrowException

    streaming = source.limit is not None and not config.HF_HUB_OFFLINE
    for subset in source.subsets:
        try:
            for row in _open(source, name, subset, streaming):
                yield plain(row)
        # What a hub's files may be wrong in has no end: RuntimeError is a script among them.
        except (
            DatasetsError,
            ArrowException,
            HTTPError,
            OSError,
            ValueError,
            OverflowError,  # a date after the year 9999
            RuntimeError,
        ) as error:
            raise UserError(_explain(source, name, subset, error)) from None


def _open(source: HubSource, name: str, subset: str, streaming: bool) -> Any:
    """One subset's rows, certainly of the commit that was asked for."""
    from datasets import load_dataset_builder
    from huggingface_hub import constants

    builder = load_dataset_builder(source.id, name=subset, revision=source.revision)
    # Where the hub does not answer, or has no files that the library reads, it takes the latest
    # cached copy, of whatever commit.
    if builder.hash != source.revision and not constants.HF_HUB_OFFLINE:
        raise UserError(
            f"sources.{name}: {source.id}@{source.revision} holds no files that are read as tables "
            f"({_TABLES}), or the hub stopped answering; the cache "
            f"({_cache()}), which holds commit {builder.hash}, is no substitute. Run this rule "
            "again, or convert the data to Parquet by hand and use a source of kind `local`"
        )
    if builder.hash != source.revision:
        raise UserError(
            f"sources.{name}.revision: {source.id}@{source.revision} is not in the cache "
            f"({_cache()}), which holds commit {builder.hash}, and HF_HUB_OFFLINE forbids to "
            "ask the hub; fetch it once on a machine with internet"
        )
    _check_reader(source, name, builder)
    if streaming:
        return builder.as_streaming_dataset(split=source.split)
    builder.download_and_prepare()
    return builder.as_dataset(split=source.split)


def _check_reader(source: HubSource, name: str, builder: Any) -> None:
    """Check that rows come from tables; some readers of other formats run decoders of their own.

    That a card names only files of its own repository, and brings no script, the library checks.

    Raises:
        UserError: they come from something else.
    """
    if not _plain_reader(builder):
        raise UserError(
            f"sources.{name}: {source.id}@{source.revision} is read by "
            f"{type(builder).__module__.split('.')[-1]!r}; only tables are "
            f"({_TABLES}). Convert it to Parquet by hand and use a source of kind `local`"
        )


def _plain_reader(builder: Any) -> bool:
    module = type(builder).__module__
    return any(module == f"datasets.packaged_modules.{one}.{one}" for one in _READERS)


def _explain(source: HubSource, name: str, subset: str, error: Exception) -> str:
    """One message with the way out; the library's own sentence stays in it."""
    where = f"sources.{name}"
    cause = error.__cause__ or error.__context__
    said = " ".join(str(error).split())
    if cause is not None and "generating" in said:
        said = f"{said}: {' '.join(str(cause).split())}"
    pinned = f"{source.id}@{source.revision}"
    lowered = said.lower()
    if "offline" in lowered:
        return (
            f"{where}: {pinned} is not in the cache ({_cache()}), and HF_HUB_OFFLINE forbids to "
            "fetch it; fetch it once on a machine with internet, or unset HF_HUB_OFFLINE"
        )
    if "gated" in lowered or "authenticated" in lowered or "401" in said or "403" in said:
        return (
            f"{where}.id: {source.id} is gated or private ({said}); accept its terms on the hub "
            "and log in with `hf auth login`, or set HF_TOKEN"
        )
    if "builderconfig" in lowered:
        return f"{where}.subsets: {subset!r} is no subset of {pinned}: {said}"
    if "split" in lowered:
        return f"{where}.split: {pinned} has no split {source.split!r}: {said}"
    if "couldn't reach" in lowered or "connect" in lowered or "timed out" in lowered:
        return (
            f"{where}: {pinned} could not be fetched ({said}); check the network or HF_ENDPOINT "
            "and run this rule again (files that have arrived are kept), or copy the files here "
            "and use a source of kind `local`"
        )
    return f"{where}: {pinned}, subset {subset!r}: cannot be read: {said}"


def _cache() -> str:
    return os.environ.get("HF_HOME", "~/.cache/huggingface")
