"""Tensor data in bounded pieces, as numpy arrays.

numpy has no bfloat16, but a bfloat16 is the upper half of a float32: shifting its bits is exact and
spares the two seconds that importing torch takes.
"""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from mixmerge.checkpoint.index import ITEM_BYTES, TensorInfo
from mixmerge.core.errors import UserError

#: Elements of a piece: small enough for the processor's cache, large enough to hide Python.
CHUNK = 1 << 17

Floats = npt.NDArray[np.float64]

#: How the raw elements of each float dtype are read; all integers of the same width.
RAW: dict[str, np.dtype[Any]] = {
    "BF16": np.dtype("<u2"),
    "F16": np.dtype("<u2"),
    "F32": np.dtype("<u4"),
    "F64": np.dtype("<u8"),
}


def raw_chunks(info: TensorInfo, chunk: int = CHUNK) -> Iterator[npt.NDArray[Any]]:
    """Yield a float tensor's bit patterns in order, at most ``chunk`` elements at a time.

    Raises:
        UserError: the tensor holds no float16, bfloat16, float32 or float64 (quantised weights).
    """
    if info.dtype not in RAW:
        raise UserError(
            f"{info.file}: tensor {info.name!r} has dtype {info.dtype}; only "
            f"{', '.join(RAW)} weights can be compared and merged. Take the model's unquantised "
            "weights, or convert them"
        )
    dtype = RAW[info.dtype]
    with info.file.open("rb") as stream:
        stream.seek(info.offset)
        left = info.size
        while left:
            count = min(chunk, left)
            data = stream.read(count * dtype.itemsize)
            if len(data) != count * dtype.itemsize:
                raise UserError(f"{info.file}: ended inside tensor {info.name!r}")
            yield np.frombuffer(data, dtype)
            left -= count


def to_float64(raw: npt.NDArray[Any], dtype: str) -> Floats:
    """Turn bit patterns of a float dtype into float64, exactly."""
    if dtype == "BF16":
        return (raw.astype(np.uint32) << np.uint32(16)).view(np.float32).astype(np.float64)
    native = {"F16": np.float16, "F32": np.float32, "F64": np.float64}[dtype]
    return raw.view(native).astype(np.float64)


def chunks(info: TensorInfo, chunk: int = CHUNK) -> Iterator[Floats]:
    """Yield a tensor's values in order as float64, at most ``chunk`` elements at a time."""
    for raw in raw_chunks(info, chunk):
        yield to_float64(raw, info.dtype)


def aligned(infos: Sequence[TensorInfo], chunk: int = CHUNK) -> Iterator[tuple[Floats, ...]]:
    """Yield the same stretch of several equally shaped tensors at a time, as float64.

    Args:
        infos: one tensor of each checkpoint; dtypes may differ.
        chunk: most elements of a stretch.
    """
    assert len({info.shape for info in infos}) == 1, "tensors of different shape"
    yield from zip(*(chunks(info, chunk) for info in infos), strict=True)


def same_bytes(a: TensorInfo, b: TensorInfo) -> bool:
    """Whether two tensors hold the same shape, dtype and bits."""
    if (a.shape, a.dtype) != (b.shape, b.dtype):
        return False
    if (a.file, a.offset) == (b.file, b.offset):
        return True
    with a.file.open("rb") as one, b.file.open("rb") as other:
        one.seek(a.offset)
        other.seek(b.offset)
        left = a.nbytes
        while left:
            count = min(CHUNK * ITEM_BYTES["F64"], left)
            if one.read(count) != other.read(count):
                return False
            left -= count
    return True


def parameter_count(index: dict[str, TensorInfo]) -> int:
    """Number of elements of all tensors listed."""
    return sum(info.size for info in index.values())


def weight_files(index: dict[str, TensorInfo]) -> list[Path]:
    """The safetensors files that hold the tensors listed, sorted."""
    return sorted({info.file for info in index.values()})
