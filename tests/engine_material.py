"""Small checkpoints that write varied text, and the plainest possible decoding of them."""

import json
import random
from pathlib import Path
from typing import Any

import checkpoint_material as material
from mixmerge.artifacts.manifest import write_manifest
from mixmerge.evaluate.engines.base import Engine, Prompt
from mixmerge.evaluate.settings import SuiteDecoding
from mixmerge.evaluate.suite import Completion


def write_checkpoint(directory: Path, family: str = "qwen2", **generation: Any) -> Path:
    # Weights large enough that a row's tokens vary.
    arrays = {name: array * 12 for name, array in material.values(family, 3).items()}
    material.write_checkpoint(directory, family, arrays, dtype="F32")
    (directory / "generation_config.json").write_text(
        json.dumps({"eos_token_id": [256, 257]} | generation)
    )
    write_manifest(directory, "checkpoint")
    return directory


def naive(
    checkpoint: Path, text: str, new: int, ends: tuple[int, ...], penalty: float = 1.0
) -> list[int]:
    """Argmax, one prompt, one token at a time, no cache."""
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(checkpoint)
    model = AutoModelForCausalLM.from_pretrained(checkpoint, dtype=torch.float32).eval()
    ids: list[int] = tokenizer.apply_chat_template(
        [{"role": "user", "content": text}], add_generation_prompt=True, return_dict=False
    )
    start = len(ids)
    while len(ids) < start + new:
        with torch.no_grad():
            scores = model(torch.tensor([ids])).logits[0, -1]
        for token in set(ids):
            scores[token] = (
                scores[token] * penalty if scores[token] < 0 else scores[token] / penalty
            )
        ids.append(int(scores.argmax()))
        if ids[-1] in ends:
            break
    return ids[start:]


def decode(
    engine: Engine, prompts: list[Prompt], own: SuiteDecoding
) -> tuple[list[Completion], list[list[int]]]:
    """Completions, and the tokens of each up to its end, in the prompts' order."""
    seen: dict[str, list[int]] = {}
    finish = engine.finish

    def watched(prompt: Prompt, tokens: list[int], own: SuiteDecoding) -> Completion:
        row = finish(prompt, tokens, own)
        seen[prompt.id] = list(tokens)[: row.completion_tokens]
        return row

    engine.finish = watched  # type: ignore[method-assign]
    rows = []
    for start in range(0, len(prompts), engine.batch):
        rows += engine.complete(prompts[start : start + engine.batch], own)
    return rows, [seen[prompt.id] for prompt in prompts]


def prompts_of(engine: Engine, texts: list[str]) -> list[Prompt]:
    """A prompt a text, longest first as `generate` hands them over."""
    made = [
        Prompt(str(i), engine.chat.prompt([{"role": "user", "content": text}]))
        for i, text in enumerate(texts)
    ]
    return sorted(made, key=lambda prompt: (-len(prompt.tokens), prompt.id))


def texts(count: int, longest: int = 60, seed: int = 0) -> list[str]:
    """Random texts of random lengths."""
    dice = random.Random(seed)
    letters = "abc xyz\nÄ你0123()"
    return ["".join(dice.choices(letters, k=dice.randrange(1, longest))) for _ in range(count)]


def first_differences(
    checkpoint: Path, prompts: list[Prompt], one: list[list[int]], other: list[list[int]]
) -> list[float]:
    """How near to a tie each first difference between two engines was.

    Returns:
        For each prompt with different tokens, the gap between the logits of the two first tokens
        that differ, in fp32 on the CPU, over the spread (standard deviation) of all logits there.
    """
    import torch
    from transformers import AutoModelForCausalLM

    model = AutoModelForCausalLM.from_pretrained(checkpoint, dtype=torch.float32).eval()
    gaps = []
    for prompt, mine, theirs in zip(prompts, one, other, strict=True):
        if mine == theirs:
            continue
        at = next(i for i, pair in enumerate(zip(mine, theirs, strict=False)) if len({*pair}) == 2)
        with torch.no_grad():
            logits = model(torch.tensor([prompt.tokens + mine[:at]])).logits[0, -1]
        gaps.append(float((logits[mine[at]] - logits[theirs[at]]).abs() / logits.std()))
    return gaps
