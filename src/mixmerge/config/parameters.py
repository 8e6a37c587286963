"""How many weights a model has, by its entry."""

from mixmerge.config.models import EmbeddedBase, Model
from mixmerge.embedded.settings import EmbeddedModel


def parameters_of(entry: Model) -> int | None:
    """Number of a model's weights; None where its entry does not tell."""
    if entry.parameters is None and isinstance(entry, EmbeddedBase):
        return embedded_parameters(entry.model)
    return entry.parameters


def embedded_parameters(model: EmbeddedModel) -> int:
    """Weights of a decoder with grouped attention and a gated feed-forward layer.

    Qwen2 has biases on queries, keys and values. The tokenizer may end with fewer tokens than
    `vocab_size` where the corpus has too few pairs to merge; this is the most there can be.
    """
    hidden = model.hidden_size
    keys = hidden // model.heads * model.kv_heads
    attention = 2 * hidden * hidden + 2 * hidden * keys
    if model.architecture == "qwen2":
        attention += hidden + 2 * keys
    layer = attention + 3 * hidden * model.intermediate_size + 2 * hidden
    embeddings = model.vocab_size * hidden * (1 if model.tie_embeddings else 2)
    return model.layers * layer + hidden + embeddings
