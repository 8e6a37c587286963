"""What a checkpoint directory holds, from the headers of its safetensors files alone.

Format: https://huggingface.co/docs/safetensors (8 bytes header length, little endian; a JSON header
name -> dtype, shape, data_offsets; then the data). Reading it directly takes milliseconds, needs
neither torch nor safetensors, and sees what `safe_open` does not: a file that was cut off.
"""

import json
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mixmerge.errors import UserError
from mixmerge.files import read_json

SINGLE = "model.safetensors"
INDEX = "model.safetensors.index.json"

#: Bytes of an element of each safetensors dtype.
ITEM_BYTES = {
    "F64": 8, "F32": 4, "F16": 2, "BF16": 2, "F8_E4M3": 1, "F8_E5M2": 1,
    "I64": 8, "I32": 4, "I16": 2, "I8": 1, "U64": 8, "U32": 4, "U16": 2, "U8": 1, "BOOL": 1,
}  # fmt: skip

#: A longer header is no header but a broken file (safetensors' own limit).
_MAX_HEADER = 100_000_000


@dataclass(frozen=True)
class TensorInfo:
    """Where one tensor lies."""

    name: str
    """Name in the state dict, such as `model.layers.0.mlp.up_proj.weight`."""

    shape: tuple[int, ...]
    """Shape; empty for a scalar."""

    dtype: str
    """Safetensors' dtype name, such as `BF16`."""

    file: Path
    """The safetensors file."""

    offset: int
    """First byte of its data in the file."""

    nbytes: int
    """Bytes of its data."""

    @property
    def size(self) -> int:
        """Number of elements."""
        return math.prod(self.shape)


def read_index(directory: Path) -> dict[str, TensorInfo]:
    """List the tensors of a checkpoint, sorted by name, checking every file's length.

    Args:
        directory: Hugging Face layout with `model.safetensors`, or shards and their index.

    Raises:
        UserError: no such directory, no safetensors weights, a missing or truncated shard, a
            broken header, or an index that names a tensor which its shard does not hold.
    """
    if not directory.is_dir():
        raise UserError(f"{directory}: no such checkpoint directory")
    index, single = directory / INDEX, directory / SINGLE
    if index.exists():
        tensors = _read_shards(directory, index)
    elif single.exists():
        tensors = read_header(single)
    else:
        raise UserError(_no_weights(directory))
    return dict(sorted(tensors.items()))


def read_header(file: Path) -> dict[str, TensorInfo]:
    """Read one safetensors file's header.

    Raises:
        UserError: the file is missing, is no safetensors file, or is shorter or longer than its
            header says.
    """
    try:
        size = file.stat().st_size
        with file.open("rb") as stream:
            start = 8 + int.from_bytes(stream.read(8), "little")
            # A header that claims to be longer than the file must not be allocated.
            text = stream.read(start - 8) if start <= min(size, _MAX_HEADER) else b""
    except FileNotFoundError:
        raise UserError(f"{file}: file not found") from None
    if size < 8 or start > min(size, _MAX_HEADER):
        raise UserError(
            f"{file}: not a whole safetensors file ({size} bytes, shorter than its own header); "
            "it was cut off or is no safetensors file. Fetch or write it again"
        )
    try:
        header = json.loads(text)
        tensors = {
            name: _tensor(file, start, name, entry)
            for name, entry in header.items()
            if name != "__metadata__"
        }
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise UserError(
            f"{file}: broken safetensors header ({error}); fetch or write the file again"
        ) from None
    expected = max((info.offset + info.nbytes for info in tensors.values()), default=start)
    if size != expected:
        kind = "truncated" if size < expected else "longer than its header says"
        raise UserError(
            f"{file}: {kind}: {size} bytes, expected {expected}; fetch or write the file again"
        )
    return tensors


def _tensor(file: Path, start: int, name: str, entry: dict[str, Any]) -> TensorInfo:
    """Build one tensor's entry; ValueError where shape, dtype and offsets do not agree."""
    first, last = entry["data_offsets"]
    shape, dtype = tuple(entry["shape"]), str(entry["dtype"])
    if dtype not in ITEM_BYTES:
        raise ValueError(f"tensor {name!r} has unknown dtype {dtype!r}")
    nbytes = math.prod(shape) * ITEM_BYTES[dtype]
    if first < 0 or last - first != nbytes:
        raise ValueError(f"tensor {name!r}: offsets {first}..{last} do not fit its shape {shape}")
    return TensorInfo(name, shape, dtype, file, start + first, nbytes)


def _read_shards(directory: Path, index: Path) -> dict[str, TensorInfo]:
    """Follow an index file; every shard it names is read and checked once."""
    content = read_json(index)
    weight_map = content.get("weight_map") if isinstance(content, dict) else None
    if not isinstance(weight_map, dict) or not weight_map:
        raise UserError(f"{index}: has no 'weight_map'; write the checkpoint again")
    names = sorted(set(weight_map.values()))
    if (directory / SINGLE).exists() and SINGLE not in names:
        raise UserError(
            f"{directory}: holds both {SINGLE} and {INDEX}, which name different weights; "
            "delete the one that is out of date"
        )
    shards = {}
    for name in names:
        if not (directory / name).exists():
            raise UserError(
                f"{directory / name}: shard is missing, but {index.name} names it; "
                "fetch or write the checkpoint again"
            )
        shards[name] = read_header(directory / name)
    tensors = {}
    for tensor, name in weight_map.items():
        if tensor not in shards[name]:
            raise UserError(
                f"{index}: says that {name} holds {tensor!r}, but it does not; "
                "fetch or write the checkpoint again"
            )
        tensors[tensor] = shards[name][tensor]
    return tensors


def _no_weights(directory: Path) -> str:
    """Say what stands in the directory instead of whole safetensors weights."""
    if shards := sorted(directory.glob("*.safetensors")):
        return (
            f"{directory}: holds {shards[0].name} but neither {SINGLE} nor {INDEX}; "
            "fetch or write the checkpoint again"
        )
    if pickles := sorted([*directory.glob("*.bin"), *directory.glob("*.pt")]):
        return (
            f"{directory}: holds only pickled weights ({pickles[0].name}); load the model and "
            "save it with save_pretrained(..., safe_serialization=True)"
        )
    return f"{directory}: holds no weights (no {SINGLE}, no {INDEX})"
