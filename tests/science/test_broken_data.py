"""Broken data files: refused in one sentence by the rule that fetches them."""

import gzip
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from broken_damage import cut, flip, line, loop, shut
from broken_material import Case, Server, Stage, Worlds, cases

pytestmark = pytest.mark.slow

ROWS = [
    {"id": f"r{n}", "problem": f"Add {n} to x.", "solution": f"def f{n}(x):\n    return x + {n}"}
    for n in range(1, 9)
]

TEXT = "".join(json.dumps(row) + "\n" for row in ROWS)


def write_sources(folder: Path) -> None:
    """The same rows as text, packed, and as Parquet."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    (folder / "rows.jsonl").write_text(TEXT)
    (folder / "rows.jsonl.gz").write_bytes(gzip.compress(TEXT.encode(), mtime=0))
    pq.write_table(pa.Table.from_pylist(ROWS), folder / "rows.parquet")


def fetching(file: str) -> Stage:
    settings = {"kind": "local", "path": f"in/{file}", "id_column": "id"}
    given = ("--source", "s", "--settings", json.dumps(settings), "--out", "out/s")
    return Stage("fetch.py", given, write_sources)


STAGES = {
    "fetch": fetching("rows.jsonl"),
    "packed": fetching("rows.jsonl.gz"),
    "parquet": fetching("rows.parquet"),
}


def row(number: int, **changed: Any) -> str:
    return json.dumps(ROWS[number - 1] | changed)


def folder(path: Path) -> None:
    path.unlink()
    path.mkdir()


FETCH = [
    Case(
        "bad line",
        lambda i: line(i / "rows.jsonl", 3, row(3)[:-4]),
        ("in/rows.jsonl:3: not valid JSON", "mend or delete that line"),
    ),
    Case(
        "NUL bytes",
        lambda i: line(i / "rows.jsonl", 2, b"\0" * 40),
        ("in/rows.jsonl:2: not valid JSON",),
    ),
    Case(
        "invalid UTF-8",
        lambda i: line(i / "rows.jsonl", 5, row(5).encode().replace(b"Add", b"\xe9\xff")),
        ("in/rows.jsonl:5: not UTF-8", "convert the file"),
    ),
    Case(
        "UTF-16",
        lambda i: (i / "rows.jsonl").write_bytes(TEXT.encode("utf-16")),
        ("in/rows.jsonl:1: not UTF-8", "convert the file"),
    ),
    Case(
        "empty",
        lambda i: (i / "rows.jsonl").write_bytes(b""),
        ("sources.s: in/rows.jsonl holds no rows",),
    ),
    Case(
        "only whitespace",
        lambda i: (i / "rows.jsonl").write_text(" \n\t\n\r\n  "),
        ("sources.s: in/rows.jsonl holds no rows",),
    ),
    Case(
        "a list as a row",
        lambda i: line(i / "rows.jsonl", 4, "[1, 2]"),
        ("in/rows.jsonl:4: expected a JSON object, found list",),
    ),
    Case(
        "a folder as file",
        lambda i: folder(i / "rows.jsonl"),
        ("sources.s.path", "in/rows.jsonl: is a directory", "name a file in it"),
    ),
    Case(
        "missing",
        lambda i: (i / "rows.jsonl").unlink(),
        ("sources.s.path: in/rows.jsonl: file not found",),
    ),
    Case(
        "no permission",
        lambda i: shut(i / "rows.jsonl"),
        ("in/rows.jsonl: cannot be read: Permission denied", "who may read it"),
        obedient=True,
    ),
    Case(
        "symlink loop",
        lambda i: loop(i / "rows.jsonl"),
        ("sources.s.path: in/rows.jsonl", "Too many levels of symbolic links"),
    ),
    Case(
        "a number of 5000 digits",
        lambda i: line(i / "rows.jsonl", 1, '{"id": ' + "9" * 5000 + "}"),
        ("in/rows.jsonl:1: holds a number with thousands of digits", "as text"),
    ),
    Case(
        "nested 100,000 deep",
        lambda i: line(i / "rows.jsonl", 1, '{"id": ' + "[" * 100_000 + "]" * 100_000 + "}"),
        ("in/rows.jsonl:1: nested too deep",),
    ),
]

PACKED = [
    Case(
        "truncated gzip",
        lambda i: cut(i / "rows.jsonl.gz", 30),
        ("in/rows.jsonl.gz: not a whole gzip file", "fetch it again"),
    ),
    Case(
        "a flipped bit in gzip",
        lambda i: flip(i / "rows.jsonl.gz", -6),
        ("in/rows.jsonl.gz: not a whole gzip file (after line 8: CRC",),
    ),
    Case(
        "plain text called .gz",
        lambda i: (i / "rows.jsonl.gz").write_text(TEXT),
        ("in/rows.jsonl.gz: not a whole gzip file (after line 0", "drop the .gz"),
    ),
]

PARQUET = [
    Case(
        "no Parquet",
        lambda i: (i / "rows.parquet").write_text(TEXT),
        ("in/rows.parquet: not a readable Parquet file",),
    ),
    Case(
        "truncated Parquet",
        lambda i: cut(i / "rows.parquet", 200),
        ("in/rows.parquet: not a readable Parquet file",),
    ),
    Case(
        "empty Parquet",
        lambda i: (i / "rows.parquet").write_bytes(b""),
        ("in/rows.parquet: not a readable Parquet file",),
    ),
    Case(
        "Parquet of no permission",
        lambda i: shut(i / "rows.parquet"),
        ("in/rows.parquet", "Permission denied"),
        obedient=True,
    ),
    Case(
        "Parquet damaged inside",
        lambda i: flip(i / "rows.parquet", 20),
        ("in/rows.parquet: not a readable Parquet file",),
    ),
]

CASES = {
    "fetch": FETCH,
    "packed": PACKED,
    "parquet": PARQUET,
}

MODULES = ("numpy", "pyarrow.parquet", "mixmerge.config.study", "mixmerge.data.prepare")


@pytest.fixture(scope="module")
def worlds(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Worlds]:
    with Server(*MODULES) as server:
        yield Worlds(server, tmp_path_factory.mktemp("broken"))


@pytest.mark.parametrize(("stage", "case"), cases(CASES))
def test_a_broken_data_file_is_told_and_the_mended_goes_on(
    worlds: Worlds, stage: str, case: Case
) -> None:
    worlds.check(stage, STAGES[stage], case)
