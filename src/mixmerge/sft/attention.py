"""Attention over packed rows: each sample by itself, never across a boundary.

A packed batch is one long row of samples. transformers' ``sdpa`` would build a block-diagonal mask
and compute all L x L scores of the row, of which nearly all are masked: at 8 rows of 512 tokens a
training step takes 6 times as long on a CPU. FlashAttention's variable-length kernels do the same
as this, and are used instead where they are installed.
"""

from typing import Any

#: Name under which transformers finds the function (`attn_implementation`).
SAMPLEWISE = "mixmerge_samplewise"


def register() -> None:
    """Make ``attn_implementation="mixmerge_samplewise"`` known to transformers."""
    from transformers import AttentionInterface

    AttentionInterface.register(SAMPLEWISE, samplewise_attention)


def samplewise_attention(
    module: Any,
    query: Any,
    key: Any,
    value: Any,
    attention_mask: Any,
    dropout: float = 0.0,
    scaling: float | None = None,
    cu_seq_lens_q: Any = None,
    **kwargs: Any,
) -> tuple[Any, None]:
    """Causal attention within each sample of a packed row.

    Args:
        module: the attention layer.
        query: (1, heads, tokens, head size).
        key: (1, key-value heads, tokens, head size).
        value: as ``key``.
        attention_mask: always None: transformers makes no mask for an implementation it does not
            know, and none is needed.
        dropout: attention dropout.
        scaling: factor on the scores; 1 / sqrt(head size) by default.
        cu_seq_lens_q: (samples + 1), the boundaries, from TRL's padding-free collator.
        kwargs: what other implementations take; a sliding window is refused.

    Returns:
        (1, tokens, heads, head size), and no attention weights.
    """
    import torch
    from torch.nn.functional import scaled_dot_product_attention

    assert cu_seq_lens_q is not None and query.shape[0] == 1, "rows must come packed"
    lengths = cu_seq_lens_q.diff().tolist()
    window = kwargs.get("sliding_window")
    assert not window or max(lengths) <= window, "sliding windows are not supported here"
    outputs = [
        scaled_dot_product_attention(
            q, k, v, dropout_p=dropout, is_causal=True, scale=scaling, enable_gqa=True
        )
        for q, k, v in zip(
            query.split(lengths, 2), key.split(lengths, 2), value.split(lengths, 2), strict=True
        )
    ]
    return torch.cat(outputs, dim=2).transpose(1, 2).contiguous(), None
