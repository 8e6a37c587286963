"""Reading safetensors headers, and every way in which a checkpoint can be broken."""

import json
from pathlib import Path

import numpy as np
import pytest

import checkpoint_material as material
from mixmerge.checkpoint.index import INDEX, read_index
from mixmerge.checkpoint.tensors import chunks
from mixmerge.core.errors import UserError


@pytest.fixture
def sharded(tmp_path: Path) -> Path:
    return material.write_checkpoint(
        tmp_path / "sharded", "llama", material.values("llama", 1), shards=3
    )


def failure(directory: Path) -> str:
    with pytest.raises(UserError) as caught:
        read_index(directory)
    return str(caught.value)


@pytest.mark.parametrize("shards", [1, 3])
@pytest.mark.parametrize("dtype", ["BF16", "F16", "F32", "F64"])
def test_reads_what_safetensors_reads(tmp_path: Path, shards: int, dtype: str) -> None:
    from safetensors import safe_open

    directory = material.write_checkpoint(
        tmp_path / "m", "qwen2", material.values("qwen2", 1), dtype=dtype, shards=shards
    )
    index = read_index(directory)
    assert list(index) == sorted(material.shapes("qwen2"))
    for name, info in index.items():
        with safe_open(info.file, framework="pt") as file:
            expected = file.get_tensor(name)
        assert info.shape == tuple(expected.shape)
        assert info.nbytes == expected.numel() * expected.element_size()
        found = np.concatenate(list(chunks(info, 1000)))
        assert np.array_equal(found, expected.double().numpy().ravel())


def test_missing_shard(sharded: Path) -> None:
    (sharded / "model-00002-of-00003.safetensors").unlink()
    assert "model-00002-of-00003.safetensors: shard is missing" in failure(sharded)


@pytest.mark.parametrize("kept", [0, 5, 100, 60_000])
def test_truncated_file_names_the_file(tmp_path: Path, kept: int) -> None:
    directory = material.write_checkpoint(tmp_path / "m", "llama", material.values("llama", 1))
    file = directory / "model.safetensors"
    file.write_bytes(file.read_bytes()[:kept])
    message = failure(directory)
    assert str(file) in message
    assert "truncated" in message or "cut off" in message


def test_trailing_bytes(sharded: Path) -> None:
    file = sharded / "model-00001-of-00003.safetensors"
    file.write_bytes(file.read_bytes() + b"x")
    assert "longer than its header says" in failure(sharded)


def test_broken_header(tmp_path: Path) -> None:
    directory = material.write_checkpoint(tmp_path / "m", "llama", material.values("llama", 1))
    file = directory / "model.safetensors"
    data = bytearray(file.read_bytes())
    data[8:12] = b"oops"
    file.write_bytes(bytes(data))
    assert "broken safetensors header" in failure(directory)


def test_index_names_a_tensor_no_shard_holds(sharded: Path) -> None:
    content = json.loads((sharded / INDEX).read_text())
    content["weight_map"]["model.ghost.weight"] = "model-00001-of-00003.safetensors"
    (sharded / INDEX).write_text(json.dumps(content))
    assert "'model.ghost.weight'" in failure(sharded)


def test_index_is_missing(sharded: Path) -> None:
    (sharded / INDEX).unlink()
    assert f"nor {INDEX}" in failure(sharded)


def test_both_single_file_and_index(sharded: Path) -> None:
    (sharded / "model.safetensors").write_bytes(b"")
    assert "out of date" in failure(sharded)


def test_no_weights_or_pickled_ones(tmp_path: Path) -> None:
    assert "holds no weights" in failure(tmp_path)
    (tmp_path / "pytorch_model.bin").write_bytes(b"")
    assert "pickled" in failure(tmp_path)
    assert "no such checkpoint" in failure(tmp_path / "nowhere")
