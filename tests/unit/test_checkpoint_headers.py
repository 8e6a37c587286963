"""Headers of safetensors that lie, and bombs in a checkpoint's JSON: one message each."""

import json
from pathlib import Path
from typing import Any

import pytest

import checkpoint_material as material
from mixmerge.checkpoint.index import read_header
from mixmerge.checkpoint.snapshot import snapshot
from mixmerge.checkpoint.tensors import raw_chunks
from mixmerge.checkpoint.tokenizer import load_tokenizer, stop_tokens
from mixmerge.config.models import LocalModel
from mixmerge.core.errors import UserError


def header(path: Path, content: bytes, data: int = 8, length: int | None = None) -> Path:
    told = len(content) if length is None else length
    path.write_bytes(told.to_bytes(8, "little") + content + bytes(data))
    return path


def entry(first: int, last: int, shape: Any = (1,), dtype: str = "F32") -> dict[str, Any]:
    return {"dtype": dtype, "shape": shape, "data_offsets": [first, last]}


@pytest.mark.parametrize("length", [0x0280, 0x0380, 0x0480, 0x0580, 0x10280])
def test_a_length_that_begins_like_a_pickle(tmp_path: Path, length: int) -> None:
    content = json.dumps({"a": entry(0, 8, [2])}).encode().ljust(length)
    file = header(tmp_path / "a.safetensors", content)
    assert file.read_bytes()[:2] in (b"\x80\x02", b"\x80\x03", b"\x80\x04", b"\x80\x05")
    assert list(read_header(file)) == ["a"]
    file = header(tmp_path / "b.safetensors", b" " + content[:-1])
    assert list(read_header(file)) == ["a"]  # safetensors, too, reads a blank before the brace
    file.write_bytes(file.read_bytes()[:20])
    with pytest.raises(UserError, match=r"b\.safetensors: not a whole safetensors file \(20 bytes"):
        read_header(file)


