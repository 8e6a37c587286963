"""One loaded checkpoint that completes prompts greedily, in batches."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from mixmerge.config.evaluation import Decoding
from mixmerge.errors import UserError
from mixmerge.evaluate.suite import Completion


@dataclass(frozen=True)
class Prompt:
    """One rendered prompt: the item's id and its tokens."""

    id: str
    tokens: list[int]


class Engine:
    """A checkpoint in memory, on the GPU if there is one.

    Attributes:
        context: longest sequence in tokens that the model takes.
        device: ``cuda`` or ``cpu``.
    """

    def __init__(self, checkpoint: Path, decoding: Decoding) -> None:
        """Load tokenizer and weights.

        Raises:
            UserError: no chat template, no stop token, or weights that do not fit the config.
        """
        from transformers import AutoModelForCausalLM, AutoTokenizer, GenerationConfig
        from transformers.utils import logging

        logging.set_verbosity_error()
        logging.disable_progress_bar()
        torch.set_num_threads(decoding.threads)
        self.device = "cuda" if torch.cuda.is_available() else "cpu"
        self._decoding = decoding
        self.tokenizer: Any = AutoTokenizer.from_pretrained(checkpoint, local_files_only=True)
        if not self.tokenizer.chat_template:
            raise UserError(
                f"{checkpoint}: the tokenizer has no chat template, so prompts cannot be rendered; "
                "put a chat_template.jinja beside tokenizer_config.json or set the model's "
                "chat_template in the config"
            )
        self.tokenizer.padding_side = "left"
        try:
            model, report = AutoModelForCausalLM.from_pretrained(
                checkpoint,
                dtype=_dtype(decoding.precision, self.device),
                local_files_only=True,
                use_safetensors=True,
                output_loading_info=True,
            )
        except (OSError, ValueError, RuntimeError) as error:
            raise UserError(f"{checkpoint}: cannot be loaded: {error}") from error
        _check_loading(checkpoint, report)
        self._model: Any = model.to(self.device).eval()
        self.context: int = self._model.config.max_position_embeddings
        self._stop_tokens = _stop_tokens(checkpoint, self._model, self.tokenizer)
        pad = self.tokenizer.pad_token_id
        # A tokenizer may add a pad token that the embedding table has no row for.
        rows = self._model.get_input_embeddings().num_embeddings
        self._pad = self._stop_tokens[0] if pad is None or pad >= rows else pad
        # A hub checkpoint brings sampling settings and, for some, a repetition penalty, which
        # generate() would take where ours are unset: one decoding for all arms means none of it.
        self._model.generation_config = GenerationConfig(
            do_sample=False, eos_token_id=self._stop_tokens, pad_token_id=self._pad
        )

    def render(self, messages: list[dict[str, str]]) -> list[int]:
        """Tokens of a chat in the checkpoint's template, with the assistant's turn opened."""
        text = self.tokenizer.apply_chat_template(
            messages, add_generation_prompt=True, tokenize=False
        )
        tokens: list[int] = self.tokenizer(text, add_special_tokens=False)["input_ids"]
        return tokens

    @torch.inference_mode()
    def complete(
        self, batch: Sequence[Prompt], max_new_tokens: int, stop: Sequence[str]
    ) -> list[Completion]:
        """Complete a batch greedily; rows come back in the batch's order.

        Args:
            batch: prompts shorter than the context.
            max_new_tokens: longest completion; a prompt near the context's end gets less.
            stop: strings that end a completion and are cut off with all that follows.
        """
        from transformers import LogitsProcessorList, StoppingCriteriaList

        from mixmerge.evaluate.stopping import PaddedRepetitionPenalty, StopStrings

        width = max(len(prompt.tokens) for prompt in batch)
        limits = [min(max_new_tokens, self.context - len(prompt.tokens)) for prompt in batch]
        ids = torch.full((len(batch), width), self._pad, dtype=torch.long)
        mask = torch.zeros_like(ids)
        for row, prompt in enumerate(batch):
            ids[row, width - len(prompt.tokens) :] = torch.tensor(prompt.tokens)
            mask[row, width - len(prompt.tokens) :] = 1
        ids, mask = ids.to(self.device), mask.to(self.device)
        stops = StopStrings(self.tokenizer, stop, width) if stop else None
        processors: list[Any] = []
        if self._decoding.repetition_penalty != 1:
            processors = [PaddedRepetitionPenalty(self._decoding.repetition_penalty, mask)]
        out = self._model.generate(
            ids,
            attention_mask=mask,
            max_new_tokens=max(limits),
            stopping_criteria=StoppingCriteriaList([stops] if stops else []),
            logits_processor=LogitsProcessorList(processors),
        )
        generated = out[:, width:].tolist()
        met = stops.lengths if stops else {}
        return [
            self._row(prompt, generated[row][: limits[row]], met.get(row), stop)
            for row, prompt in enumerate(batch)
        ]

    def _row(
        self, prompt: Prompt, tokens: list[int], met: int | None, stop: Sequence[str]
    ) -> Completion:
        """Cut one row where it ended and say why it did."""
        ends = [i for i, token in enumerate(tokens) if token in self._stop_tokens]
        reason = "length"
        if met is not None and met <= len(tokens) and (not ends or ends[0] >= met):
            tokens, reason = tokens[:met], "stop_string"
        elif ends:
            tokens, reason = tokens[: ends[0] + 1], "stop"
        text: str = self.tokenizer.decode(tokens, skip_special_tokens=True)
        if reason == "stop_string":
            text = text[: min(at for at in (text.find(string) for string in stop) if at >= 0)]
        return Completion(prompt.id, text, reason, len(prompt.tokens), len(tokens))


def _dtype(precision: str, device: str) -> Any:
    """Weights' type: on a CPU fp32, where bf16 is slower and its noise depends on the batch."""
    if precision == "auto":
        return "auto" if device == "cuda" else torch.float32
    return {"bf16": torch.bfloat16, "fp32": torch.float32}[precision]


def _check_loading(checkpoint: Path, report: dict[str, Any]) -> None:
    """Refuse what transformers only warns of: tensors left at random, or left over."""
    for what in ("missing_keys", "unexpected_keys", "mismatched_keys"):
        names = sorted(str(name) for name in report.get(what) or [])
        if names:
            raise UserError(
                f"{checkpoint}: {what.replace('_keys', '')} tensors, such as {names[0]} "
                f"({len(names)} in all): the weights are not those of config.json"
            )


def _stop_tokens(checkpoint: Path, model: Any, tokenizer: Any) -> list[int]:
    """Stop tokens of generation_config.json, else of config.json, else of the tokenizer."""
    for source in (model.generation_config, model.config, tokenizer):
        value = getattr(source, "eos_token_id", None)
        if value is not None:
            return list(value) if isinstance(value, list) else [value]
    raise UserError(
        f"{checkpoint}: no stop token in generation_config.json, config.json or the tokenizer; "
        "set eos_token_id in generation_config.json"
    )
