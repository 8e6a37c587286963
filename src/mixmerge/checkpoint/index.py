"""Index of a checkpoint directory: its tensors, from the headers of its safetensors files alone.

`safetensors` checks a file's header and length in milliseconds, without torch; where each tensor's
bytes lie then follows from the header (https://huggingface.co/docs/safetensors: 8 bytes header
length, a JSON header name -> dtype, shape, data_offsets, the data). Weights in pickles are told by
name or first bytes and refused: to unpickle a file is to run whatever program it holds, so nothing
here ever does, not even to look inside.
"""

import json
import math
from collections.abc import Iterable
from dataclasses import dataclass
from fnmatch import fnmatch
from pathlib import Path, PurePosixPath

from mixmerge.core.errors import UserError, not_a_file
from mixmerge.core.io import read_object

SINGLE = "model.safetensors"
INDEX = "model.safetensors.index.json"

#: Names of files that torch, JAX or scikit-learn write with pickle: weights, adapters, optimizers.
PICKLES = ("*.bin", "*.pt", "*.pth", "*.ckpt", "*.pkl", "*.pickle", "*.joblib", "*.dill")

#: How a pickle begins, and how the zip does in which torch keeps one since 2020.
_PICKLE_STARTS = (b"PK\x03\x04", b"\x80\x02", b"\x80\x03", b"\x80\x04", b"\x80\x05")
#: Bytes of the longest header that safetensors reads.
_MAX_HEADER = 100_000_000
_AGAIN = "fetch or write the checkpoint again"


@dataclass(frozen=True)
class TensorInfo:
    """Name, shape, dtype and place of one tensor."""

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
        kind = f" ({not_a_file(directory)})" if directory.is_symlink() else ""
        raise UserError(f"{directory}: no such checkpoint directory{kind}; mend the path")
    if (directory / INDEX).exists():
        tensors = _read_shards(directory, directory / INDEX)
    elif (directory / SINGLE).exists():
        tensors = read_header(directory / SINGLE)
    else:
        raise UserError(_no_weights(directory))
    return dict(sorted(tensors.items()))


def read_header(file: Path) -> dict[str, TensorInfo]:
    """Read one safetensors file's header.

    Raises:
        UserError: the file is missing, is no safetensors file, or is shorter or longer than its
            header says.
    """
    from safetensors import SafetensorError, safe_open

    try:
        with file.open("rb") as stream:
            magic = stream.read(8)
            length = int.from_bytes(magic, "little")
            # A header that claims to be longer than the file must not be allocated.
            text = stream.read(length) if length <= min(file.stat().st_size, _MAX_HEADER) else b""
        with safe_open(file, framework="np"):
            header = json.loads(text)
    except FileNotFoundError:
        raise UserError(f"{file}: file not found") from None
    except SafetensorError as error:
        raise UserError(_why_broken(file, magic, text, str(error))) from None
    header.pop("__metadata__", None)
    tensors = {}
    for name, entry in header.items():
        first, last = entry["data_offsets"]
        place = (file, 8 + length + first, last - first)
        tensors[name] = TensorInfo(name, tuple(entry["shape"]), entry["dtype"], *place)
    return tensors


def _why_broken(file: Path, magic: bytes, text: bytes, error: str) -> str:
    """What is wrong with a file that safetensors refuses.

    Args:
        file: the file.
        magic: its first eight bytes.
        text: its header, empty where that is longer than the file.
        error: what safetensors says of it.
    """
    length, size = int.from_bytes(magic, "little"), file.stat().st_size
    # A header of 640 bytes begins with 80 02, too.
    is_length = length <= _MAX_HEADER and magic[:2] != b"PK"
    if magic.startswith(_PICKLE_STARTS) and not is_length:
        return pickle_refusal(f"{file}: is no safetensors file whatever its name;", file.name)
    if size < 8 or (not text and length):
        return (
            f"{file}: not a whole safetensors file ({size} bytes, shorter than its own header); "
            "it was cut off or is no safetensors file. Fetch or write it again"
        )
    if "not fully covered" in error:
        ends = [e["data_offsets"][1] for k, e in json.loads(text).items() if k != "__metadata__"]
        expected = 8 + length + max(ends, default=0)
        kind = "truncated" if size < expected else "longer than its header says"
        return f"{file}: {kind}: {size} bytes, expected {expected}; fetch or write the file again"
    reason = " ".join(error.rpartition("header: ")[2].split())[:200]
    return f"{file}: broken safetensors header ({reason}); fetch or write the file again"


