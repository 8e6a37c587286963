"""Reading safetensors headers: every way in which a file can be broken, pickles refused."""

import json
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from fixtures.checkpoints import shapes, values, write_checkpoint
from mixmerge.checkpoint.index import INDEX, SINGLE, read_header, read_index
from mixmerge.checkpoint.tensors import raw_values, to_float64
from mixmerge.core.errors import UserError

SHARD = "model-00002-of-00003.safetensors"


@pytest.fixture
def sharded(tmp_path: Path) -> Path:
    return write_checkpoint(tmp_path / "sharded", "llama", values("llama", 1), shards=3)


def failure(directory: Path) -> str:
    with pytest.raises(UserError) as caught:
        read_index(directory)
    message = str(caught.value)
    assert "\n" not in message and len(message) < 900
    return message


@pytest.mark.parametrize("dtype", ["BF16", "F16", "F32", "F64"])
def test_reads_what_safetensors_reads(tmp_path: Path, dtype: str) -> None:
    from safetensors import safe_open

    arrays = values("qwen2", 1)
    directory = write_checkpoint(tmp_path / "m", "qwen2", arrays, dtype=dtype, shards=3)
    index = read_index(directory)
    assert list(index) == sorted(shapes("qwen2"))
    for name, info in index.items():
        with safe_open(info.file, framework="pt") as file:
            expected = file.get_tensor(name)
        assert info.shape == tuple(expected.shape)
        assert info.nbytes == expected.numel() * expected.element_size()
        read = to_float64(raw_values(info), dtype)
        assert np.array_equal(read, expected.double().numpy().ravel())


def test_directories_without_whole_weights(tmp_path: Path, sharded: Path) -> None:
    (sharded / SINGLE).write_bytes(b"")
    assert "out of date" in failure(sharded)
    (sharded / SINGLE).unlink()
    (sharded / SHARD).unlink()
    (sharded / SHARD).symlink_to(tmp_path / "gone")
    assert f"{SHARD}: is a symbolic link to" in failure(sharded)


@pytest.mark.parametrize(
    "name",
    ["pytorch_model.bin", "../a/model.safetensors", "/etc/x.safetensors", 3, "a\n.safetensors"],
)
def test_an_index_names_safetensors_beside_it_only(sharded: Path, name: object) -> None:
    (sharded / INDEX).write_text(json.dumps({"weight_map": {"lm_head.weight": name}}))
    assert "weight_map: 'lm_head.weight' lies in" in failure(sharded)


def header(path: Path, content: bytes, data: int = 8, length: int | None = None) -> Path:
    claimed = len(content) if length is None else length
    path.write_bytes(claimed.to_bytes(8, "little") + content + bytes(data))
    return path


def entry(first: int, last: int, shape: Any = (1,), dtype: str = "F32") -> dict[str, Any]:
    return {"dtype": dtype, "shape": shape, "data_offsets": [first, last]}


#: Headers that lie, and how long each says that it is.
LIES = [
    (json.dumps({"a": entry(4, 8)}).encode(), None),
    (json.dumps({"a": entry(0, 4, [2**62, 4])}).encode(), None),
    (json.dumps({"a": entry(0, 8, [2]), "__metadata__": {"format": 1}}).encode(), None),
    (b'{"a": [0, 4]}', None),
    (b"[1, 2]", None),
    (b"{}", 99_999_999),
    (b'{"a":' * 100_000, None),
    (b'{"a":{"shape":[1],"data_offsets":[0,' + b"9" * 5000 + b"]}}", None),
    (b'{"\xff\xfe":1}', None),
    (b"", None),
]


@pytest.mark.parametrize(("content", "length"), LIES)
def test_headers_that_lie(tmp_path: Path, content: bytes, length: int | None) -> None:
    file = header(tmp_path / SINGLE, content, length=length)
    size = file.stat().st_size
    message = failure(tmp_path)
    assert message.startswith(f"{file}: cut off, damaged, or no safetensors file ({size} bytes; ")
    assert message.endswith("; fetch or write the file again")


@pytest.mark.parametrize("length", [0x0280, 0x10580])
def test_a_length_that_begins_like_a_pickle(tmp_path: Path, length: int) -> None:
    content = json.dumps({"a": entry(0, 8, [2])}).encode().ljust(length)
    file = header(tmp_path / "a.safetensors", content)
    assert file.read_bytes()[:2] in (b"\x80\x02", b"\x80\x05")
    assert list(read_header(file)) == ["a"]
    file.write_bytes(file.read_bytes()[:20])
    with pytest.raises(UserError, match=r"a\.safetensors: cut off, .* \(20 bytes"):
        read_header(file)


@pytest.mark.parametrize("protocol", [2, 5, None])
def test_a_pickle_under_the_name_of_safetensors(tmp_path: Path, protocol: int | None) -> None:
    import torch

    if protocol is None:
        torch.save({"a": torch.zeros(2)}, tmp_path / SINGLE)
    else:
        (tmp_path / SINGLE).write_bytes(pickle.dumps({"a": [1] * 99}, protocol))
    assert "is no safetensors file whatever its name; holds no safetensors" in failure(tmp_path)


@pytest.mark.parametrize("dtype", ["C64", "F8_E4M3"])
def test_dtypes_that_cannot_be_merged_are_whole_files(tmp_path: Path, dtype: str) -> None:
    """The way out is another checkpoint, not to fetch this one again."""
    size = 8 if dtype == "C64" else 1
    content = json.dumps({"a": entry(0, 8, [8 // size], dtype)}).encode()
    tensors = read_header(header(tmp_path / "a.safetensors", content))
    with pytest.raises(UserError, match=f"dtype {dtype}; only .* Take the model's unquantised"):
        raw_values(tensors["a"])
