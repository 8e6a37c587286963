"""Small real checkpoints for tests: Qwen2 (tied) and Llama (untied), written without torch."""

import json
from pathlib import Path
from typing import Any

import numpy as np

HIDDEN, INNER, LAYERS, HEADS, KV, VOCAB = 32, 48, 3, 4, 2, 260
TEMPLATE = (
    "{% for m in messages %}<|{{ m['role'] }}|>{{ m['content'] }}<|end|>{% endfor %}"
    "{% if add_generation_prompt %}<|assistant|>{% endif %}"
)
SPECIAL = ("<|end|>", "<|user|>", "<|assistant|>", "<|system|>")
ITEMS = {"F64": np.float64, "F32": np.float32, "F16": np.float16}


def encode(values: np.ndarray, dtype: str) -> bytes:
    """Bytes of a tensor in a safetensors dtype (bfloat16: rounded to nearest even)."""
    if dtype != "BF16":
        return np.ascontiguousarray(values, ITEMS[dtype]).tobytes()
    bits = np.ascontiguousarray(values, np.float32).view(np.uint32).astype(np.uint64)
    rounded = (bits + 0x7FFF + ((bits >> 16) & 1)) >> 16
    special = ~np.isfinite(values)
    rounded = np.where(
        special, (bits >> 16) | np.where(np.isnan(values), 0x40, 0).astype(np.uint64), rounded
    )
    return rounded.astype("<u2").tobytes()


def write_file(path: Path, tensors: dict[str, tuple[np.ndarray, str]]) -> None:
    """Write one safetensors file."""
    header: dict[str, Any] = {"__metadata__": {"format": "pt"}}
    data, offset = [], 0
    for name, (values, dtype) in tensors.items():
        raw = encode(values, dtype)
        header[name] = {
            "dtype": dtype,
            "shape": list(values.shape),
            "data_offsets": [offset, offset + len(raw)],
        }
        data.append(raw)
        offset += len(raw)
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    path.write_bytes(len(text).to_bytes(8, "little") + text + b"".join(data))


def shapes(family: str) -> dict[str, tuple[int, ...]]:
    """Names and shapes of a family's tensors."""
    found: dict[str, tuple[int, ...]] = {"model.embed_tokens.weight": (VOCAB, HIDDEN)}
    width = HIDDEN // HEADS * KV
    for layer in range(LAYERS):
        at = f"model.layers.{layer}."
        for name, rows in (("q", HIDDEN), ("k", width), ("v", width)):
            found[f"{at}self_attn.{name}_proj.weight"] = (rows, HIDDEN)
            if family == "qwen2":
                found[f"{at}self_attn.{name}_proj.bias"] = (rows,)
        found[f"{at}self_attn.o_proj.weight"] = (HIDDEN, HIDDEN)
        found[f"{at}mlp.gate_proj.weight"] = (INNER, HIDDEN)
        found[f"{at}mlp.up_proj.weight"] = (INNER, HIDDEN)
        found[f"{at}mlp.down_proj.weight"] = (HIDDEN, INNER)
        found[f"{at}input_layernorm.weight"] = (HIDDEN,)
        found[f"{at}post_attention_layernorm.weight"] = (HIDDEN,)
    found["model.norm.weight"] = (HIDDEN,)
    if family == "llama":
        found["lm_head.weight"] = (VOCAB, HIDDEN)
    return found


def config(family: str) -> dict[str, Any]:
    """The family's ``config.json``."""
    architecture = {"qwen2": "Qwen2ForCausalLM", "llama": "LlamaForCausalLM"}[family]
    return {
        "architectures": [architecture],
        "model_type": family,
        "hidden_size": HIDDEN,
        "intermediate_size": INNER,
        "num_hidden_layers": LAYERS,
        "num_attention_heads": HEADS,
        "num_key_value_heads": KV,
        "vocab_size": VOCAB,
        "max_position_embeddings": 128,
        "rope_theta": 10000.0,
        "rms_norm_eps": 1e-6,
        "hidden_act": "silu",
        "tie_word_embeddings": family == "qwen2",
        "torch_dtype": "bfloat16",
    }


def values(family: str, seed: int) -> dict[str, np.ndarray]:
    """Random weights of a base model."""
    random = np.random.default_rng(seed)
    return {
        name: random.normal(0, 0.05, shape) + (len(shape) == 1 and "norm" in name)
        for name, shape in shapes(family).items()
    }


def moved(base: dict[str, np.ndarray], seed: int, scale: float = 0.01) -> dict[str, np.ndarray]:
    """A specialist: the base plus an update whose size varies, so that bf16 keeps most of it."""
    random = np.random.default_rng(seed)
    return {
        name: array + random.normal(0, scale, array.shape) * random.uniform(0, 2, array.shape)
        for name, array in base.items()
    }


def write_tokenizer(directory: Path, shift: int = 0) -> None:
    """A byte-level BPE tokenizer of 260 tokens; ``shift`` renumbers its letters."""
    from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers

    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    vocab = {letter: (number + shift) % 256 for number, letter in enumerate(alphabet)}
    tokenizer = Tokenizer(models.BPE(vocab=vocab, merges=[]))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.add_special_tokens(
        [
            AddedToken(t, special=True)
            for t in ("<|end|>", "<|user|>", "<|assistant|>", "<|system|>")
        ]
    )
    tokenizer.save(str(directory / "tokenizer.json"))
    (directory / "tokenizer_config.json").write_text(
        json.dumps({"tokenizer_class": "PreTrainedTokenizerFast", "eos_token": "<|end|>"})
    )
    (directory / "chat_template.jinja").write_text(TEMPLATE)


def write_checkpoint(
    directory: Path,
    family: str,
    arrays: dict[str, np.ndarray],
    dtype: str = "BF16",
    shards: int = 1,
    **changed: Any,
) -> Path:
    """Write a whole checkpoint; ``changed`` overrides keys of the config."""
    directory.mkdir(parents=True)
    (directory / "config.json").write_text(json.dumps({**config(family), **changed}))
    (directory / "generation_config.json").write_text(json.dumps({"eos_token_id": 256}))
    write_tokenizer(directory)
    tensors = {name: (array, dtype) for name, array in arrays.items()}
    if shards == 1:
        write_file(directory / "model.safetensors", tensors)
        return directory
    names, weight_map = list(tensors), {}
    for number in range(shards):
        file = f"model-{number + 1:05d}-of-{shards:05d}.safetensors"
        part = names[number::shards]
        write_file(directory / file, {name: tensors[name] for name in part})
        weight_map |= dict.fromkeys(part, file)
    (directory / "model.safetensors.index.json").write_text(
        json.dumps({"metadata": {"total_size": 0}, "weight_map": weight_map})
    )
    return directory


def family_of_checkpoints(root: Path, family: str, specialists: int = 2, **kwargs: Any) -> Path:
    """Write ``base``, ``a``, ``b``, ... below ``root`` and return it."""
    base = values(family, 1)
    write_checkpoint(root / "base", family, base, **kwargs)
    for number in range(specialists):
        write_checkpoint(root / "abcdef"[number], family, moved(base, 10 + number), **kwargs)
    return root
