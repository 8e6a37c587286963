"""What ends a row and what bends its scores, aware of padding."""

from collections.abc import Sequence
from typing import Any

import torch
from transformers import LogitsProcessor, RepetitionPenaltyLogitsProcessor, StoppingCriteria

_BYTES_PER_CHARACTER = 4


def first_stop(tokenizer: Any, tokens: list[int], strings: Sequence[str]) -> int | None:
    """Number of tokens with which a text first holds one of the strings, None if it never does.

    Args:
        tokenizer: of the model that wrote them.
        tokens: a completion's, without its stop token.
        strings: stop strings.
    """
    if not strings or not _held(tokenizer, tokens, strings):
        return None
    window = _window(strings)
    for length in range(1, len(tokens)):
        if _held(tokenizer, tokens[max(0, length - window) : length], strings):
            return length
    return len(tokens)


def _held(tokenizer: Any, tokens: list[int], strings: Sequence[str]) -> bool:
    text = tokenizer.decode(tokens, skip_special_tokens=True, clean_up_tokenization_spaces=False)
    return any(string in text for string in strings)


def _window(strings: Sequence[str]) -> int:
    """A number of tokens sure to hold the longest string; a token may be a single byte."""
    return _BYTES_PER_CHARACTER * max(map(len, strings)) + 1


class StopStrings(StoppingCriteria):  # type: ignore[misc]
    """Ends a row once its newest text holds one of the strings.

    transformers' own `StopStringCriteria` compiles tables over the whole vocabulary first, which
    takes longer than the decoding itself for a short suite; decoding the last few tokens does not.
    """

    def __init__(self, tokenizer: Any, strings: Sequence[str], prompt_length: int) -> None:
        self._tokenizer = tokenizer
        self._strings = tuple(strings)
        self._prompt_length = prompt_length
        self._window = _window(strings)
        self._done: set[int] = set()

    def __call__(self, input_ids: torch.Tensor, scores: Any, **kwargs: Any) -> torch.Tensor:
        """True for each row that is done; ``input_ids`` is (rows, prompt + generated)."""
        tail = input_ids[:, max(self._prompt_length, input_ids.shape[1] - self._window) :].tolist()
        for row, ids in enumerate(tail):
            if row not in self._done and _held(self._tokenizer, ids, self._strings):
                self._done.add(row)
        done = [row in self._done for row in range(len(tail))]
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
