"""Checks of the base checkpoint and its tokenizer, made before anything is trained."""

from pathlib import Path

from mixmerge.checkpoint.index import parameter_count, read_index
from mixmerge.checkpoint.tensors import check_finite, embeddings, without_tied_head
from mixmerge.core.errors import UserError
from mixmerge.core.io import read_json
from mixmerge.sft.encoding import Encoder


def check_base(base: Path, encoder: Encoder) -> tuple[int, int]:
    """Check weights and vocabulary of the checkpoint that training starts from.

    Args:
        base: checkpoint directory.
        encoder: from its tokenizer.

    Returns:
        Number of parameters (tied ones once), and rows of the embedding.

    Raises:
        UserError: a missing shard, a truncated file, NaN or infinite weights, or a tokenizer with
            more tokens than the embedding has rows.
    """
    index = read_index(base)
    check_finite(base)
    embedding = embeddings(index)
    if embedding is None:
        raise UserError(
            f"{base}: no input embedding under a known name among its tensors "
            f"({', '.join(list(index)[:3])}, ...); this architecture is not supported"
        )
    rows = embedding.shape[0]
    if len(encoder.tokenizer) > rows:
        raise UserError(
            f"{base}: the tokenizer has {len(encoder.tokenizer)} tokens, but the embedding "
            f"({embedding.name}) only {rows} rows; tokenizer and weights do not belong together. "
            "Take both from the same revision"
        )
    return parameter_count(without_tied_head(base, index)), rows


def check_length(base: Path, max_length: int) -> None:
    """Check that rows of ``max_length`` tokens have positions in the base model.

    Raises:
        UserError: the model was not made for sequences that long.
    """
    positions = read_json(base / "config.json").get("max_position_embeddings")
    if isinstance(positions, int) and max_length > positions:
        raise UserError(
            f"{base / 'config.json'}: max_position_embeddings is {positions}, but sft.max_length "
            f"is {max_length}: the model has no positions for rows that long. Set max_length to "
            f"{positions} or less, in `sft` or in the model's own `sft`"
        )
