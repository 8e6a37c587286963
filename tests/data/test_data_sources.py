"""Sources fetched from files: each kind, each damage, and data made to do harm."""

import datetime
import decimal
import gzip
import pickle
import resource
import subprocess
import sys
from functools import reduce
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from fixtures.data import Bomb, read, write
from mixmerge.artifacts.manifest import read_manifest, write_manifest
from mixmerge.core.errors import UserError
from mixmerge.data import rows, sources
from mixmerge.data.settings import EmbeddedSource, LocalSource
from mixmerge.data.sources import fetch

ROWS = [{"q": f"frage {n} ☃", "a": {"deep": [n, None]}, "n": n} for n in range(7)]


def local(path: Path, out: Path, **settings: Any) -> list[dict[str, Any]]:
    fetch("src", LocalSource(kind="local", path=path, **settings), out)
    return read(out / "rows.jsonl")


def refused(path: Path, out: Path) -> str:
    """The one message of a fetch that leaves nothing behind."""
    with pytest.raises(UserError) as caught:
        local(path, out)
    assert not out.exists() and not list(out.parent.glob(f".{out.name}.*"))
    message = str(caught.value)
    assert "\n" not in message and len(message) < 600
    return message


@pytest.fixture
def out(tmp_path: Path) -> Path:
    return tmp_path / "results" / "src"


@pytest.mark.parametrize("name", ["rows.jsonl", "rows.jsonl.gz", "rows.parquet"])
def test_files_of_each_kind_give_the_same_rows(tmp_path: Path, out: Path, name: str) -> None:
    path = tmp_path / name
    if path.suffix == ".parquet":
        pq.write_table(pa.Table.from_pylist(ROWS), path)
    else:
        write(path, ROWS)
    assert local(path, out) == ROWS
    assert read_manifest(out, "rows")["facts"] == {"rows": 7, "columns": ["a", "n", "q"]}
    assert local(path, out, limit=3) == ROWS[:3]
    before = (out / "manifest.json").read_bytes()
    path.write_bytes(b"{")
    with pytest.raises(UserError):
        local(path, out)
    assert (out / "manifest.json").read_bytes() == before
    assert list(out.parent.iterdir()) == [out]


def test_values_that_json_has_no_form_for_get_the_nearest(tmp_path: Path, out: Path) -> None:
    row = {"when": datetime.datetime(2026, 1, 2, 3, 4, 5), "price": decimal.Decimal("1.50")}
    row |= {"score": float("nan"), "raw": "é".encode()}
    path = tmp_path / "x.parquet"
    pq.write_table(pa.Table.from_pylist([row]), path)
    expected = {"when": "2026-01-02T03:04:05", "price": "1.50", "score": None, "raw": "é"}
    assert local(path, out) == [expected]
    path = tmp_path / "x.jsonl"
    text = '{"score": NaN, "big": Infinity, "deep": ' + "[" * 50 + "]" * 50 + "}\n"
    path.write_text("\ufeff" + text)  # some editors begin a file with a mark of its encoding
    (row,) = local(path, out)
    assert (row["score"], row["big"]) == (None, None) and row["deep"]


def test_nul_and_half_characters_go_through(tmp_path: Path, out: Path) -> None:
    text = "a\0b \ud83d \udc00 \ufeff \u202e \x1b[2J é"
    assert local(write(tmp_path / "a.jsonl", [{"a\0": text}]), out) == [{"a\0": text}]


def test_a_part_of_the_corpus(tmp_path: Path, out: Path) -> None:
    write(tmp_path / "codesum-test.jsonl", ROWS)
    write_manifest(tmp_path, "corpus")
    source = EmbeddedSource(kind="embedded", part="codesum-test", limit=2)
    assert fetch("src", source, out, tmp_path) == 2
    source = EmbeddedSource(kind="embedded", part="codegen-train")
    for corpus, message in ((tmp_path, r"codegen-train\.jsonl: cannot be read"), (None, "--corp")):
        with pytest.raises(UserError, match=message):
            fetch("src", source, tmp_path / "out", corpus)


@pytest.mark.parametrize("pair", ["[]", '{"a":}'])
def test_nesting_ends_in_one_message(tmp_path: Path, out: Path, pair: str) -> None:
    path = tmp_path / "a.jsonl"
    inner = pair[:-1] * 5_000 + "1" + pair[-1] * 5_000
    path.write_text(f'{{"a": 1}}\n{{"a": {inner}}}\n')
    assert f"{path}:2: nested too deep to be read" in refused(path, out)


