"""GGUF files that are broken or lie: one message, nothing left behind, nothing run."""

import json
import struct
from pathlib import Path
from typing import Any

import pytest

from gguf_material import model_of, write_gguf
from mixmerge.core.errors import UserError
from offline_sources.gguf import dequantise


@pytest.mark.parametrize("change", ["missing", "no GGUF", "truncated", "sha256", "splitting"])
def test_bad_files_leave_nothing_behind(tmp_path: Path, change: str) -> None:
    file = tmp_path / "tiny.gguf"
    values: dict[str, Any] = {"path": file}
    message = f"{file}: "
    if change == "missing":
        message = "file not found"
    elif change == "no GGUF":
        file.write_bytes(b"PK\3\4" + bytes(100))
        message += "is no GGUF file"
    elif change == "truncated":
        write_gguf(file)
        file.write_bytes(file.read_bytes()[:-3000])
        message += "cannot be read"
    elif change == "sha256":
        write_gguf(file)
        values["sha256"] = "0" * 64
        message = "SHA-256 is .* another file or was damaged"
    elif change == "splitting":
        write_gguf(file, pre="deepseek-coder")
        message += "its tokenizer splits text as 'deepseek-coder' does"
    with pytest.raises(UserError, match=message):
        dequantise(model_of(**values), tmp_path / "base", tmp_path / "scratch")
    assert [path.name for path in tmp_path.iterdir() if path != file] == []


@pytest.mark.parametrize(
    ("at", "value", "said"),
    [
        (4, struct.pack("<I", 99), "GGUF version 99"),
        (8, struct.pack("<Q", 2**63), "9,223,372,036,854,775,808 tensors"),
        (8, struct.pack("<Q", 90_000), "it ends within its header|beyond its end|it says that"),
        (16, struct.pack("<Q", 2**40), "1,099,511,627,776 keys"),
        (16, struct.pack("<Q", 9_999), "unknown type|beyond its end|it says that"),
        (24, struct.pack("<Q", 2**62), "bytes in a text"),
    ],
)
def test_absurd_counts_are_not_followed(tmp_path: Path, at: int, value: bytes, said: str) -> None:
    file = tmp_path / "tiny.gguf"
    write_gguf(file)
    data = bytearray(file.read_bytes())
    data[at : at + len(value)] = value
    file.write_bytes(bytes(data))
    with pytest.raises(UserError, match=said) as caught:
        dequantise(model_of(path=file), tmp_path / "base", tmp_path / "scratch")
    assert str(caught.value).startswith(f"{file}: cannot be read (")


def text(value: str) -> bytes:
    return struct.pack("<Q", len(value)) + value.encode()


@pytest.mark.parametrize(
    ("kind", "value", "said"),
    [
        (9, struct.pack("<IQ", 8, 2**60), "1,152,921,504,606,846,976 entries in 'key'"),
        (9, struct.pack("<IQ", 0, 9_000) + bytes(10), "it says that it has|a list ends beyond"),
        (9, struct.pack("<IQ", 9, 1) * 100_000, "'key' is a list of lists"),
        (8, struct.pack("<Q", 2**40), "bytes in a text"),
        (77, b"", "'key' has the unknown type 77"),
        (4, bytes(4) + text("key") + struct.pack("<I", 4) + bytes(4), "'key' stands there twice"),
    ],
)
def test_values_that_lie(tmp_path: Path, kind: int, value: bytes, said: str) -> None:
    file = tmp_path / "made.gguf"
    head = b"GGUF" + struct.pack("<IQQ", 3, 0, 2)
    file.write_bytes(head + text("key") + struct.pack("<I", kind) + value)
    with pytest.raises(UserError, match=said):
        dequantise(model_of(path=file), tmp_path / "base", tmp_path / "scratch")


@pytest.mark.parametrize("shape", [[2**62, 4], [2**63], [0xFFFFFFFF, 0xFFFFFFFF]])
def test_tensors_that_lie(tmp_path: Path, shape: list[int]) -> None:
    file = tmp_path / "made.gguf"
    tensor = text("t") + struct.pack(f"<I{len(shape)}QIQ", len(shape), *shape, 0, 0)
    file.write_bytes(b"GGUF" + struct.pack("<IQQ", 3, 1, 0) + tensor + bytes(64))
    with pytest.raises(UserError, match=r"tensor .t. of shape .* lies beyond its end"):
        dequantise(model_of(path=file), tmp_path / "base", tmp_path / "scratch")


def test_what_stands_beside_the_file_is_not_read(tmp_path: Path) -> None:
    write_gguf(tmp_path / "tiny.gguf")
    (tmp_path / "own.py").write_text(f"open({str(tmp_path / 'RAN')!r}, 'w')")
    names = {"auto_map": {"AutoTokenizer": ["own.T", None], "AutoConfig": "own.C"}}
    for name in ("tokenizer_config.json", "config.json"):
        (tmp_path / name).write_text(json.dumps({**names, "model_type": "own"}))
    dequantise(model_of(path=tmp_path / "tiny.gguf"), tmp_path / "base", tmp_path / "scratch")
    assert not (tmp_path / "RAN").exists()
    assert "auto_map" not in json.loads((tmp_path / "base/tokenizer_config.json").read_text())
