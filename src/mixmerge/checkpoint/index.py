"""Index of a checkpoint directory: its tensors, from the headers of its safetensors files alone.

Weights in pickles are told by name or first bytes and refused: to unpickle a file is to run
whatever program it holds.
"""

import json
import math
import re
from collections.abc import Iterable
from dataclasses import dataclass
from fnmatch import fnmatch
from pathlib import Path, PurePosixPath

from mixmerge.core.errors import UserError, not_a_file, one_line
from mixmerge.core.io import read_json

SINGLE = "model.safetensors"
INDEX = "model.safetensors.index.json"
_SHARD = re.compile(r"[^/\\]+\.safetensors")

#: Names of files that torch, JAX or scikit-learn write with pickle: weights, adapters, optimizers.
_PICKLES = ("*.bin", "*.pt", "*.pth", "*.ckpt", "*.pkl", "*.pickle", "*.joblib", "*.dill")
#: How a pickle begins, or the zip in which torch keeps one since 2020.
_PICKLE_STARTS = (b"PK\x03\x04", b"\x80\x02", b"\x80\x03", b"\x80\x04", b"\x80\x05")
_OF_TRAINING = ("optimizer.", "scheduler.", "rng_state.", "training_args.")
#: The way out by how a pickle's name begins.
_WAYS = {
    "adapter_model": "merge the adapter into its base, save that with save_pretrained, and name it",
    "consolidated": "take the repository that its authors publish for transformers",
    **dict.fromkeys(_OF_TRAINING, "a training left it; name the model's own directory"),
    "": "choose a revision with safetensors, or convert it once in a container without network and "
    'without your files: python -c "from transformers import AutoModelForCausalLM as M; '
    "M.from_pretrained('IN', use_safetensors=False).save_pretrained('OUT')\", copy the tokenizer's "
    "files and generation_config.json to OUT, and use kind 'local' with path OUT",
}
#: Bytes of the longest header that safetensors reads.
_MAX_HEADER = 100_000_000
_AGAIN = "fetch or write the checkpoint again"


@dataclass(frozen=True)
class TensorInfo:
    """Name, shape and dtype (such as ``BF16``) of a tensor, and where its data lie in a file."""

    name: str
    shape: tuple[int, ...]
    dtype: str
    file: Path
    offset: int
    nbytes: int

    @property
    def size(self) -> int:
        """Number of elements."""
        return math.prod(self.shape)


def read_index(directory: Path) -> dict[str, TensorInfo]:
    """List the tensors of a checkpoint, sorted by name; `UserError` where it isn't whole."""
    if not directory.is_dir():
        kind = f" ({not_a_file(directory)})" if directory.is_symlink() else ""
        raise UserError(f"{directory}: no such checkpoint directory{kind}; mend the path")
    if (directory / INDEX).exists():
        tensors = _read_shards(directory, directory / INDEX)
    elif (directory / SINGLE).exists():
        tensors = read_header(directory / SINGLE)
    else:
        raise no_weights(f"{directory}:", (path.name for path in directory.iterdir()))
    return dict(sorted(tensors.items()))


def read_header(file: Path) -> dict[str, TensorInfo]:
    """Read one safetensors file's header (https://huggingface.co/docs/safetensors).

    Raises `UserError` where the file is none, or shorter or longer than its header says.
    """
    from safetensors import SafetensorError, safe_open

    try:
        # safetensors takes whatever cannot be opened for a file that is not there.
        with file.open("rb") as stream:
            start = stream.read(8)
            length = int.from_bytes(start, "little")
            with safe_open(file, framework="np"):
                header = json.loads(stream.read(length))
    except FileNotFoundError:
        raise UserError(f"{file}: file not found; {_AGAIN}") from None
    except SafetensorError as error:
        # A header of 640 bytes begins as a pickle does, but claims no more than it could have.
        if start.startswith(_PICKLE_STARTS) and (length > _MAX_HEADER or start[:2] == b"PK"):
            where = f"{file}: is no safetensors file whatever its name;"
            raise pickle_refusal(where, file.name) from None
        reason = one_line(str(error).rpartition("header: ")[2], 200)
        raise UserError(
            f"{file}: cut off, damaged, or no safetensors file ({file.stat().st_size} bytes; "
            f"{reason}); fetch or write the file again"
        ) from None
    header.pop("__metadata__", None)
    tensors = {}
    for name, entry in header.items():
        first, last = entry["data_offsets"]
        place = (file, 8 + length + first, last - first)
        tensors[name] = TensorInfo(name, tuple(entry["shape"]), entry["dtype"], *place)
    return tensors


def _read_shards(directory: Path, index: Path) -> dict[str, TensorInfo]:
    """Follow an index file; every shard that it names is read once."""
    weight_map = read_json(index).get("weight_map")
    if not isinstance(weight_map, dict) or not weight_map:
        raise UserError(f"{index}: has no 'weight_map'; {_AGAIN}")
    for tensor, name in weight_map.items():
        if not (isinstance(name, str) and name.isprintable() and _SHARD.fullmatch(name)):
            problem = f"{tensor[:80]!r} lies in {str(name)[:80]!r}, which is no .safetensors file"
            raise UserError(f"{index}: weight_map: {problem} beside it; {_AGAIN}")
    names = sorted(set(weight_map.values()))
    if (directory / SINGLE).exists() and SINGLE not in names:
        problem = f"holds both {SINGLE} and {INDEX}, which name different weights"
        raise UserError(f"{directory}: {problem}; delete the one that is out of date")
    tensors: dict[str, TensorInfo] = {}
    for name in names:
        if not (directory / name).is_file():
            kind = not_a_file(directory / name).replace("file not found", "shard is missing")
            raise UserError(f"{directory / name}: {kind}, but {index.name} names it; {_AGAIN}")
        shard = read_header(directory / name)
        listed = {tensor for tensor, file in weight_map.items() if file == name}
        if different := listed ^ shard.keys():
            tensor = min(different)
            fault = f"says that {name} holds {tensor!r}, but it does not"
            if tensor in shard:
                fault = f"leaves out tensor {tensor!r}, which {name} holds"
            raise UserError(f"{index}: {fault}; {_AGAIN}")
        tensors |= shard
    return tensors


def no_weights(where: str, names: Iterable[str]) -> UserError:
    """What to say of a place whose files, of these names, are no weights that could be read."""
    starts = ("pytorch_model", "model", "consolidated", "adapter_model")  # whole models first
    leaves = {name: PurePosixPath(name).name.lower() for name in sorted(names)}
    held = sorted(leaves, key=lambda name: [not leaves[name].startswith(start) for start in starts])
    shards = [name for name in held if name.endswith(".safetensors") and "/" not in name]
    pickles = [name for name in held if any(fnmatch(leaves[name], p) for p in _PICKLES)]
    if pickles and not shards:
        return pickle_refusal(where, pickles[0])
    others = [*shards, *(name for name in held if name.endswith((".gguf", ".h5")))]
    what = f"holds {others[0]} but" if others else "holds no weights,"
    way = "choose a model in transformers' layout, or write it with save_pretrained (kind 'local')"
    return UserError(f"{where} {what} neither {SINGLE} nor {INDEX}; {way}")


def pickle_refusal(where: str, name: str) -> UserError:
    """What to say of a checkpoint at ``where`` that only pickles, such as ``name``, hold."""
    way = next(way for start, way in _WAYS.items() if PurePosixPath(name).name.startswith(start))
    return UserError(
        f"{where} holds no safetensors weights, only pickles ({name}), and a pickle may run any "
        f"code when it is read, so it is never opened here; {way}"
    )
