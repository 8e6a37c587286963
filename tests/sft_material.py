"""Tiny models, tokenizers and training sets for the tests of the SFT stage, all made on the fly."""

import json
import random
from pathlib import Path
from typing import Any

from mixmerge.artifacts.manifest import write_manifest
from mixmerge.core.io import write_jsonl

TEMPLATE = (
    "{%- for message in messages %}"
    "{%- if message.role == 'assistant' %}"
    "{{- '<|im_start|>assistant\\n' }}"
    "{%- generation %}{{- message.content + '<|im_end|>' }}{%- endgeneration %}{{- '\\n' }}"
    "{%- else %}{{- '<|im_start|>' + message.role + '\\n' + message.content + '<|im_end|>\\n' }}"
    "{%- endif %}{%- endfor %}"
    "{%- if add_generation_prompt %}{{- '<|im_start|>assistant\\n' }}{%- endif %}"
)
SPECIALS = ["<|endoftext|>", "<|im_start|>", "<|im_end|>"]


def rows(count: int, seed: int = 0) -> list[dict[str, Any]]:
    """Chat rows about small functions."""
    dice = random.Random(seed)
    made = []
    for i in range(count):
        a, b = dice.randrange(100), dice.randrange(100)
        names = " ".join(
            dice.choice(["x", "y", "total", "items"]) for _ in range(dice.randrange(6))
        )
        answer = f"def f{a}(x):\n    return x + {b}  # {names}"
        messages = [
            {"role": "user", "content": f"Write f{a}: add {b} to x."},
            {"role": "assistant", "content": answer},
        ]
        made.append({"id": str(i), "task": "codegen", "source": "t", "messages": messages})
    return made


def write_set(directory: Path, count: int = 48, validation: int = 7) -> Path:
    """A training set with its manifest."""
    write_jsonl(directory / "train.jsonl", rows(count, 1))
    write_jsonl(directory / "validation.jsonl", rows(validation, 2))
    write_manifest(directory, "rows")
    return directory


def write_tokenizer(directory: Path, template: str | None = TEMPLATE) -> Any:
    """A byte-level BPE tokenizer of 300 tokens."""
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
    tokenizer.train_from_iterator((json.dumps(r["messages"]) for r in rows(50)), trainer)
    fast = PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, eos_token="<|im_end|>", pad_token="<|endoftext|>"
    )
    fast.chat_template = template
    fast.save_pretrained(directory)
    return fast


def write_base(
    directory: Path, family: str = "qwen2", template: str | None = TEMPLATE, dtype: str = "float32"
) -> Path:
    """A checkpoint of about 50,000 parameters with its manifest."""
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM, Qwen2Config, Qwen2ForCausalLM

    tokenizer = write_tokenizer(directory, template)
    torch.manual_seed(0)
    shape = {
        "vocab_size": 304,
        "hidden_size": 32,
        "intermediate_size": 64,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
        "max_position_embeddings": 512,
        "eos_token_id": tokenizer.eos_token_id,
        "pad_token_id": tokenizer.pad_token_id,
        "bos_token_id": None,
    }
    if family == "qwen2":
        model = Qwen2ForCausalLM(Qwen2Config(**shape, tie_word_embeddings=True))
    else:
        model = LlamaForCausalLM(LlamaConfig(**shape, tie_word_embeddings=False))
    model.to(getattr(torch, dtype)).save_pretrained(directory)
    write_manifest(directory, "checkpoint")
    return directory


#: Settings of a run of a few seconds; tests change one or two.
SETTINGS: dict[str, Any] = {
    "learning_rate": 5e-3,
    "batch_size": 4,
    "gradient_accumulation": 2,
    "max_length": 160,
    "epochs": 2.0,
    "precision": "fp32",
    "packing": True,
    "zero_stage": None,
    "evaluations": 2,
}


def write_study(root: Path) -> Path:
    """A base and a training set below ``root``, which it returns."""
    write_base(root / "base")
    write_set(root / "set")
    return root
