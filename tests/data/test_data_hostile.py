"""Data made to do harm: bombs, nesting, pickles in columns, cards that point elsewhere."""

import gzip
import json
import pickle
import resource
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import checkpoint_material as material
from mixmerge.checkpoint.chat import Chat
from mixmerge.checkpoint.tokenizer import load_tokenizer
from mixmerge.core.errors import UserError
from mixmerge.data import rows, sources
from mixmerge.data.settings import LocalSource
from mixmerge.data.sources import fetch

pa = pytest.importorskip("pyarrow")
pq = pytest.importorskip("pyarrow.parquet")


class Bomb:
    """Unpickling one makes a file."""

    def __init__(self, canary: Path) -> None:
        self.canary = canary

    def __reduce__(self) -> tuple[Any, ...]:
        return open, (str(self.canary), "w")


def rows_of(path: Path, out: Path) -> list[dict[str, Any]]:
    fetch("mine", LocalSource(kind="local", path=path), out)
    return [json.loads(line) for line in (out / "rows.jsonl").read_text().splitlines()]


def refused(path: Path, out: Path) -> str:
    with pytest.raises(UserError) as caught:
        rows_of(path, out)
    assert not out.exists() and not list(out.parent.glob(f".{out.name}.*"))
    message = str(caught.value)
    assert message.startswith(str(path)) and len(message) < 600
    return message


@pytest.fixture
def out(tmp_path: Path) -> Path:
    return tmp_path / "results" / "mine"


@pytest.mark.parametrize("depth", [600, 5_000, 1_000_000])
@pytest.mark.parametrize("pair", ["[]", '{"a":}'])
def test_nesting_ends_in_one_message(tmp_path: Path, out: Path, depth: int, pair: str) -> None:
    path = tmp_path / "a.jsonl"
    inner = pair[:-1] * depth + "1" + pair[-1] * depth
    path.write_text(f'{{"a": 1}}\n{{"a": {inner}}}\n')
    assert f"{path}:2: nested too deep to be read" in refused(path, out)


def test_nesting_as_honest_data_have_it_is_kept(tmp_path: Path, out: Path) -> None:
    path = tmp_path / "a.jsonl"
    path.write_text('{"a": ' + "[" * 50 + "]" * 50 + "}\n")
    assert len(rows_of(path, out)) == 1


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


def repeated(path: Path, value: str, rows: int) -> Path:
    """A Parquet file that holds a value once and names it in each row."""
    column = pa.DictionaryArray.from_arrays(pa.array([0] * rows, pa.int32()), pa.array([value]))
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


def test_a_parquet_bomb_fills_no_memory(tmp_path: Path) -> None:
    """500 rows of a value of 20 MB are 10 GB, in a process that has 3."""
    path = repeated(tmp_path / "a.parquet", "a" * 20_000_000, 500)
    code = (
        "import sys; from mixmerge.data.rows import read_parquet; from pathlib import Path\n"
        "print(sum(len(row['a']) for row in read_parquet(Path(sys.argv[1]))))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(path)],
        env={"PYTHONPATH": str(Path(__file__).parents[2] / "src"), "OMP_NUM_THREADS": "1"},
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_AS, (3 << 30, 3 << 30)),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stdout == "10000000000\n", done.stderr


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
    assert rows_of(path, out) == [{"a": "x"}]
    assert not canary.exists()


@pytest.mark.parametrize("depth", [300, 1000])
def test_a_schema_that_is_nested_without_end(tmp_path: Path, out: Path, depth: int) -> None:
    kind = pa.int32()
    for _ in range(depth):
        kind = pa.struct([("a", kind)])
    path = tmp_path / "a.parquet"
    pq.write_table(pa.table({"a": pa.array([None], kind)}), path)
    assert "not a readable Parquet file: Parquet schema too deeply nested" in refused(path, out)


@pytest.mark.parametrize(
    ("values", "kind"),
    [([1, 10**13], "timestamp[s]"), ([1, 10**7], "date32[day]"), ([1, 10**18], "duration[s]")],
)
def test_times_that_there_are_not(tmp_path: Path, out: Path, values: list[int], kind: str) -> None:
    """Milliseconds written as seconds are years beyond 9999, which Python has not."""
    path = tmp_path / "a.parquet"
    column = pa.array(values, pa.int32() if "date" in kind else pa.int64()).cast(kind)
    pq.write_table(pa.table({"fine": ["x", "y"], "when": column}), path)
    assert "column 'when' holds a value that cannot be read (" in refused(path, out)
    pq.write_table(pa.table({"fine": ["x", "y"]}), path)
    assert rows_of(path, out) == [{"fine": "x"}, {"fine": "y"}]


def test_text_that_is_no_utf8_and_columns_of_one_name(tmp_path: Path, out: Path) -> None:
    path = tmp_path / "a.parquet"
    buffers = [None, pa.py_buffer(b"\0\0\0\0\2\0\0\0"), pa.py_buffer(b"\xff\xfe")]
    pq.write_table(pa.table({"a": pa.Array.from_buffers(pa.string(), 1, buffers)}), path)
    assert "column 'a' holds a value that cannot be read ('utf-8' codec" in refused(path, out)
    pq.write_table(pa.table([pa.array([1]), pa.array([2])], names=["a", "a"]), path)
    assert "has two columns 'a'; rename or drop one of them" in refused(path, out)


def test_nul_and_half_characters_go_through(tmp_path: Path, out: Path) -> None:
    text = "a\0b \ud83d \udc00 \ufeff \u202e \x1b[2J é"
    path = tmp_path / "a.jsonl"
    path.write_text(json.dumps({"a\0": text}) + "\n")
    assert rows_of(path, out) == [{"a\0": text}]
    base = material.write_checkpoint(tmp_path / "base", "llama", material.values("llama", 1))
    chat = Chat(load_tokenizer(base), material.TEMPLATE)
    tokens = chat.prompt([{"role": "user", "content": text}])
    assert chat.tokenizer.decode(tokens).count("\ufffd") == 2
    assert "\0" in chat.tokenizer.decode(tokens)