def _read_shards(directory: Path, index: Path) -> dict[str, TensorInfo]:
    """Follow an index file; every shard it names is read and checked once."""
    weight_map = read_object(index).get("weight_map")
    if not isinstance(weight_map, dict) or not weight_map:
        raise UserError(f"{index}: has no 'weight_map'; write the checkpoint again")
    for tensor, name in weight_map.items():
        if not isinstance(name, str) or not _is_shard(name):
            raise UserError(
                f"{index}: weight_map: {tensor[:80]!r} lies in {str(name)[:80]!r}, which is no "
                f"name of a .safetensors file beside it; {_AGAIN}"
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
            kind = not_a_file(directory / name).replace("file not found", "shard is missing")
            raise UserError(f"{directory / name}: {kind}, but {index.name} names it; {_AGAIN}")
        shards[name] = read_header(directory / name)
    for tensor, name in weight_map.items():
        if tensor not in shards[name]:
            raise UserError(
                f"{index}: says that {name} holds {tensor!r}, but it does not; {_AGAIN}"
            )
    for name, tensors in shards.items():
        for tensor in sorted(tensors):
            if weight_map.get(tensor) != name:
                raise UserError(
                    f"{index}: leaves out tensor {tensor!r}, which {name} holds; {_AGAIN}"
                )
    return {tensor: shards[name][tensor] for tensor, name in weight_map.items()}


def _is_shard(name: str) -> bool:
    """Whether a name is that of a safetensors file in the index's own directory."""
    return name.endswith(".safetensors") and name.isprintable() and not {"/", "\\"} & set(name)


def _no_weights(directory: Path) -> str:
    """Say what stands in the directory instead of whole safetensors weights."""
    if shards := sorted(directory.glob("*.safetensors")):
        return f"{directory}: holds {shards[0].name} but neither {SINGLE} nor {INDEX}; {_AGAIN}"
    if pickles := pickled(path.name for path in directory.iterdir()):
        return pickle_refusal(f"{directory}:", pickles[0])
    return f"{directory}: holds no weights (no {SINGLE}, no {INDEX})"


def pickled(names: Iterable[str]) -> list[str]:
    """Those of some file names that stand for pickles, weights of whole models first."""
    starts = ("pytorch_model", "model", "consolidated", "adapter_model")

    def rank(name: str) -> tuple[int, str]:
        leaf = PurePosixPath(name).name.lower()
        return next((i for i, s in enumerate(starts) if leaf.startswith(s)), len(starts)), name

    matches = [name for name in names if any(fnmatch(name.lower(), p) for p in PICKLES)]
    return sorted(matches, key=rank)


def pickle_refusal(where: str, name: str) -> str:
    """The one message about a checkpoint that only pickles hold.

    Args:
        where: the directory, or the config's field and the repository.
        name: the first of the files.
    """
    way = (
        "choose a revision with safetensors, or convert it once where it can do no harm (a "
        "container without network and without your files): "
        "python -c \"from transformers import AutoModelForCausalLM as M; M.from_pretrained('IN', "
        "use_safetensors=False).save_pretrained('OUT')\", copy the tokenizer's files and "
        "generation_config.json to OUT, and use kind 'local' with path OUT"
    )
    leaf = PurePosixPath(name)
    if leaf.name.startswith("adapter_model"):
        way = "merge the adapter into its base model, save that with save_pretrained, and name it"
    elif leaf.name.startswith("consolidated"):
        way = (
            "take the repository that its authors publish for transformers, or convert it with the "
            "model family's own script where it can do no harm, and name the safetensors' directory"
        )
    elif leaf.stem in ("optimizer", "scheduler", "rng_state", "training_args"):
        way = "it is what a training left behind, and no model; name the model's own directory"
    return (
        f"{where} holds no safetensors weights, only pickles ({name}), and a pickle may run any "
        f"code when it is read, so it is never opened here; {way}"
    )


def parameter_count(index: dict[str, TensorInfo]) -> int:
    """Number of elements of all tensors listed."""
    return sum(info.size for info in index.values())


def weight_files(index: dict[str, TensorInfo]) -> list[Path]:
    """The safetensors files that hold the tensors listed, sorted."""
    return sorted({info.file for info in index.values()})
