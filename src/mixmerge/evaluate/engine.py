"""What all engines share: rendered prompts, where a completion ends, and the choice of one."""

from abc import ABC, abstractmethod
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any, ClassVar

import torch
from transformers.utils import logging

from mixmerge.checkpoint.chat import Chat, check_stops
from mixmerge.checkpoint.code import load_config
from mixmerge.checkpoint.tokenizer import load_tokenizer, stop_tokens, template_of
from mixmerge.core.errors import UserError
from mixmerge.evaluate.settings import Decoding, SuiteDecoding
from mixmerge.evaluate.suite import Completion

_BYTES_PER_CHARACTER = 4
_DTYPES = {"bf16": "bfloat16", "fp32": "float32"}


@dataclass(frozen=True)
class Prompt:
    """One rendered prompt: the item's id and its tokens."""

    id: str
    tokens: list[int]


class Engine(ABC):
    """A checkpoint in memory that completes prompts greedily; subclasses load the weights.

    Attributes:
        batch: prompts that `complete` is to be given at a time.
        context: longest sequence in tokens that the model takes.
        device: ``cuda`` or ``cpu``.
        dtype: type of the weights, such as ``bfloat16``; fp32 on a CPU unless configured, where
            bf16 is slower and its noise depends on the batch.
        stops: ids that end a completion.

    Raises:
        UserError: no chat template, no stop token, or one that is not the template's.
    """

    name: ClassVar[str]
    """As in the config's `decoding.engine`."""
    packages: ClassVar[tuple[str, ...]] = ("torch", "transformers", "tokenizers")
    """Distributions whose versions matter for what is written."""

    def __init__(self, checkpoint: Path, decoding: Decoding) -> None:
        logging.set_verbosity_error()
        logging.disable_progress_bar()
        torch.set_num_threads(decoding.threads)
        self.checkpoint = checkpoint
        self.batch = decoding.in_flight
        self.device = "cuda" if torch.cuda.is_available() else "cpu"
        self._threads = decoding.threads
        tokenizer = load_tokenizer(checkpoint)
        template = template_of(tokenizer)
        if template is None:
            raise UserError(
                f"{checkpoint}: the tokenizer has no chat template, so prompts cannot be rendered; "
                "put a chat_template.jinja beside tokenizer_config.json or set the model's "
                "chat_template in the config"
            )
        self.chat = Chat(tokenizer, template, str(checkpoint))
        self.stops = stop_tokens(checkpoint, tokenizer)
        check_stops(checkpoint, self.chat, self.stops)
        config = load_config(checkpoint)
        self.context: int = config.max_position_embeddings
        own = str(config.dtype or "float32").removeprefix("torch.")
        automatic = own if self.device == "cuda" else "float32"
        self.dtype = _DTYPES.get(decoding.precision, automatic)

    def identity(self) -> dict[str, Any]:
        """What of the engine a completion depends on, besides checkpoint and settings."""
        return {
            "engine": self.name,
            "device": self.device,
            "dtype": self.dtype,
            "batch": self.batch,
            "threads": self._threads,
            "software": [version(package) for package in self.packages],
        }

    def complete(self, batch: Sequence[Prompt], own: SuiteDecoding) -> list[Completion]:
        """Complete prompts shorter than the context greedily; rows come in their order.

        One near the context's end gets fewer tokens than `max_new_tokens`. A stop string is cut off
        with all that follows.
        """
        written = self.decode(batch, own)
        pairs = zip(batch, written, strict=True)
        return [self.finish(prompt, tokens, own) for prompt, tokens in pairs]

    @abstractmethod
    def decode(self, batch: Sequence[Prompt], own: SuiteDecoding) -> list[list[int]]:
        """The tokens after each prompt; they may run on past a completion's end."""

    def close(self) -> None:  # noqa: B027 -- only some engines hold more than memory
        """Give back threads and devices; the engine is of no use afterwards."""

    def limit(self, prompt: Prompt, own: SuiteDecoding) -> int:
        """Longest completion of a prompt in tokens."""
        return min(own.max_new_tokens, self.context - len(prompt.tokens))

    def finish(self, prompt: Prompt, tokens: list[int], own: SuiteDecoding) -> Completion:
        """Cut what was written after a prompt where it ends, and say why it does."""
        limit = self.limit(prompt, own)
        tokens = tokens[:limit]
        end = next((i for i, token in enumerate(tokens) if token in self.stops), None)
        body = tokens[:end]
        reason, length = ("length", limit) if end is None else ("stop", len(body) + 1)
        met = _first_stop(self.chat.tokenizer, body, own.stop)
        text = decoded(self.chat.tokenizer, body[:met])
        if met is not None:
            text = text[: min(at for at in map(text.find, own.stop) if at >= 0)]
            reason, length = "stop_string", met
        elif end is None and len(tokens) < limit:
            raise RuntimeError(
                f"engine {self.name!r} ended {prompt.id!r} after {len(tokens)} of {limit} tokens "
                "without a stop token or string"
            )
        return Completion(prompt.id, text, reason, len(prompt.tokens), length)


def decoded(tokenizer: Any, tokens: list[int]) -> str:
    """The text of a completion's tokens, or of a stretch of them."""
    text: str = tokenizer.decode(
        tokens, skip_special_tokens=True, clean_up_tokenization_spaces=False
    )
    return text


def stop_window(strings: Sequence[str]) -> int:
    """A number of tokens sure to hold the longest string; a token may be a single byte."""
    return _BYTES_PER_CHARACTER * max(map(len, strings)) + 1


def holds_stop(tokenizer: Any, tokens: list[int], strings: Sequence[str]) -> bool:
    """Whether the tokens' text holds one of the strings."""
    text = decoded(tokenizer, tokens)
    return any(string in text for string in strings)


def _first_stop(tokenizer: Any, tokens: list[int], strings: Sequence[str]) -> int | None:
    """Number of tokens with which a text first holds one of the strings, None if it never does."""
    if not strings or not holds_stop(tokenizer, tokens, strings):
        return None
    window = stop_window(strings)
    for length in range(1, len(tokens)):
        if holds_stop(tokenizer, tokens[max(0, length - window) : length], strings):
            return length
    return len(tokens)


def choose(engine: str, suites: Iterable[SuiteDecoding], *, cuda: bool, vllm: bool) -> str:
    """The name of the engine that the configured one comes to.

    Raises:
        UserError: an engine that cannot run here, or cannot do what a suite asks for.
    """
    penalised = [own.repetition_penalty for own in suites if own.repetition_penalty != 1]
    if engine == "auto":
        if not cuda:
            return "transformers"
        if vllm:
            return "vllm"
        return "transformers" if penalised else "continuous"
    if engine == "vllm" and not (cuda and vllm):
        lack = "vLLM is not installed" if cuda else "there is no GPU that torch can use"
        raise UserError(
            f"decoding.engine: 'vllm', but {lack}; install vllm into the environment that runs "
            "`generate` on a machine with a GPU, or set decoding.engine to 'auto'"
        )
    if engine == "continuous" and penalised:
        raise UserError(
            f"decoding.engine: 'continuous' cannot apply the repetition_penalty {penalised[0]} of "
            "a suite: transformers' continuous batching leaves it out; set decoding.engine to "
            "'auto', 'transformers' or 'vllm', or the suite's repetition_penalty to 1"
        )
    return engine
