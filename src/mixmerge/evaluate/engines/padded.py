"""transformers' `generate` on batches padded on the left: runs anywhere, honours everything."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch

from mixmerge.evaluate.engines.base import Engine, Prompt
from mixmerge.evaluate.engines.weights import greedy, load_model
from mixmerge.evaluate.settings import SuiteDecoding
from mixmerge.evaluate.stopping import PaddedRepetitionPenalty, StopStrings
from mixmerge.evaluate.suite import Completion
from mixmerge.evaluate.suite_settings import Decoding


class PaddedEngine(Engine):
    """Decodes batches of prompts of similar length to the end of the longest completion."""

    name = "transformers"

    def __init__(self, checkpoint: Path, decoding: Decoding) -> None:
        """Load tokenizer and weights."""
        super().__init__(checkpoint, decoding)
        self._model: Any = load_model(checkpoint, self.dtype, self.device)
        config = greedy(self.stops, self.chat.tokenizer, self._model)
        self._model.generation_config = config
        self._pad: int = config.pad_token_id

    @property
    def batch(self) -> int:
        """Prompts padded together."""
        return self._decoding.batch_size

    @torch.inference_mode()
    def complete(self, batch: Sequence[Prompt], own: SuiteDecoding) -> list[Completion]:
        """See `Engine.complete`."""
        from transformers import LogitsProcessorList, StoppingCriteriaList

        width = max(len(prompt.tokens) for prompt in batch)
        ids = torch.full((len(batch), width), self._pad, dtype=torch.long)
        mask = torch.zeros_like(ids)
        for row, prompt in enumerate(batch):
            ids[row, width - len(prompt.tokens) :] = torch.tensor(prompt.tokens)
            mask[row, width - len(prompt.tokens) :] = 1
        ids, mask = ids.to(self.device), mask.to(self.device)
        criteria = [StopStrings(self.chat.tokenizer, own.stop, width)] if own.stop else []
        processors: list[Any] = []
        if own.repetition_penalty != 1:
            processors = [PaddedRepetitionPenalty(own.repetition_penalty, mask)]
        out = self._model.generate(
            ids,
            attention_mask=mask,
            max_new_tokens=max(self.limit(prompt, own) for prompt in batch),
            stopping_criteria=StoppingCriteriaList(criteria),
            logits_processor=LogitsProcessorList(processors),
        )
        generated = out[:, width:].tolist()
        return [self.finish(prompt, generated[row], own) for row, prompt in enumerate(batch)]
