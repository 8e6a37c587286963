"""The weights of a Trainer checkpoint as they are published: cast, folded, in shards."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from mixmerge.checkpoint.index import INDEX, SINGLE, TensorInfo, read_index
from mixmerge.checkpoint.tensors import HEAD
from mixmerge.core.errors import UserError
from mixmerge.core.io import read_json, write_json

#: Bytes a shard; bounds the memory of writing one, and of whoever reads the shards one by one.
SHARD_BYTES = 2_000_000_000
_ADAPTER = "adapter_model.safetensors"
_PREFIX = "base_model.model."


def write_weights(base: Path, checkpoint: Path, target: Path, precision: str) -> None:
    """Write the weights of a Trainer checkpoint in the base's names and order.

    Args:
        base: gives the names, and under LoRA the weights that the adapters are added to.
        checkpoint: ``checkpoint-N`` of the Trainer, with full weights or adapters.
        target: directory that gets ``model.safetensors``, or shards and their index.
        precision: ``bf16`` or ``fp32``.

    Raises:
        UserError: a tensor of the base that the checkpoint lacks, or an adapter without a target.
    """
    import torch

    dtype = torch.bfloat16 if precision == "bf16" else torch.float32
    index = read_index(base)
    if (checkpoint / _ADAPTER).exists():
        read = _folding_reader(index, checkpoint)
    else:
        read = _reader(read_index(checkpoint), checkpoint)
        # A tied output head is stored or not as the library likes; it goes with the embedding.
        if HEAD in index and HEAD not in read_index(checkpoint):
            del index[HEAD]
    _write_shards(target, ((name, read(name).to(dtype).contiguous()) for name in index))


def _reader(index: dict[str, TensorInfo], where: Path) -> Callable[[str], Any]:
    from safetensors import safe_open

    files: dict[Path, Any] = {}

    def read(name: str) -> Any:
        if name not in index:
            raise UserError(
                f"{where}: lacks tensor {name!r} of the base model; training saved an incomplete "
                "model. Delete the scratch directory and run again"
            )
        path = index[name].file
        if path not in files:
            files[path] = safe_open(path, framework="pt")
        return files[path].get_tensor(name)

    return read


def _folding_reader(index: dict[str, TensorInfo], checkpoint: Path) -> Callable[[str], Any]:
    """Read base weights with the adapters added: W + (alpha / r) B A, computed in fp32.

    Hu et al., LoRA, arXiv 2106.09685, equation 3.
    """
    from safetensors.torch import load_file

    config = read_json(checkpoint / "adapter_config.json")
    scale = config["lora_alpha"] / config["r"]
    factors = load_file(checkpoint / _ADAPTER)
    targets = {}
    for key in factors:
        if key.endswith(".lora_A.weight"):
            stem = key.removesuffix(".lora_A.weight")
            targets[stem.removeprefix(_PREFIX) + ".weight"] = stem
    used = {f"{stem}.lora_{side}.weight" for stem in targets.values() for side in "AB"}
    strangers = sorted((set(targets) - set(index)) or (set(factors) - used))
    if strangers or not targets:
        raise UserError(
            f"{checkpoint / _ADAPTER}: cannot be folded into the base: "
            f"{strangers[0] if strangers else 'it holds no adapter'}; check sft.lora.targets"
        )
    read_base = _reader(index, checkpoint)

    def read(name: str) -> Any:
        weight = read_base(name)
        if name not in targets:
            return weight
        a, b = (factors[f"{targets[name]}.lora_{side}.weight"].float() for side in "AB")
        return weight.float() + scale * (b @ a)

    return read


def _write_shards(target: Path, tensors: Iterator[tuple[str, Any]]) -> None:
    """Write tensors as they come, holding one shard in memory."""
    from safetensors.torch import save_file

    shards: list[list[str]] = []
    total = 0

    def write(shard: dict[str, Any]) -> None:
        save_file(shard, target / f"part-{len(shards)}", metadata={"format": "pt"})
        shards.append(list(shard))

    shard: dict[str, Any] = {}
    size = 0
    for name, tensor in tensors:
        if shard and size + tensor.nbytes > SHARD_BYTES:
            write(shard)
            shard, size = {}, 0
        shard[name] = tensor
        size += tensor.nbytes
        total += tensor.nbytes
    write(shard)
    if len(shards) == 1:
        (target / "part-0").rename(target / SINGLE)
        return
    weight_map: dict[str, str] = {}
    for number, names in enumerate(shards):
        file = f"model-{number + 1:05d}-of-{len(shards):05d}.safetensors"
        (target / f"part-{number}").rename(target / file)
        weight_map |= dict.fromkeys(names, file)
    write_json(target / INDEX, {"metadata": {"total_size": total}, "weight_map": weight_map})
