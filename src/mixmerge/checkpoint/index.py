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

from mixmerge.checkpoint.pickles import looks_pickled, pickled, refusal
from mixmerge.core.errors import UserError, not_a_file
from mixmerge.core.io import read_object

SINGLE = "model.safetensors"
INDEX = "model.safetensors.index.json"

#: Bytes of an element of each safetensors dtype.
ITEM_BYTES = {
    "C64": 8, "F64": 8, "F32": 4, "F16": 2, "BF16": 2,
    "F8_E4M3": 1, "F8_E5M2": 1, "F8_E8M0": 1, "F8_E4M3FNUZ": 1, "F8_E5M2FNUZ": 1,
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
        found = f" ({not_a_file(directory)})" if directory.is_symlink() else ""
        raise UserError(f"{directory}: no such checkpoint directory{found}; mend the path")
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
            magic = stream.read(8)
            start = 8 + int.from_bytes(magic, "little")
            # A header that claims to be longer than the file must not be allocated.
            text = stream.read(start - 8) if start <= min(size, _MAX_HEADER) else b""
    except FileNotFoundError:
        raise UserError(f"{file}: file not found") from None
    # A header's length may begin with the same bytes as a pickle: 640 is 80 02. A pickle's next
    # bytes, taken for a length, are beyond any header; those of torch's zip need not be.
    is_length = start <= _MAX_HEADER and (text.startswith(b"{") or not magic.startswith(b"PK"))
    if not is_length and looks_pickled(magic):
        raise UserError(refusal(f"{file}: is no safetensors file whatever its name;", file.name))
    if size < 8 or start > min(size, _MAX_HEADER):
        raise UserError(
            f"{file}: not a whole safetensors file ({size} bytes, shorter than its own header); "
            "it was cut off or is no safetensors file. Fetch or write it again"
        )
    try:
        # Decoded here: `json` itself takes UTF-16 for what it is, and NaN for a number.
        header = json.loads(
            text.decode(), object_pairs_hook=_without_repeats, parse_constant=_no_number
        )
        _check_metadata(header.pop("__metadata__", None))
        tensors = {name: _tensor(file, start, name, entry) for name, entry in header.items()}
        expected = _check_gapless(tensors, start)
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise UserError(
            f"{file}: broken safetensors header ({_short(error)}); fetch or write the file again"
        ) from None
    if size != expected:
        kind = "truncated" if size < expected else "longer than its header says"
        raise UserError(
            f"{file}: {kind}: {size} bytes, expected {expected}; fetch or write the file again"
        )
    return tensors


def _without_repeats(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """A JSON object; of a key that stands there twice, readers disagree which one counts."""
    found = dict(pairs)
    if len(found) != len(pairs):
        seen: set[str] = set()
        twice = next(name for name, _ in pairs if name in seen or seen.add(name))  # type: ignore[func-returns-value]
        raise ValueError(f"{twice!r} stands there twice")
    return found


def _no_number(name: str) -> None:
    raise ValueError(f"{name} is no JSON")


def _check_metadata(metadata: Any) -> None:
    """Check that a header's metadata are texts; ValueError where safetensors reads none of it."""
    values = metadata.values() if isinstance(metadata, dict) else [None]
    if metadata is not None and not all(isinstance(value, str) for value in values):
        raise ValueError("__metadata__ is no mapping of text to text")


def _tensor(file: Path, start: int, name: str, entry: dict[str, Any]) -> TensorInfo:
    """Build one tensor's entry; ValueError where shape, dtype and offsets do not agree."""
    first, last = entry["data_offsets"]
    shape, dtype = tuple(entry["shape"]), str(entry["dtype"])
    if dtype not in ITEM_BYTES:
        raise ValueError(f"tensor {name!r} has unknown dtype {dtype!r}")
    # Python would multiply with floats, and true is 1.
    if any(type(number) is not int or number < 0 for number in (first, last, *shape)):
        raise ValueError(f"tensor {name!r}: shape and offsets are no whole numbers from 0 on")
    nbytes = math.prod(shape) * ITEM_BYTES[dtype]
    # Readers multiply in 64 bits before they come to a zero.
    if last - first != nbytes or math.prod(number for number in shape if number) >= 1 << 60:
        raise ValueError(f"tensor {name!r}: offsets {first}..{last} do not fit its shape {shape}")
    return TensorInfo(name, shape, dtype, file, start + first, nbytes)


def _check_gapless(tensors: dict[str, TensorInfo], start: int) -> int:
    """Check that the tensors' data follow on one another, as the format demands; returns their end.

    Tensors that share bytes would be merged twice; a gap may hide what no check looks at.

    Raises:
        ValueError: two tensors overlap, or bytes belong to none.
    """
    end = start
    for info in sorted(tensors.values(), key=lambda info: (info.offset, info.nbytes)):
        if info.offset != end:
            fault = "overlaps another one" if info.offset < end else "follows on bytes of none"
            raise ValueError(f"tensor {info.name!r} {fault}")
        end += info.nbytes
    return end


def _short(error: Exception) -> str:
    """An error in at most a line: it may quote what the file says, whatever that is."""
    said = " ".join(str(error).split()) or type(error).__name__
    return said if len(said) <= 200 else f"{said[:200]}..."


def _read_shards(directory: Path, index: Path) -> dict[str, TensorInfo]:
    """Follow an index file; every shard it names is read and checked once."""
    weight_map = read_object(index).get("weight_map")
    if not isinstance(weight_map, dict) or not weight_map:
        raise UserError(f"{index}: has no 'weight_map'; write the checkpoint again")
    for tensor, name in weight_map.items():
        if not isinstance(name, str) or not _is_shard(name):
            raise UserError(
                f"{index}: weight_map: {tensor[:80]!r} lies in {str(name)[:80]!r}, which is no "
                "name of a .safetensors file beside it; fetch or write the checkpoint again"
            )
    names = sorted(set(weight_map.values()))
    if (directory / SINGLE).exists() and SINGLE not in names:
        raise UserError(
            f"{directory}: holds both {SINGLE} and {INDEX}, which name different weights; "
            "delete the one that is out of date"
        )
    shards = {}
    for name in names:
        if not (directory / name).is_file():
            found = not_a_file(directory / name).replace("file not found", "shard is missing")
            raise UserError(
                f"{directory / name}: {found}, but {index.name} names it; "
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
    for name, held in shards.items():
        if left := held.keys() - tensors.keys():
            raise UserError(
                f"{index}: leaves out tensor {min(left)!r}, which {name} holds; fetch or write the "
                "checkpoint again"
            )
    return tensors


def _is_shard(name: str) -> bool:
    """Whether a name is that of a safetensors file in the index's own directory."""
    return name.endswith(".safetensors") and name.isprintable() and not {"/", "\\"} & set(name)


def _no_weights(directory: Path) -> str:
    """Say what stands in the directory instead of whole safetensors weights."""
    if shards := sorted(directory.glob("*.safetensors")):
        return (
            f"{directory}: holds {shards[0].name} but neither {SINGLE} nor {INDEX}; "
            "fetch or write the checkpoint again"
        )
    names = [path.relative_to(directory).as_posix() for path in directory.glob("*")]
    if pickles := pickled(names):
        return refusal(f"{directory}:", pickles[0])
    return f"{directory}: holds no weights (no {SINGLE}, no {INDEX})"
