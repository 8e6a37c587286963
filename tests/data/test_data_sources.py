"""Sources fetched from files: each kind, each damage, and data made to do harm."""

import datetime
import decimal
import gzip
import pickle
import resource
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from fixtures.checkpoints import TEMPLATE, values, write_checkpoint
from fixtures.data import read, run_script, write
from mixmerge.artifacts.manifest import read_manifest
from mixmerge.checkpoint.chat import Chat
from mixmerge.checkpoint.tokenizer import load_tokenizer
from mixmerge.core.errors import UserError
from mixmerge.core.section import validated
from mixmerge.data import rows, sources
from mixmerge.data.settings import EmbeddedSource, LocalSource, Source
from mixmerge.data.sources import fetch

pa = pytest.importorskip("pyarrow")
pq = pytest.importorskip("pyarrow.parquet")

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
    assert read_manifest(out, "rows")["facts"]["rows"] == 3


def test_values_that_json_has_no_form_for_get_the_nearest(tmp_path: Path, out: Path) -> None:
    row = {
        "when": datetime.datetime(2026, 1, 2, 3, 4, 5),
        "price": decimal.Decimal("1.50"),
        "score": float("nan"),
        "raw": "é".encode(),
    }
    path = tmp_path / "x.parquet"
    pq.write_table(pa.Table.from_pylist([row]), path)
    expected = {"when": "2026-01-02T03:04:05", "price": "1.50", "score": None, "raw": "é"}
    assert local(path, out) == [expected]
    path = tmp_path / "x.jsonl"
    path.write_text('{"score": NaN, "big": Infinity, "deep": ' + "[" * 50 + "]" * 50 + "}\n")
    (row,) = local(path, out)
    assert (row["score"], row["big"]) == (None, None) and row["deep"]


@pytest.mark.slow
def test_nul_and_half_characters_go_through(tmp_path: Path, out: Path) -> None:
    text = "a\0b \ud83d \udc00 \ufeff \u202e \x1b[2J é"
    assert local(write(tmp_path / "a.jsonl", [{"a\0": text}]), out) == [{"a\0": text}]
    base = write_checkpoint(tmp_path / "base", "llama", values("llama", 1))
    chat = Chat(load_tokenizer(base), TEMPLATE)
    tokens = chat.prompt([{"role": "user", "content": text}])
    assert chat.tokenizer.decode(tokens).count("\ufffd") == 2
    assert "\0" in chat.tokenizer.decode(tokens)


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.jsonl", b'{"q": 1}\n\n{"q": \n', "a.jsonl:3: not valid JSON: "),
        ("a.jsonl", b"[1]\n", "a.jsonl:1: expected a JSON object, found list; mend or delete"),
        ("a.jsonl", b'{"q": "\xff"}\n', "a.jsonl:1: not UTF-8"),
        ("a.jsonl", b"\n\n", "a.jsonl holds no rows"),
        ("a.jsonl.gz", b'{"q": 1}\n', "a.jsonl.gz: not a whole gzip file"),
        ("a.jsonl.gz", gzip.compress(b'{"q": 1}\n' * 9999)[:-20], "not a whole gzip file"),
        ("a.parquet", b'{"q": 1}\n', "a.parquet: not a readable Parquet file"),
        ("a.csv", b"q\n1\n", "a.csv is none of .jsonl"),
        ("a.jsonl", None, "a.jsonl: file not found"),
    ],
)
def test_bad_files_give_one_message_and_leave_what_was_there(
    tmp_path: Path, out: Path, name: str, content: bytes | None, message: str
) -> None:
    path = tmp_path / "files" / name
    path.parent.mkdir()
    if content is not None:
        path.write_bytes(content)
    assert message in refused(path, out)
    local(write(tmp_path / "good.jsonl", ROWS), out)
    before = (out / "manifest.json").read_bytes()
    with pytest.raises(UserError):
        local(path, out)
    assert (out / "manifest.json").read_bytes() == before
    assert list(out.parent.iterdir()) == [out]


def test_the_script_ends_with_one_message_and_goes_on_after_mending(
    tmp_path: Path, out: Path
) -> None:
    path = tmp_path / "a.jsonl"
    path.write_text('{"q": 1}\n{"q" 2}\n')
    settings = {"kind": "local", "path": str(path)}
    message = run_script("fetch", "--source", "o", "--out", out, settings=settings)
    assert message.startswith(f"error: {path}:2: not valid JSON") and not out.exists()
    write(path, ROWS)
    assert run_script("fetch", "--source", "o", "--out", out, settings=settings) == ""
    assert read_manifest(out, "rows")["facts"]["rows"] == 7


def test_a_part_of_the_corpus(tmp_path: Path, out: Path) -> None:
    write(tmp_path / "codesum-test.jsonl", ROWS)
    source = EmbeddedSource(kind="embedded", part="codesum-test", limit=2)
    assert fetch("src", source, out, tmp_path) == 2
    source = EmbeddedSource(kind="embedded", part="codegen-train")
    for corpus, message in ((tmp_path, r"codegen-train\.jsonl: not in the corp"), (None, "--corp")):
        with pytest.raises(UserError, match=message):
            fetch("src", source, tmp_path / "out", corpus)
    with pytest.raises(UserError, match=r"sources\.s: embedded\.part: Input should be 'codegen-"):
        validated(Source, {"kind": "embedded", "part": "codegen-dev"}, "sources.s")


