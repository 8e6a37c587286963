"""Brings a source's rows here, columns as they are, one JSON object a line."""

import itertools
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from mixmerge.artifacts.manifest import MANIFEST, write_manifest, write_provenance
from mixmerge.core.archives import Bounds
from mixmerge.core.errors import UserError, not_a_file
from mixmerge.core.io import atomic_dir
from mixmerge.data.hub import pin, read_hub
from mixmerge.data.layout import ROWS
from mixmerge.data.lines import Row, encode, progress, read_rows
from mixmerge.data.parquet import plain, read_parquet
from mixmerge.data.settings import EmbeddedSource, HubSource, LocalSource, PackageSource

#: What the rows of a file may come to: packed columns shrink further than text, but not for ever.
_ROWS = Bounds(bytes=1 << 50, ratio=1000, free=1 << 30)

AnySource = HubSource | LocalSource | EmbeddedSource | PackageSource
PackageReader = Callable[[PackageSource, str], Iterator[Row]]


def fetch(
    name: str,
    source: AnySource,
    out: Path,
    corpus: Path | None,
    settings: dict[str, Any],
    read_packages: PackageReader | None = None,
) -> int:
    """Write ``out``/rows.jsonl with provenance and manifest; returns the number of rows.

    Args:
        name: the source's key, for messages.
        source: its section.
        out: target directory, replaced as a whole when all rows are there.
        corpus: directory of the embedded corpus, for sources of that kind.
        settings: what the job was told, for the provenance.
        read_packages: reads sources of kind ``packages``; without it there can be none.

    Raises:
        UserError: the source cannot be read, or is empty.
    """
    if isinstance(source, HubSource):
        source = pin(source, name, out)
        settings = settings | {"commit": source.revision}
    rows, inputs = open_source(name, source, corpus, read_packages)
    packed = source.path if isinstance(source, LocalSource) else None
    packed_bytes = packed.stat().st_size if packed else 0
    columns: dict[str, None] = {}
    count = size = 0
    with atomic_dir(out) as scratch:
        with (scratch / ROWS).open("wb") as file:
            for row in progress(itertools.islice(rows, source.limit), f"fetch {name}"):
                columns.update(dict.fromkeys(row))
                size += file.write(encode(row))
                count += 1
                if packed is not None:
                    _ROWS.check(packed, size, packed_bytes)
        if not count:
            raise UserError(
                f"sources.{name}: {describe(source)} holds no rows; name another origin, or delete "
                "the source"
            )
        write_provenance(
            scratch, inputs=inputs, settings=settings, seed=None, packages=["datasets", "pyarrow"]
        )
        write_manifest(scratch, "rows", {"rows": count, "columns": sorted(columns)})
    return count


def open_source(
    name: str, source: AnySource, corpus: Path | None, read_packages: PackageReader | None = None
) -> tuple[Iterator[Row], list[Path]]:
    """The rows of a source as a stream, and the local files they come from."""
    if isinstance(source, HubSource):
        return read_hub(source, name), []
    if isinstance(source, LocalSource):
        _check_file(source.path, f"sources.{name}.path")
        if source.path.suffix == ".parquet":
            return read_parquet(source.path), [source.path]
        return _jsonl(source.path), [source.path]
    if isinstance(source, PackageSource):
        assert read_packages is not None, "no reader for sources of kind 'packages'"
        return read_packages(source, name), [] if source.lock is None else [source.lock]
    if corpus is None:
        raise UserError(f"sources.{name}: of kind 'embedded', but no --corpus directory was given")
    path = corpus / f"{source.part}.jsonl"
    if not path.exists():
        raise UserError(f"{path}: not in the corpus; build it again (rule corpus)")
    manifest = corpus / MANIFEST
    return _jsonl(path), [manifest if manifest.exists() else path]


def _check_file(path: Path, where: str) -> None:
    name = path.name
    if not name.endswith((".jsonl", ".jsonl.gz", ".parquet")):
        raise UserError(
            f"{where}: {path} is none of .jsonl, .jsonl.gz, .parquet; convert or rename it"
        )
    if not path.is_file():
        raise UserError(f"{where}: {path}: {not_a_file(path)}")


def _jsonl(path: Path) -> Iterator[Row]:
    for number, row in read_rows(path):
        try:
            yield plain(row)
        except RecursionError:
            raise UserError(
                f"{path}:{number}: nested too deep to be read; mend or delete that line"
            ) from None


def describe(source: AnySource) -> str:
    """The source's origin in a few words."""
    if isinstance(source, HubSource):
        return f"{source.id}@{source.revision}, split {source.split!r}"
    if isinstance(source, LocalSource):
        return str(source.path)
    if isinstance(source, PackageSource):
        return f"part {source.part!r} of the packages"
    return f"part {source.part!r} of the embedded corpus"