@pytest.mark.parametrize("dtype", ["C64", "F8_E4M3", "F8_E5M2", "F8_E8M0", "F8_E4M3FNUZ"])
def test_dtypes_that_cannot_be_merged_are_whole_files(tmp_path: Path, dtype: str) -> None:
    """The way out is another checkpoint, not to fetch this one again."""
    from safetensors import safe_open

    size = 8 if dtype == "C64" else 1
    content = json.dumps({"a": entry(0, 8, [8 // size], dtype)}).encode()
    file = header(tmp_path / "a.safetensors", content)
    with safe_open(file, framework="pt") as opened:
        assert list(opened.keys()) == ["a"]
    with pytest.raises(UserError, match=f"dtype {dtype}; only .* Take the model's unquantised"):
        next(raw_chunks(read_header(file)["a"]))


@pytest.mark.parametrize(
    ("tensors", "said"),
    [
        ({"a": entry(0, 4), "b": entry(0, 4)}, "'b' overlaps another one"),
        ({"a": entry(0, 8, [2]), "b": entry(4, 8)}, "'b' overlaps another one"),
        ({"a": entry(4, 8)}, "'a' follows on bytes of none"),
        ({"a": entry(0, 4), "b": entry(4, 4, [0]), "c": entry(8, 12)}, "'c' follows on bytes"),
        ({"a": entry(-4, 0)}, "no whole numbers from 0 on"),
        ({"a": entry(0, 4, [-1, -1])}, "no whole numbers from 0 on"),
        ({"a": entry(0, 4, [True])}, "no whole numbers from 0 on"),
        ({"a": entry(0, 4, [1.0])}, "no whole numbers from 0 on"),
        ({"a": entry(0, 4, [[1]])}, "no whole numbers from 0 on"),
        ({"a": entry(0, 4, "1")}, "no whole numbers from 0 on"),
        ({"a": entry(0, 4, [2**62, 4])}, "do not fit its shape"),
        ({"a": entry(0, 4, dtype="OBJECT")}, "unknown dtype 'OBJECT'"),
        ({"a": [0, 4]}, "broken safetensors header"),
        ({"a": {"dtype": "F32", "shape": [1]}}, "broken safetensors header ('data_offsets')"),
        ({"a": entry(0, 0, [2**40, 2**40, 0])}, "do not fit its shape"),
        ({"a": {**entry(0, 8, [2]), "x": float("nan")}}, "NaN is no JSON"),
        ({"a": entry(0, 8, [2]), "__metadata__": {"format": 1}}, "no mapping of text to text"),
        ({"a": entry(0, 8, [2]), "__metadata__": "pt"}, "no mapping of text to text"),
        ([1, 2], "broken safetensors header"),
    ],
)
def test_headers_that_lie(tmp_path: Path, tensors: Any, said: str) -> None:
    from safetensors import SafetensorError, safe_open

    file = header(tmp_path / "a.safetensors", json.dumps(tensors).encode())
    with pytest.raises(UserError) as caught:
        read_header(file)
    message = str(caught.value)
    assert message.startswith(f"{file}: ") and said in message and "\n" not in message
    assert len(message) < 500
    with pytest.raises(SafetensorError), safe_open(file, framework="np"):
        pass  # safetensors' own reader agrees that it is none


@pytest.mark.parametrize(
    ("content", "length", "said"),
    [
        (b"{}", 2**64 - 1, "not a whole safetensors file"),
        (b"{}", 2**63, "not a whole safetensors file"),
        (b"{}", 99_999_999, "not a whole safetensors file"),
        (b'{"a":' * 100_000, None, "broken safetensors header (maximum recursion"),
        (b'{"a":{"shape":' + b"[" * 100_000, None, "broken safetensors header (maximum recursion"),
        (b'{"a":{"shape":[1],"data_offsets":[0,' + b"9" * 5000 + b"]}}", None, "broken safe"),
        (b'{"' + b"x" * 100_000 + b'":1}', None, "broken safetensors header"),
        (b'{"\xff\xfe":1}', None, "broken safetensors header"),
        (b"", None, "broken safetensors header"),
    ],
)
def test_header_bombs(tmp_path: Path, content: bytes, length: int | None, said: str) -> None:
    file = header(tmp_path / "a.safetensors", content, length=length)
    with pytest.raises(UserError) as caught:
        read_header(file)
    assert said in str(caught.value) and len(str(caught.value)) < 500


def test_a_key_that_stands_there_twice(tmp_path: Path) -> None:
    one = json.dumps(entry(0, 4))
    text = f'{{"a": {one}, "b": {json.dumps(entry(4, 8))}, "a": {one}}}'
    with pytest.raises(UserError, match="'a' stands there twice"):
        read_header(header(tmp_path / "a.safetensors", text.encode()))
    text = f'{{"a": {one[:-1]}, "shape": [1]}}}}'
    with pytest.raises(UserError, match="'shape' stands there twice"):
        read_header(header(tmp_path / "a.safetensors", text.encode()))


@pytest.mark.parametrize(
    "name", ["config.json", "tokenizer_config.json", "tokenizer.json", "generation_config.json"]
)
@pytest.mark.parametrize(
    "content",
    [
        "[" * 100_000,
        '{"a":' * 100_000,
        "[]",
        "null",
        '"text"',
        '{"eos_token_id": ' + "9" * 5000 + "}",
        '{"a": 1',
        "",
    ],
)
def test_json_of_a_checkpoint(tmp_path: Path, name: str, content: str) -> None:
    """Each file in each way; and nothing is left behind."""
    source = material.write_checkpoint(tmp_path / "source", "llama", material.values("llama", 1))
    (source / name).write_text(content)
    mine = tmp_path / "mine.jinja"  # compared with the checkpoint's own: all files are read
    mine.write_text("{{ messages }}")
    with pytest.raises(UserError) as caught:
        snapshot("mine", LocalModel(kind="local", path=source, chat_template=mine), tmp_path / "b")
        stop_tokens(tmp_path / "b", load_tokenizer(tmp_path / "b"))
    message = str(caught.value)
    assert len(message) < 700 and "\n" not in message
    if name != "generation_config.json":
        assert not (tmp_path / "b").exists()


@pytest.mark.parametrize(
    "change",
    [
        {"model": {"type": "BPE", "vocab": {"a": 2**40}, "merges": []}},
        {"model": {"type": "Strange"}},
        {"model": {}},
        {"added_tokens": [{"id": -1}]},
        {"added_tokens": 3},
        {"decoder": {"type": "ByteLevel", "pattern": {"Regex": "((((("}}},
        {"pre_tokenizer": {"type": "Split", "pattern": {"Regex": "(("}, "behavior": "Isolated"}},
    ],
)
def test_tokenizers_that_are_none(tmp_path: Path, change: dict[str, Any]) -> None:
    source = material.write_checkpoint(tmp_path / "source", "llama", material.values("llama", 1))
    file = source / "tokenizer.json"
    file.write_text(json.dumps({**json.loads(file.read_text()), **change}))
    with pytest.raises(UserError, match=r"tokenizer|Tokenizer"):
        load_tokenizer(source)
