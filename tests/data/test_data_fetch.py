import gzip
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from mixmerge.artifacts.manifest import read_manifest
from mixmerge.core.errors import UserError
from mixmerge.core.section import validated
from mixmerge.data.settings import EmbeddedSource, LocalSource, Source
from mixmerge.data.sources import fetch

pa = pytest.importorskip("pyarrow")
pq = pytest.importorskip("pyarrow.parquet")

ROWS = [{"q": f"frage {n} ☃", "a": {"deep": [n, None]}, "n": n} for n in range(7)]
SCRIPT = Path(__file__).parents[2] / "workflow" / "scripts" / "fetch.py"


def local(path, out, **settings):
    fetch("src", LocalSource(kind="local", path=path, **settings), out)
    return [json.loads(line) for line in (out / "rows.jsonl").read_text().splitlines()]


def write(path, rows=ROWS):
    text = "".join(json.dumps(row) + "\n" for row in rows)
    path.write_bytes(gzip.compress(text.encode()) if path.suffix == ".gz" else text.encode())
    return path


@pytest.mark.parametrize("name", ["rows.jsonl", "rows.jsonl.gz", "rows.parquet"])
def test_local_files_of_each_kind_give_the_same_rows(tmp_path, name):
    path = tmp_path / name
    if path.suffix == ".parquet":
        pq.write_table(pa.Table.from_pylist(ROWS), path)
    else:
        write(path)
    out = tmp_path / "sources" / "src"
    assert local(path, out) == ROWS
    assert read_manifest(out, "rows")["facts"] == {"rows": 7, "columns": ["a", "n", "q"]}
    assert local(path, out, limit=3) == ROWS[:3]
    assert read_manifest(out, "rows")["facts"]["rows"] == 3


def test_values_that_json_has_no_form_for_get_the_nearest(tmp_path):
    import datetime
    import decimal

    row = {
        "when": datetime.datetime(2026, 1, 2, 3, 4, 5),
        "price": decimal.Decimal("1.50"),
        "score": float("nan"),
        "raw": "é".encode(),
    }
    path = tmp_path / "x.parquet"
    pq.write_table(pa.Table.from_pylist([row]), path)
    assert local(path, tmp_path / "out") == [
        {"when": "2026-01-02T03:04:05", "price": "1.50", "score": None, "raw": "é"}
    ]
    path = tmp_path / "x.jsonl"
    path.write_text('{"score": NaN, "big": Infinity}\n')
    assert local(path, tmp_path / "out") == [{"score": None, "big": None}]


def test_half_an_emoji_survives(tmp_path):
    path = tmp_path / "x.jsonl"
    path.write_text('{"t": "\\ud83d"}\n')
    assert local(path, tmp_path / "out") == [{"t": "\ud83d"}]


def bad(path, content):
    path.write_bytes(content)
    return path


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.jsonl", b'{"q": 1}\n\n{"q": \n', r"a\.jsonl:3: not valid JSON: .*mend or delete"),
        ("a.jsonl", b"[1]\n", r"a\.jsonl:1: expected a JSON object, found list"),
        ("a.jsonl", b'{"q": "\xff"}\n', r"a\.jsonl:1: not UTF-8"),
        ("a.jsonl", b"\n\n", r"sources\.src: .*a\.jsonl holds no rows"),
        ("a.jsonl.gz", b'{"q": 1}\n', r"a\.jsonl\.gz: not a whole gzip file"),
        ("a.jsonl.gz", gzip.compress(b'{"q": 1}\n' * 9999)[:-20], r"not a whole gzip file"),
        ("a.parquet", b'{"q": 1}\n', r"a\.parquet: not a readable Parquet file"),
        ("a.csv", b"q\n1\n", r"sources\.src\.path: .*a\.csv is none of \.jsonl"),
    ],
)
def test_bad_files_give_one_message_and_leave_what_was_there(tmp_path, name, content, message):
    out = tmp_path / "out"
    local(write(tmp_path / "good.jsonl"), out)
    before = (out / "manifest.json").read_bytes()
    path = bad(tmp_path / name, content)
    with pytest.raises(UserError, match=message) as error:
        local(path, out)
    assert "\n" not in str(error.value)
    assert (out / "manifest.json").read_bytes() == before
    assert {path.name for path in tmp_path.iterdir()} == {"good.jsonl", name, "out"}


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(UserError, match=r"sources\.src\.path: .*none\.jsonl: file not found"):
        local(tmp_path / "none.jsonl", tmp_path / "out")


def test_a_part_of_the_corpus(tmp_path):
    corpus = tmp_path / "corpus"
    corpus.mkdir()
    write(corpus / "codesum-test.jsonl")
    source = EmbeddedSource(kind="embedded", part="codesum-test", limit=2)
    assert fetch("src", source, tmp_path / "out", corpus) == 2
    source = EmbeddedSource(kind="embedded", part="codegen-train")
    with pytest.raises(UserError, match=r"codegen-train\.jsonl: not in the corpus"):
        fetch("src", source, tmp_path / "out2", corpus)
    with pytest.raises(UserError, match=r"--corpus"):
        fetch("src", source, tmp_path / "out2")
    assert not (tmp_path / "out2").exists()


def test_an_unknown_part_is_refused():
    with pytest.raises(UserError, match=r"sources\.s: embedded\.part: Input should be 'codegen-"):
        validated(Source, {"kind": "embedded", "part": "codegen-dev"}, "sources.s")


def test_the_script_ends_with_one_message_and_no_target(tmp_path):
    path = bad(tmp_path / "a.jsonl", b'{"q": 1}\n{"q" 2}\n')
    settings = json.dumps({"kind": "local", "path": str(path)})
    command = [
        sys.executable,
        SCRIPT,
        "--source",
        "o",
        "--settings",
        settings,
        "--out",
        tmp_path / "out",
    ]
    result = subprocess.run(command, capture_output=True, text=True)
    assert result.returncode == 1
    assert f"error: {path}:2: not valid JSON" in result.stderr
    assert "Traceback" not in result.stderr
    assert list(tmp_path.iterdir()) == [path]
    path.write_text('{"q": 1}\n{"q": 2}\n')
    assert subprocess.run(command, capture_output=True).returncode == 0
    assert read_manifest(tmp_path / "out", "rows")["facts"]["rows"] == 2


@pytest.mark.slow
def test_offline_names_the_way_out(tmp_path):
    source = {"kind": "hub", "id": "no-such-owner/no-such-set", "revision": "a" * 40}
    command = [
        sys.executable,
        SCRIPT,
        "--source",
        "o",
        "--settings",
        json.dumps(source),
        "--out",
        tmp_path / "o",
    ]
    environment = os.environ | {"HF_HUB_OFFLINE": "1", "HF_HOME": str(tmp_path / "hf")}
    result = subprocess.run(command, capture_output=True, text=True, env=environment)
    assert result.returncode == 1
    assert "sources.o: no-such-owner/no-such-set@aaaaaaa" in result.stderr
    assert "is not in the cache" in result.stderr
    assert "unset HF_HUB_OFFLINE" in result.stderr
    assert "Traceback" not in result.stderr
    assert not (tmp_path / "o").exists()
