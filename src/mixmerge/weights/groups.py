"""Tensors by group (a transformer layer, or one of the rest), matched over several checkpoints."""

import re
from pathlib import Path

from mixmerge.artifacts.manifest import MANIFEST, read_manifest
from mixmerge.checkpoint.index import TensorInfo, read_index
from mixmerge.checkpoint.tensors import EMBEDDINGS, HEAD, embeddings, is_tied, same_bytes
from mixmerge.core.errors import UserError

#: `model.layers.7.mlp...` (Llama, Qwen, ...), `transformer.h.7.attn...` (GPT-2, GPT-BigCode).
_LAYER = re.compile(r"(?:^|\.)(?:layers|h|blocks)\.(\d+)\.")

#: A group's name and, if it is one, the layer's number.
Group = tuple[str, int | None]

_EMBEDDINGS = (*EMBEDDINGS, "transformer.wpe.weight")
_FINAL_NORM = re.compile(r"^(?:model|transformer|gpt_neox)\.(?:norm|ln_f|final_layer_?norm)\.")


def group_of(name: str) -> Group:
    """Group and layer number of a tensor, by its name.

    Returns:
        ``("layer.7", 7)``, or ``embeddings``, ``lm_head``, ``final_norm`` or ``other`` with None.
    """
    if match := _LAYER.search(name):
        layer = int(match.group(1))
        return f"layer.{layer}", layer
    if name in _EMBEDDINGS:
        return "embeddings", None
    if name.startswith("lm_head."):
        return "lm_head", None
    return ("final_norm" if _FINAL_NORM.match(name) else "other"), None


def order(group: Group) -> tuple[int, int]:
    """Sort key: embeddings, layers by number, final norm, output head, the rest."""
    name, layer = group
    ranks = {"embeddings": 0, "final_norm": 2, "lm_head": 3, "other": 4}
    return (1, layer) if layer is not None else (ranks[name], 0)


def align(directories: list[Path]) -> dict[str, list[TensorInfo]]:
    """Match the tensors of several checkpoints of one architecture.

    Embeddings that are tied in all of them count once: an output head that is left out or repeats
    the input embeddings is dropped. Where one checkpoint has a head of its own, the input
    embeddings stand for the missing ones.

    Args:
        directories: the checkpoints; the first one, the base, says which tensors there are.

    Returns:
        Name -> the tensor in each checkpoint, in the order of ``directories``; sorted by group.

    Raises:
        UserError: a broken checkpoint, one whose files are not those of its manifest, a missing or
            extra tensor, or another shape.
    """
    for directory in directories:
        if (directory / MANIFEST).exists():
            read_manifest(directory, "checkpoint")
    indexes = [read_index(directory) for directory in directories]
    tied = [_has_tied_head(d, index) for d, index in zip(directories, indexes, strict=True)]
    if all(tied):
        indexes = [{k: v for k, v in index.items() if k != HEAD} for index in indexes]
    for index, has_tied_head in zip(indexes, tied, strict=True):
        source = embeddings(index)
        if has_tied_head and not all(tied) and source is not None:
            index.setdefault(HEAD, source)
    base = indexes[0]
    for directory, index in zip(directories, indexes, strict=True):
        for name in sorted(set(base) ^ set(index)):
            verb = "lacks" if name in base else "holds an extra"
            raise UserError(
                f"{directory}: {verb} tensor {name!r} compared with {directories[0]}; only "
                "checkpoints of the same base model can be compared"
            )
        for name, info in index.items():
            if info.shape != base[name].shape:
                raise UserError(
                    f"{info.file}: tensor {name!r} has shape {list(info.shape)}, but "
                    f"{list(base[name].shape)} in {base[name].file}; only checkpoints of the same "
                    "base model can be compared"
                )
    names = sorted(base, key=lambda name: (order(group_of(name)), name))
    return {name: [index[name] for index in indexes] for name in names}


def _has_tied_head(directory: Path, index: dict[str, TensorInfo]) -> bool:
    """Whether the checkpoint's output head is its input embeddings."""
    source, head = embeddings(index), index.get(HEAD)
    if source is None or not is_tied(directory, index):
        return False
    return head is None or same_bytes(head, source)
