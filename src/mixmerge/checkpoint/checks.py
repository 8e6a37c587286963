"""Checks of whole checkpoints, each ending in one message that names file and tensor.

MergeKit, transformers and torch let most of these through: NaN spreads over a tensor, flipped bytes
are just other numbers, and another tokenizer of the same size is another language.
"""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from tqdm import tqdm

from mixmerge.checkpoint.index import TensorInfo, read_index
from mixmerge.checkpoint.stream import raw_chunks
from mixmerge.checkpoint.tied import HEAD, is_tied
from mixmerge.core.errors import UserError

#: Bits of a float's exponent, by dtype; all set means NaN or infinity.
_EXPONENT = {"BF16": 0x7F80, "F16": 0x7C00, "F32": 0x7F800000, "F64": 0x7FF0000000000000}

#: Bits of its fraction; any set beside a full exponent means NaN.
_FRACTION = {"BF16": 0x007F, "F16": 0x03FF, "F32": 0x007FFFFF, "F64": 0x000FFFFFFFFFFFFF}


def check_same_tensors(directory: Path, like: Path) -> None:
    """Check that a checkpoint holds the tensors of another one, in the same shapes.

    Where both tie their embeddings, `lm_head.weight` may be stored in one and left out in the
    other. Dtypes may differ.

    Args:
        directory: the checkpoint to check.
        like: the one it should resemble, usually the base model.

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
            raise UserError(
                f"{directory}: {verb} tensor {min(names)!r} compared with {like}"
                f"{_more(len(names) - 1)}; the two are not the same architecture, or one was "
                "saved incompletely. Write it again from the same base model"
            )
    for name in sorted(set(mine) & set(theirs)):
        if mine[name].shape != theirs[name].shape:
            raise UserError(
                f"{mine[name].file}: tensor {name!r} has shape {list(mine[name].shape)}, but "
                f"{list(theirs[name].shape)} in {theirs[name].file}; only checkpoints of the same "
                "base model can be compared or merged"
            )


def check_finite(directory: Path) -> None:
    """Check that no weight is NaN or infinite; streams the files.

    Raises:
        UserError: naming file, tensor, index and kind of the first bad element.
    """
    tensors = read_index(directory).values()
    total = sum(info.nbytes for info in tensors)
    with tqdm(
        total=total, unit="B", unit_scale=True, mininterval=1, desc=f"finite? {directory.name}"
    ) as bar:
        for info in tensors:
            _check_tensor_finite(info)
            bar.update(info.nbytes)


def _check_tensor_finite(info: TensorInfo) -> None:
    """Look at bit patterns instead of values: no conversion, one pass."""
    position = 0
    for raw in raw_chunks(info):
        exponent = raw.dtype.type(_EXPONENT[info.dtype])
        bad = (raw & exponent) == exponent
        if bad.any():
            first = int(np.argmax(bad))
            is_nan = int(raw[first]) & _FRACTION[info.dtype]
            where = np.unravel_index(position + first, info.shape) if info.shape else ()
            raise UserError(
                f"{info.file}: tensor {info.name!r} holds {'NaN' if is_nan else 'infinity'} at "
                f"{[int(i) for i in where]}; the checkpoint is spoilt (diverged training, "
                "overflow, or a damaged file). Make it again"
            )
        position += len(raw)


def check_dtypes(directories: Sequence[Path]) -> None:
    """Check that all tensors of all checkpoints have one and the same dtype.

    Raises:
        UserError: naming two tensors whose dtypes differ.
    """
    first: TensorInfo | None = None
    for directory in directories:
        for info in read_index(directory).values():
            first = first or info
            if info.dtype != first.dtype:
                raise UserError(
                    f"{info.file}: tensor {info.name!r} is {info.dtype}, but {first.name!r} in "
                    f"{first.file} is {first.dtype}; convert one of them, or name the `dtype` in "
                    "which they shall be merged"
                )


def _more(count: int) -> str:
    return f" (and {count} more)" if count > 0 else ""
