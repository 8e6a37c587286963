"""What all engines share: rendering of prompts, and where and why a completion ends."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any, ClassVar

from mixmerge.checkpoint.chat import Chat, check_stops
from mixmerge.checkpoint.code import trusts_code
from mixmerge.checkpoint.tokenizer import load_tokenizer, stop_tokens, template_of
from mixmerge.core.errors import UserError
from mixmerge.evaluate.settings import SuiteDecoding
from mixmerge.evaluate.stopping import first_stop
from mixmerge.evaluate.suite import Completion
from mixmerge.evaluate.suite_settings import Decoding


@dataclass(frozen=True)
class Prompt:
    """One rendered prompt: the item's id and its tokens."""

    id: str
    tokens: list[int]


class Engine(ABC):
    """A checkpoint in memory that completes prompts greedily.

    Attributes:
        context: longest sequence in tokens that the model takes.
        device: ``cuda`` or ``cpu``.
        dtype: type of the weights, such as ``bfloat16``.
        stops: ids that end a completion.
    """

    name: ClassVar[str]
    """As in the config's `decoding.engine`."""
    packages: ClassVar[tuple[str, ...]] = ("torch", "transformers", "tokenizers")
    """Distributions whose versions matter for what is written."""

    def __init__(self, checkpoint: Path, decoding: Decoding) -> None:
        """Read config, tokenizer, template and stop tokens; subclasses load the weights.

        Raises:
            UserError: no chat template, no stop token, or one that is not the template's.
        """
        import torch
        from transformers import AutoConfig
        from transformers.utils import logging

        logging.set_verbosity_error()
        logging.disable_progress_bar()
        torch.set_num_threads(decoding.threads)
        self.device = "cuda" if torch.cuda.is_available() else "cpu"
        self._decoding = decoding
        self._checkpoint = checkpoint
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
        try:
            config = AutoConfig.from_pretrained(
                checkpoint, local_files_only=True, trust_remote_code=trusts_code(checkpoint)
            )
        except UserError:
            raise
        except Exception as error:  # a config may be wrong in any way
            said = " ".join(str(error).split())[:500]
            raise UserError(f"{checkpoint}: cannot be loaded: {said}") from None
        self.context: int = config.max_position_embeddings
        self.dtype = _dtype(decoding.precision, self.device, config.dtype)

    @property
    def batch(self) -> int:
        """Prompts that `complete` is to be given at a time."""
        return self._decoding.in_flight

    def identity(self) -> dict[str, Any]:
        """What of the engine a completion depends on, besides checkpoint and settings."""
        return {
            "engine": self.name,
            "device": self.device,
            "dtype": self.dtype,
            "batch": self.batch,
            "threads": self._decoding.threads,
            "software": [version(package) for package in self.packages],
        }

    @abstractmethod
    def complete(self, batch: Sequence[Prompt], own: SuiteDecoding) -> list[Completion]:
        """Complete a batch greedily; rows come back in the batch's order.

        Args:
            batch: prompts shorter than the context.
            own: the suite's settings. A prompt near the context's end gets fewer tokens than
                `max_new_tokens`. A stop string is cut off with all that follows.

        Raises:
            UserError: the engine cannot do what is asked for.
        """

    def close(self) -> None:  # noqa: B027 -- only some engines hold more than memory
        """Give back threads and devices; the engine is of no use afterwards."""

    def limit(self, prompt: Prompt, own: SuiteDecoding) -> int:
        """Longest completion of a prompt in tokens."""
        return min(own.max_new_tokens, self.context - len(prompt.tokens))

    def finish(self, prompt: Prompt, tokens: list[int], own: SuiteDecoding) -> Completion:
        """Cut what was generated where it ends, and say why it does.

        Args:
            prompt: what was completed.
            tokens: what came after it; may run on past its end.
            own: the suite's settings.
        """
        limit = self.limit(prompt, own)
        tokens = tokens[:limit]
        ends = next((i for i, token in enumerate(tokens) if token in self.stops), None)
        body = tokens[:ends]
        met = first_stop(self.chat.tokenizer, body, own.stop)
        if met is not None:
            text = self._text(body[:met])
            cut = min(at for at in (text.find(string) for string in own.stop) if at >= 0)
            return Completion(prompt.id, text[:cut], "stop_string", len(prompt.tokens), met)
        if ends is not None:
            return Completion(
                prompt.id, self._text(body), "stop", len(prompt.tokens), len(body) + 1
            )
        if len(tokens) < limit:
            raise RuntimeError(
                f"engine {self.name!r} ended {prompt.id!r} after {len(tokens)} of {limit} tokens "
                "without a stop token or string"
            )
        return Completion(prompt.id, self._text(body), "length", len(prompt.tokens), limit)

    def _text(self, tokens: list[int]) -> str:
        text: str = self.chat.tokenizer.decode(
            tokens, skip_special_tokens=True, clean_up_tokenization_spaces=False
        )
        return text


def _dtype(precision: str, device: str, own: Any) -> str:
    """Weights' type: on a CPU fp32, where bf16 is slower and its noise depends on the batch."""
    if precision != "auto":
        return {"bf16": "bfloat16", "fp32": "float32"}[precision]
    return str(own).removeprefix("torch.") if device == "cuda" and own is not None else "float32"
