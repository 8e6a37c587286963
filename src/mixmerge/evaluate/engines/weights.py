"""Loading a checkpoint's model with transformers, for the two engines that run it there."""

from pathlib import Path
from typing import Any

import torch

from mixmerge.checkpoint.code import trusts_code
from mixmerge.core.errors import UserError


def load_model(checkpoint: Path, dtype: str, device: str) -> Any:
    """The model, ready to decode.

    Raises:
        UserError: the weights cannot be read or do not fit the config.
    """
    from transformers import AutoModelForCausalLM

    try:
        model, report = AutoModelForCausalLM.from_pretrained(
            checkpoint,
            dtype=getattr(torch, dtype),
            local_files_only=True,
            use_safetensors=True,
            trust_remote_code=trusts_code(checkpoint),
            output_loading_info=True,
        )
    except (OSError, ValueError, RuntimeError) as error:
        raise UserError(f"{checkpoint}: cannot be loaded: {error}") from error
    # transformers only warns of tensors left at random, or left over.
    for what in ("missing_keys", "unexpected_keys", "mismatched_keys"):
        names = sorted(str(name) for name in report.get(what) or [])
        if names:
            raise UserError(
                f"{checkpoint}: {what.replace('_keys', '')} tensors, such as {names[0]} "
                f"({len(names)} in all): the weights are not those of config.json"
            )
    return model.to(device).eval()


def greedy(stops: list[int], tokenizer: Any, model: Any) -> Any:
    """A generation config that decodes greedily and does nothing else.

    A hub checkpoint brings sampling settings and, for some, a repetition penalty, which
    transformers would take where ours are unset: one decoding for all arms means none of it.
    """
    from transformers import GenerationConfig

    pad = tokenizer.pad_token_id
    # A tokenizer may add a pad token that the embedding table has no row for.
    if pad is None or pad >= model.get_input_embeddings().num_embeddings:
        pad = stops[0]
    return GenerationConfig(do_sample=False, eos_token_id=stops, pad_token_id=pad)
