"""Tensors of checkpoints: their values, tied embeddings, and what must hold.

numpy has no bfloat16, but a bfloat16 is the upper half of a float32: shifting its bits is exact and
spares the two seconds that importing torch takes. MergeKit, transformers and torch let most of what
is checked here through: NaN spreads over a tensor, flipped bytes are just other numbers.
"""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from tqdm import tqdm

from mixmerge.checkpoint.index import TensorInfo, read_index
from mixmerge.core.errors import UserError
from mixmerge.core.io import read_object

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

#: Bits of a float's exponent, by dtype (all set means NaN or infinity), and of its fraction (any
#: set beside a full exponent means NaN).
_EXPONENT = {"BF16": 0x7F80, "F16": 0x7C00, "F32": 0x7F800000, "F64": 0x7FF0000000000000}
_FRACTION = {"BF16": 0x007F, "F16": 0x03FF, "F32": 0x007FFFFF, "F64": 0x000FFFFFFFFFFFFF}

HEAD = "lm_head.weight"
EMBEDDINGS = ("model.embed_tokens.weight", "transformer.wte.weight", "gpt_neox.embed_in.weight")


def raw_values(info: TensorInfo) -> npt.NDArray[Any]:
    """A float tensor's bit patterns, flat, mapped from its file.

    Raises:
        UserError: the tensor holds no float16, bfloat16, float32 or float64 (quantised weights).
    """
    if info.dtype not in RAW:
        raise UserError(
            f"{info.file}: tensor {info.name!r} has dtype {info.dtype}; only "
            f"{', '.join(RAW)} weights can be compared and merged. Take the model's unquantised "
            "weights, or convert them"
        )
    return _mapped(info, RAW[info.dtype])


def _mapped(info: TensorInfo, dtype: np.dtype[Any]) -> npt.NDArray[Any]:
    if not info.nbytes:  # nothing cannot be mapped
        return np.empty(0, dtype)
    return np.memmap(info.file, dtype, "r", info.offset, (info.nbytes // dtype.itemsize,))


def to_float64(raw: npt.NDArray[Any], dtype: str) -> Floats:
    """Turn bit patterns of a float dtype into float64, exactly."""
    if dtype == "BF16":
        return (raw.astype(np.uint32) << np.uint32(16)).view(np.float32).astype(np.float64)
    native = {"F16": np.float16, "F32": np.float32, "F64": np.float64}[dtype]
    return raw.view(native).astype(np.float64)


def aligned(infos: Sequence[TensorInfo], chunk: int = CHUNK) -> Iterator[tuple[Floats, ...]]:
    """Yield stretches of equally shaped tensors side by side, as float64; dtypes may differ."""
    assert len({info.shape for info in infos}) == 1, "tensors of different shape"
    raw = [(raw_values(info), info.dtype) for info in infos]
    for start in range(0, infos[0].size, chunk):
        yield tuple(to_float64(bits[start : start + chunk], dtype) for bits, dtype in raw)


def same_bytes(a: TensorInfo, b: TensorInfo) -> bool:
    """Whether two tensors hold the same shape, dtype and bits."""
    if (a.shape, a.dtype) != (b.shape, b.dtype):
        return False
    byte = np.dtype(np.uint8)
    return np.array_equal(_mapped(a, byte), _mapped(b, byte))


def read_config(directory: Path) -> dict[str, Any]:
    """Read a checkpoint's ``config.json``; `UserError` where it is missing or no JSON object."""
    return read_object(directory / "config.json")


def is_tied(directory: Path, index: dict[str, TensorInfo]) -> bool:
    """Whether a checkpoint's input and output embeddings are one tensor.

    Where the config does not say, it shows in whether an output head is stored.
    """
    tied = read_config(directory).get("tie_word_embeddings")
    return HEAD not in index if tied is None else bool(tied)


def embeddings(index: dict[str, TensorInfo]) -> TensorInfo | None:
    """The input embeddings' entry, None where the architecture names them in another way."""
    return next((index[name] for name in EMBEDDINGS if name in index), None)


def without_tied_head(directory: Path, index: dict[str, TensorInfo]) -> dict[str, TensorInfo]:
    """Drop an output head that the config ties and that repeats the input embeddings' bytes.

    Some tools store a tied head a second time. One that differs stays: transformers 5 loads such a
    checkpoint untied.
    """
    head, source = index.get(HEAD), embeddings(index)
    if head is None or source is None or not is_tied(directory, index):
        return index
    if not same_bytes(head, source):
        return index
    return {name: info for name, info in index.items() if name != HEAD}


def check_same_tensors(directory: Path, like: Path) -> None:
    """Check that a checkpoint holds the tensors of another one in the same shapes, any dtype.

    Where both tie their embeddings, `lm_head.weight` may be stored in one and left out in the
    other.

    Raises:
        UserError: a missing or extra tensor or another shape, naming the first of them.
    """
    mine, theirs = read_index(directory), read_index(like)
    extra, missing = set(mine) - set(theirs), set(theirs) - set(mine)
    if HEAD in extra | missing and is_tied(directory, mine) and is_tied(like, theirs):
        extra.discard(HEAD)
        missing.discard(HEAD)
    for names, verb in ((missing, "lacks"), (extra, "holds an extra")):
        if names:
            more = f" (and {len(names) - 1} more)" if len(names) > 1 else ""
            raise UserError(
                f"{directory}: {verb} tensor {min(names)!r} compared with {like}{more}; the two "
                "are not the same architecture, or one was saved incompletely. Write it again "
                "from the same base model"
            )
    for name in sorted(set(mine) & set(theirs)):
        if mine[name].shape != theirs[name].shape:
            raise UserError(
                f"{mine[name].file}: tensor {name!r} has shape {list(mine[name].shape)}, but "
                f"{list(theirs[name].shape)} in {theirs[name].file}; only checkpoints of the same "
                "base model can be compared or merged"
            )


def check_finite(directory: Path) -> None:
    """Check that no weight is NaN or infinite, by bit patterns: no conversion, one pass.

    Raises:
        UserError: naming file, tensor, index and kind of the first bad element.
    """
    tensors = read_index(directory).values()
    total = sum(info.nbytes for info in tensors)
    title = f"finite? {directory.name}"
    with tqdm(total=total, unit="B", unit_scale=True, mininterval=1, desc=title) as bar:
        for info in tensors:
            bits = raw_values(info)
            exponent = bits.dtype.type(_EXPONENT[info.dtype])
            for start in range(0, info.size, CHUNK):
                bad = (bits[start : start + CHUNK] & exponent) == exponent
                if bad.any():
                    first = start + int(np.argmax(bad))
                    kind = "NaN" if int(bits[first]) & _FRACTION[info.dtype] else "infinity"
                    where = np.unravel_index(first, info.shape) if info.shape else ()
                    raise UserError(
                        f"{info.file}: tensor {info.name!r} holds {kind} at "
                        f"{[int(i) for i in where]}; the checkpoint is spoilt (diverged training, "
                        "overflow, or a damaged file). Make it again"
                    )
            bar.update(info.nbytes)


def check_dtypes(directories: Sequence[Path]) -> None:
    """Check that all tensors of all checkpoints have one dtype; `UserError` where not."""
    infos = [info for directory in directories for info in read_index(directory).values()]
    for info in infos:
        if info.dtype != infos[0].dtype:
            raise UserError(
                f"{info.file}: tensor {info.name!r} is {info.dtype}, but {infos[0].name!r} in "
                f"{infos[0].file} is {infos[0].dtype}; convert one of them, or name the `dtype` in "
                "which they shall be merged"
            )
