"""Tensors of checkpoints: their values, tied embeddings, and what must hold.

numpy has no bfloat16, but a bfloat16 is the upper half of a float32: shifting its bits is exact and
spares the two seconds that importing torch takes.
"""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from tqdm import tqdm

from mixmerge.checkpoint.index import TensorInfo, read_index
from mixmerge.core.errors import UserError
from mixmerge.core.io import read_json

#: Elements of a piece: small enough for the processor's cache, large enough to hide Python.
CHUNK = 1 << 17
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

HEAD = "lm_head.weight"
EMBEDDINGS = ("model.embed_tokens.weight", "transformer.wte.weight", "gpt_neox.embed_in.weight")


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


def is_tied(directory: Path, index: dict[str, TensorInfo]) -> bool:
    """Whether a checkpoint's input and output embeddings are one tensor.

    Where the config does not say, it shows in whether an output head is stored.
    """
    tied = read_json(directory / "config.json").get("tie_word_embeddings")
    return HEAD not in index if tied is None else bool(tied)


def embeddings(index: dict[str, TensorInfo]) -> TensorInfo | None:
    """The input embeddings' entry, None where the architecture names them in another way."""
    return next((index[name] for name in EMBEDDINGS if name in index), None)


def without_tied_head(directory: Path, index: dict[str, TensorInfo]) -> dict[str, TensorInfo]:
    """Drop an output head that repeats the bytes of tied embeddings: some tools store it twice.

    One that differs stays: transformers 5 loads such a checkpoint untied.
    """
    head, source = index.get(HEAD), embeddings(index)
    if head and source and is_tied(directory, index) and same_bytes(head, source):
        return {name: info for name, info in index.items() if name != HEAD}
    return index


def parameter_count(directory: Path, index: dict[str, TensorInfo]) -> int:
    """Number of weights; tied ones count once."""
    return sum(info.size for info in without_tied_head(directory, index).values())


def check_same_tensors(directory: Path, like: Path) -> None:
    """Check that a checkpoint holds the tensors of another one in the same shapes, any dtype.

    Where both tie their embeddings, `lm_head.weight` may be stored in one and left out in the
    other. `UserError` names the first missing, extra or reshaped tensor.
    """
    mine, theirs = read_index(directory), read_index(like)
    different = mine.keys() ^ theirs.keys()
    if HEAD in different and is_tied(directory, mine) and is_tied(like, theirs):
        different.discard(HEAD)
    if different:
        name = min(different)
        verb, more = "holds an extra" if name in mine else "lacks", len(different) - 1
        raise UserError(
            f"{directory}: {verb} tensor {name!r} compared with {like} ({more} more differ): not "
            "the same architecture, or saved incompletely. Write it again from the same base model"
        )
    for name in sorted(mine.keys() & theirs.keys()):
        if mine[name].shape != theirs[name].shape:
            raise UserError(
                f"{mine[name].file}: tensor {name!r} has shape {list(mine[name].shape)}, but "
                f"{list(theirs[name].shape)} in {theirs[name].file}; take checkpoints of one base"
            )


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