@pytest.mark.parametrize("depth", [600, 5_000, 1_000_000])
@pytest.mark.parametrize("pair", ["[]", '{"a":}'])
def test_nesting_ends_in_one_message(tmp_path: Path, out: Path, depth: int, pair: str) -> None:
    path = tmp_path / "a.jsonl"
    inner = pair[:-1] * depth + "1" + pair[-1] * depth
    path.write_text(f'{{"a": 1}}\n{{"a": {inner}}}\n')
    assert f"{path}:2: nested too deep to be read" in refused(path, out)


def test_a_gzip_bomb(tmp_path: Path, out: Path) -> None:
    path = tmp_path / "a.jsonl.gz"
    with gzip.open(path, "wb") as file:
        for _ in range(3000):
            file.write(b'{"a": "' + bytes(100_000).replace(b"\0", b"a") + b'"}\n')
    assert path.stat().st_size < 600_000
    assert "made to fill a disk" in refused(path, out)


def test_a_line_without_end(tmp_path: Path, out: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rows, "LONGEST_LINE", 1 << 20)
    path = tmp_path / "a.jsonl"
    path.write_text('{"a": 1}\n{"a": "' + "x" * (1 << 20))
    assert f"{path}:2: a line of over 1 MiB" in refused(path, out)
    packed = tmp_path / "b.jsonl.gz"
    packed.write_bytes(gzip.compress(bytes(50 << 20)))
    assert f"{packed}:1: a line of over 1 MiB" in refused(packed, out)


def repeated(path: Path, value: str, count: int) -> Path:
    """A Parquet file that holds a value once and names it in each row."""
    column = pa.DictionaryArray.from_arrays(pa.array([0] * count, pa.int32()), pa.array([value]))
    pq.write_table(pa.table({"a": column}), path, compression="zstd")
    return path


def test_a_parquet_bomb_fills_no_disk(
    tmp_path: Path, out: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bounds = sources.Bounds(bytes=1 << 40, ratio=1000, free=50 << 20)
    monkeypatch.setattr(sources, "_ROWS", bounds)
    path = repeated(tmp_path / "a.parquet", "a" * 100_000, 100_000)
    assert path.stat().st_size < 5000  # for 10 GB
    assert "made to fill a disk" in refused(path, out)


@pytest.mark.slow
def test_a_parquet_bomb_fills_no_memory(tmp_path: Path) -> None:
    """500 rows of a value of 20 MB are 10 GB, in a process that has 3."""
    path = repeated(tmp_path / "a.parquet", "a" * 20_000_000, 500)
    code = (
        "import sys; from mixmerge.data.rows import read_parquet; from pathlib import Path\n"
        "print(sum(len(row['a']) for row in read_parquet(Path(sys.argv[1]))))"
    )
    done = subprocess.run(
        ["env", "OMP_NUM_THREADS=1", sys.executable, "-c", code, str(path)],
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_AS, (3 << 30, 3 << 30)),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stdout == "10000000000\n", done.stderr


class Bomb:
    """Unpickling one makes a file."""

    def __init__(self, canary: Path) -> None:
        self.canary = canary

    def __reduce__(self) -> tuple[Any, ...]:
        return open, (str(self.canary), "w")


def test_pickled_types_of_arrow_are_data(tmp_path: Path, out: Path) -> None:
    """Old releases of pyarrow unpickled a column's type when a file was opened."""
    canary = tmp_path / "canary"
    label = {
        b"ARROW:extension:name": b"arrow.py_extension_type",
        b"ARROW:extension:metadata": pickle.dumps(Bomb(canary)),
    }
    field = pa.field("a", pa.binary(), metadata=label)
    path = tmp_path / "a.parquet"
    pq.write_table(pa.table([pa.array([b"x"])], schema=pa.schema([field])), path)
    assert b"ARROW:schema" in path.read_bytes()  # where the label stands, in base64
    assert local(path, out) == [{"a": "x"}]
    assert not canary.exists()


def test_a_schema_that_is_nested_without_end(tmp_path: Path, out: Path) -> None:
    kind = pa.int32()
    for _ in range(300):
        kind = pa.struct([("a", kind)])
    path = tmp_path / "a.parquet"
    pq.write_table(pa.table({"a": pa.array([None], kind)}), path)
    assert "not a readable Parquet file: Parquet schema too deeply nested" in refused(path, out)


@pytest.mark.parametrize(
    ("numbers", "kind"),
    [([1, 10**13], "timestamp[s]"), ([1, 10**7], "date32[day]"), ([1, 10**18], "duration[s]")],
)
def test_times_that_there_are_not(tmp_path: Path, out: Path, numbers: list[int], kind: str) -> None:
    """Milliseconds written as seconds are years beyond 9999, which Python has not."""
    path = tmp_path / "a.parquet"
    column = pa.array(numbers, pa.int32() if "date" in kind else pa.int64()).cast(kind)
    pq.write_table(pa.table({"fine": ["x", "y"], "when": column}), path)
    assert "column 'when' holds a value that cannot be read (" in refused(path, out)
    pq.write_table(pa.table({"fine": ["x", "y"]}), path)
    assert local(path, out) == [{"fine": "x"}, {"fine": "y"}]


def test_text_that_is_no_utf8_and_columns_of_one_name(tmp_path: Path, out: Path) -> None:
    path = tmp_path / "a.parquet"
    buffers = [None, pa.py_buffer(b"\0\0\0\0\2\0\0\0"), pa.py_buffer(b"\xff\xfe")]
    pq.write_table(pa.table({"a": pa.Array.from_buffers(pa.string(), 1, buffers)}), path)
    assert "column 'a' holds a value that cannot be read ('utf-8' codec" in refused(path, out)
    pq.write_table(pa.table([pa.array([1]), pa.array([2])], names=["a", "a"]), path)
    assert "has two columns 'a'; rename or drop one of them" in refused(path, out)
