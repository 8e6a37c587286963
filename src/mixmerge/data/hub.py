"""Rows of a data set on the Hugging Face hub, at a pinned revision."""

import os
from collections.abc import Iterator
from typing import Any

from mixmerge.config.sources import HubSource
from mixmerge.data.parquet import plain
from mixmerge.errors import UserError


def read_hub(source: HubSource, name: str) -> Iterator[dict[str, Any]]:
    """Stream a data set's rows, subset after subset.

    The whole set goes through the hub's cache (`HF_HOME`), so that an interrupted download goes on
    and a second call needs no network. With a `limit` only the rows that are read are downloaded,
    unless the machine is told to stay offline (`HF_HUB_OFFLINE`).

    Args:
        source: the section.
        name: its key, for messages.

    Raises:
        UserError: no network and no cached copy, an unknown or gated repository, an unknown
            revision, subset or split, or files that cannot be read.
    """
    import datasets
    from datasets.exceptions import DatasetsError
    from huggingface_hub.errors import HfHubHTTPError
    from pyarrow import ArrowException

    streaming = source.limit is not None and not datasets.config.HF_HUB_OFFLINE
    for subset in source.subsets:
        try:
            rows = datasets.load_dataset(
                source.id,
                name=subset,
                split=source.split,
                revision=source.revision,
                streaming=streaming,
            )
            for row in rows:
                yield plain(row)
        except (
            DatasetsError,
            HfHubHTTPError,
            ArrowException,
            ConnectionError,
            FileNotFoundError,
            ValueError,
            OSError,
        ) as error:
            raise UserError(_explain(source, name, subset, error)) from None


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
    if "couldn't reach" in lowered or "connection" in lowered or "retries" in lowered:
        return (
            f"{where}: {pinned} cannot be reached ({said}); check the network or HF_ENDPOINT, or "
            "copy the files here and use a source of kind `local`"
        )
    if "gated" in lowered or "authenticated" in lowered or "401" in said or "403" in said:
        return (
            f"{where}: {source.id} is gated or private ({said}); accept its terms on the hub and "
            "log in with `hf auth login`, or set HF_TOKEN"
        )
    if "builderconfig" in lowered:
        return f"{where}.subsets: {subset!r} is no subset of {pinned}: {said}"
    if "split" in lowered:
        return f"{where}.split: {pinned} has no split {source.split!r}: {said}"
    if "revision" in lowered:
        return f"{where}.revision: {pinned} does not exist: {said}"
    if "doesn't exist" in lowered or "not found" in lowered:
        return f"{where}.id: {source.id!r} is not on the hub, or is private: {said}"
    return f"{where}: {pinned}, subset {subset!r}: cannot be read: {said}"


def _cache() -> str:
    return os.environ.get("HF_HOME", "~/.cache/huggingface")
