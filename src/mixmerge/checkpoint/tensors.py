"""Tensors of checkpoints: their values, and what must hold of these.

numpy has no bfloat16, but a bfloat16 is the upper half of a float32: shifting its bits is exact and
spares the two seconds that importing torch takes.
"""

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from tqdm import tqdm

from mixmerge.checkpoint.index import INDEX, TensorInfo, read_index
from mixmerge.core.errors import UserError

#: Elements of a piece: small enough for the processor's cache, large enough to hide Python.
CHUNK = 1 << 17
#: Bytes of a file of weights, unless it is said otherwise.
SHARD_BYTES = 2_000_000_000
#: How the raw elements of each float dtype are read.
RAW: dict[str, np.dtype[Any]] = {
    "BF16": np.dtype("<u2"),
    "F16": np.dtype("<f2"),
    "F32": np.dtype("<f4"),
    "F64": np.dtype("<f8"),
}
#: Bits of a float's exponent: all set mean NaN or infinity.
_EXPONENT = {"BF16": 0x7F80, "F16": 0x7C00, "F32": 0x7F800000, "F64": 0x7FF0000000000000}
Floats = npt.NDArray[np.float64]


def raw_values(info: TensorInfo) -> npt.NDArray[Any]:
    """A float tensor's values, flat, mapped from its file; bfloat16 as its bits.

    Raises `UserError` where it is quantised.
    """
    if info.dtype not in RAW:
        raise UserError(
            f"{info.file}: tensor {info.name!r} has dtype {info.dtype}; only {', '.join(RAW)} can "
            "be compared and merged. Take the model's unquantised weights, or convert them"
        )
    return _mapped(info, RAW[info.dtype])


def _mapped(info: TensorInfo, dtype: np.dtype[Any]) -> npt.NDArray[Any]:
    if not info.nbytes:  # nothing cannot be mapped
        return np.empty(0, dtype)
    return np.memmap(info.file, dtype, "r", info.offset, (info.nbytes // dtype.itemsize,))


def to_float64(raw: npt.NDArray[Any], dtype: str) -> Floats:
    """Values as `raw_values` gives them, as float64, exactly."""
    if dtype == "BF16":
        raw = (raw.astype(np.uint32) << np.uint32(16)).view(np.float32)
    return raw.astype(np.float64)


def aligned(infos: Sequence[TensorInfo]) -> Iterator[tuple[Floats, ...]]:
    """Yield stretches of equally shaped tensors side by side, as float64; dtypes may differ."""
    assert len({info.shape for info in infos}) == 1, "tensors of different shape"
    raw = [(raw_values(info), info.dtype) for info in infos]
    for start in range(0, infos[0].size, CHUNK):
        yield tuple(to_float64(values[start : start + CHUNK], dtype) for values, dtype in raw)


def same_bytes(a: TensorInfo, b: TensorInfo) -> bool:
    """Whether two tensors hold the same shape, dtype and bits."""
    byte = np.dtype(np.uint8)
    alike = (a.shape, a.dtype) == (b.shape, b.dtype)
    return alike and np.array_equal(_mapped(a, byte), _mapped(b, byte))


def load_tensors(index: dict[str, TensorInfo]) -> dict[str, Any]:
    """Tensors of an index as torch's, mapped from their files."""
    from safetensors.torch import load_file

    found: dict[str, Any] = {}
    for file in sorted({info.file for info in index.values()}):
        found |= load_file(file)
    return {name: found[name] for name in index}


def replace_weights(directory: Path, write: Callable[[Path], object]) -> None:
    """Let ``write`` write a checkpoint's tensors into a folder; their old files are deleted.

    Never over those: they may be another checkpoint's, by hard links, or the tensors' own memory.
    """
    old = {info.file for info in read_index(directory).values()}
    fresh = directory / "fresh"
    fresh.mkdir()
    write(fresh)
    for file in {*old, directory / INDEX}:
        file.unlink(missing_ok=True)
    for file in fresh.iterdir():
        file.rename(directory / file.name)
    fresh.rmdir()


def check_finite(directory: Path) -> None:
    """Check that no weight is NaN or infinite; `UserError` names the first that is.

    By bit patterns: to convert bfloat16 first takes four times as long.
    """
    tensors = read_index(directory).values()
    total, title = sum(info.nbytes for info in tensors), f"finite? {directory.name}"
    with tqdm(total=total, unit="B", unit_scale=True, mininterval=1, desc=title) as bar:
        for info in tensors:
            raw, exponent = raw_values(info), _EXPONENT[info.dtype]
            bits = raw.view(f"<u{raw.itemsize}")
            for start in range(0, info.size, CHUNK):
                bad = bits[start : start + CHUNK] & exponent == exponent
                if bad.any():
                    first = start + int(np.argmax(bad))
                    is_nan = np.isnan(to_float64(raw[first : first + 1], info.dtype)[0])
                    where = [int(i) for i in np.unravel_index(first, info.shape)]
                    problem = f"holds {'NaN' if is_nan else 'infinity'} at {where}"
                    raise UserError(
                        f"{info.file}: tensor {info.name!r} {problem} (diverged training, overflow "
                        "or a damaged file). Make it again"
                    )
            bar.update(info.nbytes)


def check_dtypes(directories: Sequence[Path]) -> None:
    """Check that all tensors of all checkpoints have one dtype; `UserError` where not."""
    infos = [info for directory in directories for info in read_index(directory).values()]
    for info in infos:
        if info.dtype != infos[0].dtype:
            other = f"{infos[0].name!r} in {infos[0].file} is {infos[0].dtype}"
            raise UserError(
                f"{info.file}: tensor {info.name!r} is {info.dtype}, but {other}; convert one of "
                "them, or name the `dtype` in which they shall be merged"
            )
