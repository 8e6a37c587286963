"""Checkpoints of two layers with random weights, in which attention decides what comes next."""

import inspect
import json
from importlib.resources import files
from pathlib import Path
from typing import Any

import yaml

#: Chat template of all of them.
TEMPLATE = (
    "{%- for m in messages %}{%- if m.role == 'assistant' %}{{- '<|im_start|>assistant\\n' }}"
    "{%- generation %}{{- m.content + '<|im_end|>' }}{%- endgeneration %}{{- '\\n' }}{%- else %}"
    "{{- '<|im_start|>' + m.role + '\\n' + m.content + '<|im_end|>\\n' }}{%- endif %}{%- endfor %}"
    "{%- if add_generation_prompt %}{{- '<|im_start|>assistant\\n' }}{%- endif %}"
)
SPECIALS = ["<|endoftext|>", "<|im_start|>", "<|im_end|>"]

#: Sizes under all names that configs have for them; a config gets those that its class knows.
SIZES: dict[str, Any] = {
    **dict.fromkeys(("hidden_size", "n_embd", "d_model", "lru_width", "intermediate_size"), 32),
    **dict.fromkeys(("attention_hidden_size", "word_embed_proj_dim", "moe_intermediate_size"), 32),
    **dict.fromkeys(("shared_expert_intermediate_size",), 32),
    **dict.fromkeys(("ffn_dim", "n_inner", "d_ff"), 64),
    **dict.fromkeys(("num_hidden_layers", "n_layer", "n_layers", "num_layers"), 2),
    **dict.fromkeys(("num_attention_heads", "n_head", "n_heads", "num_heads"), 4),
    **dict.fromkeys(("num_experts", "num_local_experts", "n_routed_experts"), 4),
    **dict.fromkeys(("num_key_value_heads", "num_experts_per_tok"), 2),
    **dict.fromkeys(("max_position_embeddings", "n_positions", "max_seq_len"), 512),
    **dict.fromkeys(("context_length",), 512),
    **dict.fromkeys(("head_dim", "d_kv", "state_size", "mamba_d_state", "time_step_rank"), 8),
    **dict.fromkeys(("q_lora_rank", "kv_lora_rank", "query_pre_attn_scalar"), 8),
    **dict.fromkeys(("qk_rope_head_dim", "qk_nope_head_dim", "v_head_dim"), 8),
    **dict.fromkeys(("linear_key_head_dim", "linear_value_head_dim"), 8),
    **dict.fromkeys(("linear_num_key_heads", "linear_num_value_heads", "rotary_dim"), 4),
    **dict.fromkeys(("n_group", "topk_group", "n_shared_experts"), 1),
    "attention_window_size": 16,
    "vocab_size": 304,
    "eos_token_id": 2,
    "pad_token_id": 0,
    "bos_token_id": 1,
}


def architectures() -> dict[str, dict[str, Any]]:
    """The table's architectures: what differs from `SIZES`, by model type."""
    text = files("model_table").joinpath("architectures.yaml").read_text(encoding="utf-8")
    return dict(yaml.safe_load(text))


def write_model(directory: Path, kind: str, **changed: Any) -> None:
    """Write a checkpoint of a model type: config, weights, tokenizer with chat template."""
    import torch
    from transformers import CONFIG_MAPPING, AutoModelForCausalLM, AutoModelForSeq2SeqLM

    config_class = CONFIG_MAPPING[kind]
    names = set(inspect.signature(config_class.__init__).parameters)
    names |= set(getattr(config_class, "attribute_map", {}))
    for each in config_class.__mro__:
        names |= set(vars(each).get("__annotations__", ()))
    sizes = {name: size for name, size in SIZES.items() if name in names}
    if "kv_lora_rank" in names:  # all heads have keys and values of their own
        sizes["num_key_value_heads"] = SIZES["num_attention_heads"]
    config = config_class(**sizes | architectures().get(kind, {}) | changed)
    torch.manual_seed(0)
    auto = AutoModelForSeq2SeqLM if config.is_encoder_decoder else AutoModelForCausalLM
    model = auto.from_config(config, attn_implementation="eager")
    _let_attention_decide(model)
    model.save_pretrained(directory)
    write_tokenizer(directory)


def _let_attention_decide(model: Any) -> None:
    """Scale weights up: with those of an initialisation a wrong mask would not be seen."""
    import torch

    attends = ("attn", "attention", "mixer", "temporal_block")
    with torch.no_grad():
        for name, weight in model.named_parameters():
            if name.endswith("sinks"):
                weight.fill_(2.0)
            elif weight.dim() > 1 and not any(part in name for part in ("norm", "gate.", "router")):
                is_attention = any(part in name for part in attends)
                weight.mul_(10 if is_attention or "embed" in name or "wte" in name else 2)


def write_tokenizer(
    directory: Path, template: str | None = TEMPLATE, learnt: list[dict[str, Any]] | None = None
) -> Any:
    """Write a byte-level BPE tokenizer of 300 tokens, made from chat rows, with a chat template."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import PreTrainedTokenizerFast

    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=300,
        special_tokens=SPECIALS,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    texts = [json.dumps(row["messages"]) for row in learnt or rows(50)]
    tokenizer.train_from_iterator(texts, trainer)
    fast = PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, eos_token=SPECIALS[2], pad_token=SPECIALS[0]
    )
    fast.chat_template = template
    fast.save_pretrained(directory)
    return fast


def rows(count: int, first: int = 0) -> list[dict[str, Any]]:
    """Chat rows about small functions, of 40 to 90 tokens."""
    made = []
    for i in range(first, first + count):
        names = " ".join(["x", "y", "total", "items"][: i * 7 % 5])
        question, answer = f"Write f{i}: add {i * 37 % 100} to x.", f"return x + {i * 37 % 100}"
        messages = [
            {"role": "user", "content": question},
            {"role": "assistant", "content": f"def f{i}(x):\n    {answer}  # {names}"},
        ]
        made.append({"id": str(i), "task": "codegen", "source": "t", "messages": messages})
    return made
