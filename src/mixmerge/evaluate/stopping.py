"""What ends a row and what bends its scores, aware of padding."""

from collections.abc import Sequence
from typing import Any

import torch
from transformers import LogitsProcessor, RepetitionPenaltyLogitsProcessor, StoppingCriteria

_BYTES_PER_CHARACTER = 4


class StopStrings(StoppingCriteria):  # type: ignore[misc]
    """Ends a row once its newest text holds one of the strings, and notes at which length.

    transformers' own `StopStringCriteria` compiles tables over the whole vocabulary first, which
    takes longer than the decoding itself for a short suite; decoding the last few tokens does not.
    """

    def __init__(self, tokenizer: Any, strings: Sequence[str], prompt_length: int) -> None:
        self._tokenizer = tokenizer
        self._strings = tuple(strings)
        self._prompt_length = prompt_length
        # A token may be a single byte, so this many tokens are sure to hold the longest string.
        self._window = _BYTES_PER_CHARACTER * max(map(len, strings)) + 1
        self.lengths: dict[int, int] = {}
        """Row -> number of generated tokens with which it met a stop string."""

    def __call__(self, input_ids: torch.Tensor, scores: Any, **kwargs: Any) -> torch.Tensor:
        """True for each row that is done; ``input_ids`` is (rows, prompt + generated)."""
        generated = input_ids.shape[1] - self._prompt_length
        tail = input_ids[:, max(self._prompt_length, input_ids.shape[1] - self._window) :].tolist()
        for row, ids in enumerate(tail):
            if row not in self.lengths:
                text = self._tokenizer.decode(ids, skip_special_tokens=True)
                if any(string in text for string in self._strings):
                    self.lengths[row] = generated
        done = [row in self.lengths for row in range(len(tail))]
        return torch.tensor(done, dtype=torch.bool, device=input_ids.device)


class PaddedRepetitionPenalty(LogitsProcessor):  # type: ignore[misc]
    """transformers' repetition penalty, blind to left padding.

    Its own processor counts pad tokens as seen. Where the pad token is a stop token, a prompt
    would stop later or earlier depending on how long its neighbours in the batch are.
    """

    def __init__(self, penalty: float, attention_mask: torch.Tensor) -> None:
        self._inner = RepetitionPenaltyLogitsProcessor(penalty)
        self._padding = attention_mask == 0

    def __call__(self, input_ids: torch.Tensor, scores: torch.Tensor) -> torch.Tensor:
        """Penalised ``scores`` (rows, vocabulary) for the next token."""
        # A pad is replaced with the prompt's last token, which is penalised anyway; the penalty
        # does not count how often a token was seen.
        width = self._padding.shape[1]
        seen = input_ids.clone()
        last = input_ids[:, width - 1 : width].expand(-1, width)
        seen[:, :width] = torch.where(self._padding, last, input_ids[:, :width])
        penalised: torch.Tensor = self._inner(seen, scores)
        return penalised
