"""A base checkpoint that can be trained and prompted, and ways to break it."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from broken_damage import reseal, rewrite
from fixtures import checkpoints as material
from fixtures import sft_studies as sft_material
from mixmerge.artifacts.manifest import write_manifest

MARKED = sft_material.TEMPLATE.replace("<|im_start|>", "<|user|>").replace("<|im_end|>", "<|end|>")

#: transformers adds a token to the tokenizer's 260.
EMBED = "model.embed_tokens.weight"

LARGE = np.resize(material.values("qwen2", 1)[EMBED], (264, 32))


def write_base(folder: Path, **changed: Any) -> None:
    """A base checkpoint whose chat template marks answers; tensors or its config changed."""
    (folder / "base").mkdir(exist_ok=True)
    rewrite(folder / "base", **{"vocab_size": 264, EMBED: LARGE} | changed)
    (folder / "base/chat_template.jinja").write_text(MARKED)
    write_manifest(folder / "base", "checkpoint")


def sealed(folder: str, damage: Callable[[Path], object]) -> Callable[[Path], object]:
    """Damage a folder and make its manifest fit."""

    def both(inputs: Path) -> None:
        damage(inputs / folder)
        reseal(inputs / folder)

    return both


def anew(**changed: Any) -> Callable[[Path], object]:
    """Write the base anew with other tensors or another config."""
    return lambda inputs: write_base(inputs, **changed)


def template(text: str) -> Callable[[Path], object]:
    return sealed("base", lambda b: (b / "chat_template.jinja").write_text(text))


def eos(value: Any) -> Callable[[Path], object]:
    return sealed(
        "base",
        lambda b: (b / "generation_config.json").write_text(json.dumps({"eos_token_id": value})),
    )


#: What training and generation import.
MODULES = (
    *("torch", "transformers", "trl", "datasets", "mixmerge.sft.stage"),
    *("mixmerge.evaluate.generation", "mixmerge.evaluate.engines"),
    *(f"transformers.models.qwen2.{part}_qwen2" for part in ("modeling", "tokenization")),
)
