"""Settings of base checkpoints that the workflow makes itself."""

from typing import Literal, Self

from pydantic import Field, model_validator

from mixmerge.core.section import Section


class EmbeddedModel(Section):
    """Architecture of a small language model, and how it is pre-trained."""

    architecture: Literal["qwen2", "llama"]
    """Model class; it also picks the family's tokenizer, special tokens and chat template."""

    hidden_size: int = Field(default=128, gt=0)
    """Width of the residual stream; a multiple of `heads`."""

    intermediate_size: int = Field(default=512, gt=0)
    """Width of the gated feed-forward layer."""

    layers: int = Field(default=4, gt=0)
    """Number of decoder layers."""

    heads: int = Field(default=4, gt=0)
    """Attention heads."""

    kv_heads: int = Field(default=2, gt=0)
    """Key and value heads; a divisor of `heads`."""

    vocab_size: int = Field(default=1024, ge=300)
    """Tokens at most: 256 bytes, the special tokens, and the merges learned from the corpus."""

    tie_embeddings: bool = True
    """Whether the output layer is the embedding table."""

    context: int = Field(default=512, gt=0)
    """Longest sequence in tokens (`max_position_embeddings`)."""

    steps: int = Field(default=700, gt=0)
    """Optimiser steps of pre-training."""

    batch_tokens: int = Field(default=1024, gt=0)
    """Tokens in one step at most, padding included; documents of like length share a batch."""

    learning_rate: float = Field(default=5e-3, gt=0)
    """Peak rate of AdamW, reached after `warmup` and brought down to a tenth along a cosine."""

    warmup: float = Field(default=0.05, ge=0, lt=1)
    """Share of the steps in which the rate rises."""

    weight_decay: float = Field(default=0.1, ge=0)
    """AdamW's decay of matrices; vectors (norms, biases) are left alone."""

    @model_validator(mode="after")
    def _check_shape(self) -> Self:
        if self.hidden_size % (2 * self.heads):
            raise ValueError(
                f"hidden_size: {self.hidden_size} is not a multiple of 2 x heads ({self.heads}); "
                "rotary embeddings need an even head size"
            )
        if self.heads % self.kv_heads:
            raise ValueError(f"kv_heads: {self.kv_heads} does not divide heads ({self.heads})")
        if self.batch_tokens < self.context:
            raise ValueError(
                f"batch_tokens: {self.batch_tokens} is less than context ({self.context}); "
                "a document of full length would fit no batch"
            )
        return self

    def parameters(self) -> int:
        """Number of weights: a decoder with grouped attention and a gated feed-forward layer.

        Qwen2 has biases on queries, keys and values. The tokenizer may end with fewer tokens than
        `vocab_size` where the corpus has too few pairs to merge; this is the most there can be.
        """
        hidden = self.hidden_size
        keys = hidden // self.heads * self.kv_heads
        attention = 2 * hidden * hidden + 2 * hidden * keys
        if self.architecture == "qwen2":
            attention += hidden + 2 * keys
        layer = attention + 3 * hidden * self.intermediate_size + 2 * hidden
        embeddings = self.vocab_size * hidden * (1 if self.tie_embeddings else 2)
        return self.layers * layer + hidden + embeddings
