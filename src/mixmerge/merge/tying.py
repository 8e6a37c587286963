"""Keeping tied embeddings tied.

Where an input stores a copy of its tied embeddings as ``lm_head.weight``, MergeKit merges that copy
by itself, with random masks of its own for DARE and DELLA. The two then differ, and transformers
loads such a checkpoint untied.
"""

from pathlib import Path

from mixmerge.checkpoint.index import INDEX, read_header, read_index
from mixmerge.checkpoint.tied import HEAD, is_tied
from mixmerge.core.io import read_json, write_json


def drop_tied_head(directory: Path) -> None:
    """Remove the output head of a merged checkpoint whose config ties it to the embeddings."""
    index = read_index(directory)
    if HEAD not in index or not is_tied(directory, index):
        return
    from safetensors.torch import load_file, save_file

    shard = index[HEAD].file
    tensors = {name: tensor for name, tensor in load_file(shard).items() if name != HEAD}
    if tensors:
        save_file(tensors, shard, metadata={"format": "pt"})
    else:
        shard.unlink()
    listing = directory / INDEX
    if listing.exists():
        content = read_json(listing)
        del content["weight_map"][HEAD]
        content["metadata"]["total_size"] -= index[HEAD].nbytes
        write_json(listing, content)
    else:
        assert read_header(shard), "a checkpoint of an output head only"
