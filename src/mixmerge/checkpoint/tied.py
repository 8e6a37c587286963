"""Tied embeddings: when input and output embeddings are one tensor.

A checkpoint of a tied model normally stores the input embeddings only. Some tools store the same
bytes a second time as ``lm_head.weight``; transformers 5 then ties them only where they are equal.
"""

from pathlib import Path
from typing import Any

from mixmerge.checkpoint.index import TensorInfo
from mixmerge.checkpoint.stream import same_bytes
from mixmerge.core.io import read_object

HEAD = "lm_head.weight"
EMBEDDINGS = ("model.embed_tokens.weight", "transformer.wte.weight", "gpt_neox.embed_in.weight")


def read_config(directory: Path) -> dict[str, Any]:
    """Read a checkpoint's ``config.json``; `UserError` where it is missing or no JSON object."""
    return read_object(directory / "config.json")


def is_tied(directory: Path, index: dict[str, TensorInfo]) -> bool:
    """Whether a checkpoint's embeddings are tied.

    Where the config does not say, its architecture's default decides, and that shows in whether an
    output head is stored.
    """
    said = read_config(directory).get("tie_word_embeddings")
    return HEAD not in index if said is None else bool(said)


def embeddings(index: dict[str, TensorInfo]) -> TensorInfo | None:
    """The input embeddings' entry, None where the architecture names them in another way."""
    return next((index[name] for name in EMBEDDINGS if name in index), None)


def without_tied_head(directory: Path, index: dict[str, TensorInfo]) -> dict[str, TensorInfo]:
    """Drop an output head that the config ties and that repeats the input embeddings' bytes.

    A head that differs stays: transformers loads such a checkpoint untied.
    """
    head, source = index.get(HEAD), embeddings(index)
    if head is None or source is None or not is_tied(directory, index):
        return index
    if not same_bytes(head, source):
        return index
    return {name: info for name, info in index.items() if name != HEAD}
