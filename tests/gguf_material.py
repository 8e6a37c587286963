"""A small real GGUF model, by the gguf library's own writer."""

from pathlib import Path
from typing import Any

import numpy as np

from mixmerge.config.models import GgufModel

HIDDEN, HEADS, KV_HEADS, FEED, LAYERS = 64, 4, 2, 96, 2
TEMPLATE = "{% for message in messages %}{{ message['content'] + '<|im_end|>' }}{% endfor %}"


def tokens() -> list[str]:
    """Three special tokens, the byte alphabet of GPT-2, and runs of blanks after a line break."""
    from transformers.convert_slow_tokenizer import bytes_to_unicode

    return [
        *("<|endoftext|>", "<|im_start|>", "<|im_end|>"),
        *sorted(bytes_to_unicode().values()),
        *("ĠĠ", "ĠĠĠĠ", "ĊĠĠĠĠ"),
    ]


def write_gguf(file: Path, pre: str = "smollm") -> dict[str, np.ndarray]:
    """A two-layer Llama with Q8_0 and F32 tensors, by the gguf library's writer.

    Returns:
        Name -> the values a reader must find: what quantising left of them.
    """
    from gguf import GGMLQuantizationType, GGUFWriter, quants

    random = np.random.default_rng(1)
    vocabulary = tokens()
    writer = GGUFWriter(file, "llama")
    writer.add_block_count(LAYERS)
    writer.add_context_length(128)
    writer.add_embedding_length(HIDDEN)
    writer.add_feed_forward_length(FEED)
    writer.add_head_count(HEADS)
    writer.add_head_count_kv(KV_HEADS)
    writer.add_rope_dimension_count(HIDDEN // HEADS)
    writer.add_rope_freq_base(10000.0)
    writer.add_layer_norm_rms_eps(1e-5)
    writer.add_vocab_size(len(vocabulary))
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre(pre)
    writer.add_token_list(vocabulary)
    writer.add_token_types([3] * 3 + [1] * (len(vocabulary) - 3))
    writer.add_token_merges(["Ġ Ġ", "ĠĠ ĠĠ", "Ċ ĠĠĠĠ"])
    writer.add_bos_token_id(1)
    writer.add_eos_token_id(2)
    writer.add_pad_token_id(2)
    writer.add_unk_token_id(0)
    writer.add_add_bos_token(False)
    writer.add_add_space_prefix(False)
    writer.add_chat_template(TEMPLATE)
    shapes = {"token_embd": (len(vocabulary), HIDDEN), "output_norm": (HIDDEN,)}
    head = HIDDEN // HEADS
    for layer in range(LAYERS):
        shapes |= {
            f"blk.{layer}.attn_norm": (HIDDEN,),
            f"blk.{layer}.ffn_norm": (HIDDEN,),
            f"blk.{layer}.attn_q": (HEADS * head, HIDDEN),
            f"blk.{layer}.attn_k": (KV_HEADS * head, HIDDEN),
            f"blk.{layer}.attn_v": (KV_HEADS * head, HIDDEN),
            f"blk.{layer}.attn_output": (HIDDEN, HEADS * head),
            f"blk.{layer}.ffn_gate": (FEED, HIDDEN),
            f"blk.{layer}.ffn_up": (FEED, HIDDEN),
            f"blk.{layer}.ffn_down": (HIDDEN, FEED),
        }
    expected = {}
    for name, shape in shapes.items():
        values = random.normal(0, 0.1, shape).astype(np.float32)
        if len(shape) == 1:
            writer.add_tensor(f"{name}.weight", values)
            expected[name] = values
            continue
        packed = quants.quantize(values, GGMLQuantizationType.Q8_0)
        writer.add_tensor(f"{name}.weight", packed, raw_dtype=GGMLQuantizationType.Q8_0)
        expected[name] = quants.dequantize(packed, GGMLQuantizationType.Q8_0)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return expected


def model_of(**values: Any) -> GgufModel:
    """A model's section of the config."""
    return GgufModel.model_validate({"kind": "gguf", **values})