def repeated(path: Path, value: str, count: int) -> Path:
    """A Parquet file that holds a value once and names it in each row."""
    column = pa.DictionaryArray.from_arrays(pa.array([0] * count, pa.int32()), pa.array([value]))
    pq.write_table(pa.table({"a": column}), path, compression="zstd")
    return path


def test_lines_without_end_and_bombs_fill_no_disk(
    tmp_path: Path, out: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rows, "_TEXT", rows.Bounds(free=1 << 20))
    packed = tmp_path / "a.jsonl.gz"
    packed.write_bytes(gzip.compress((b'{"a": "' + b"a" * 100_000 + b'"}\n') * 50))
    assert packed.stat().st_size < 10_000
    assert "made to fill a disk" in refused(packed, out)

    monkeypatch.setattr(rows, "LONGEST_LINE", 1 << 20)
    path = tmp_path / "a.jsonl"
    path.write_text('{"a": 1}\n{"a": "' + "x" * (1 << 20))
    assert f"{path}:2: a line of over 1 MiB" in refused(path, out)
    packed.write_bytes(gzip.compress(bytes(2 << 20)))
    assert f"{packed}:1: a line of over 1 MiB" in refused(packed, out)

    bounds = sources.Bounds(bytes=1 << 40, ratio=1000, free=5 << 20)
    monkeypatch.setattr(sources, "_ROWS", bounds)
    path = repeated(tmp_path / "a.parquet", "a" * 100_000, 100_000)
    assert path.stat().st_size < 5000  # for 10 GB
    assert "made to fill a disk" in refused(path, out)


@pytest.mark.slow
def test_a_parquet_bomb_fills_no_memory(tmp_path: Path) -> None:
    """150 rows of a value of 20 MB are 3 GB, in a process that has 2."""
    path = repeated(tmp_path / "a.parquet", "a" * 20_000_000, 150)
    code = (
        "import sys; from mixmerge.data.rows import read_parquet; from pathlib import Path\n"
        "print(sum(len(row['a']) for row in read_parquet(Path(sys.argv[1]))))"
    )
    done = subprocess.run(
        ["env", "OMP_NUM_THREADS=1", sys.executable, "-c", code, str(path)],
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_AS, (2 << 30, 2 << 30)),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stdout == "3000000000\n", done.stderr


def test_pickled_types_of_arrow_are_data(tmp_path: Path, out: Path) -> None:
    """Old releases of pyarrow unpickled a column's type when a file was opened."""
    canary = tmp_path / "canary"
    label = {"ARROW:extension:name": "arrow.py_extension_type"}
    label["ARROW:extension:metadata"] = pickle.dumps(Bomb(canary))
    field = pa.field("a", pa.binary(), metadata=label)
    path = tmp_path / "a.parquet"
    pq.write_table(pa.table([pa.array([b"x"])], schema=pa.schema([field])), path)
    assert b"ARROW:schema" in path.read_bytes()  # where the label stands, in base64
    assert local(path, out) == [{"a": "x"}]
    assert not canary.exists()


_NESTED = reduce(lambda kind, _: pa.struct([("a", kind)]), range(300), pa.int32())
_NO_UTF8 = pa.array([b"\xff\xfe"]).view(pa.string())


@pytest.mark.parametrize(
    ("column", "message"),
    [
        # Milliseconds written as seconds are years beyond 9999, which Python has not.
        (pa.array([10**13], pa.timestamp("s")), "column 'a' holds a value that cannot be read ("),
        (pa.array([10**7], pa.int32()).cast(pa.date32()), "column 'a' holds a value that cannot"),
        (pa.array([10**18], pa.duration("s")), "column 'a' holds a value that cannot be read ("),
        (_NO_UTF8, "column 'a' holds a value that cannot be read ('utf-8' codec"),
        (pa.array([None], _NESTED), "Parquet file: Parquet schema too deeply nested"),
    ],
)
def test_columns_that_cannot_be_read(
    tmp_path: Path, out: Path, column: pa.Array, message: str
) -> None:
    path = tmp_path / "a.parquet"
    pq.write_table(pa.table({"fine": ["x"], "a": column}), path)
    assert message in refused(path, out)


def test_two_columns_of_one_name_and_other_formats(tmp_path: Path, out: Path) -> None:
    path = tmp_path / "a.parquet"
    pq.write_table(pa.table([pa.array([1]), pa.array([2])], names=["a", "a"]), path)
    assert "has two columns 'a'; rename or drop one of them" in refused(path, out)
    assert "a.csv: is none of .jsonl" in refused(tmp_path / "a.csv", out)
