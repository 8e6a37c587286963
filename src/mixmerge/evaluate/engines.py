"""The engines: transformers in padded batches, its continuous batching, and vLLM."""

import gc
import os
from abc import ABC, abstractmethod
from collections.abc import Sequence
from math import ceil
from pathlib import Path
from typing import Any, ClassVar

import torch
from torch.nn.utils.rnn import pad_sequence
from transformers import AutoModelForCausalLM, GenerationConfig
from transformers.utils import logging

from mixmerge.checkpoint.side_files import context_length, load_config, trusts_code
from mixmerge.checkpoint.tokenizer import load_chat, stop_tokens
from mixmerge.core.errors import UserError
from mixmerge.evaluate.settings import Decoding, SuiteDecoding
from mixmerge.evaluate.suite import Completion, Prompt

_DTYPES = {"bf16": "bfloat16", "fp32": "float32"}
#: Sizes of the continuous engine's cache on a CPU, in tokens.
_PAGE, _CPU_CACHE, _CPU_STEP = 256, 16_384, 1024


class Engine(ABC):
    """A checkpoint in memory that completes prompts greedily; subclasses load the weights."""

    name: ClassVar[str]
    #: Distributions whose versions matter for what is written.
    packages: ClassVar[tuple[str, ...]] = ("torch", "transformers", "tokenizers")

    def __init__(self, checkpoint: Path, decoding: Decoding) -> None:
        logging.set_verbosity_error()
        logging.disable_progress_bar()
        torch.set_num_threads(decoding.threads)
        self.checkpoint = checkpoint
        self.batch = decoding.in_flight  # prompts that `complete` is to be given at a time
        self.device = "cuda" if torch.cuda.is_available() else "cpu"
        self.chat = load_chat(checkpoint)
        self.stops = stop_tokens(checkpoint, self.chat)
        # Nothing of a checkpoint's own decoding. A tokenizer's own pad token may lack a row in the
        # embedding table; a row's padding is cut off.
        options = {"eos_token_id": self.stops, "pad_token_id": self.stops[0]}
        self.greedy: Any = GenerationConfig(do_sample=False, **options)
        config = load_config(checkpoint)
        self.context = context_length(checkpoint)[1]  # longest sequence that it takes, if any
        # On a CPU, bf16 is slower and its noise depends on the batch.
        own = str(config.dtype or "float32").removeprefix("torch.")
        automatic = own if self.device == "cuda" else "float32"
        self.dtype = _DTYPES.get(decoding.precision, automatic)

    def complete(self, batch: Sequence[Prompt], own: SuiteDecoding) -> list[Completion]:
        """Complete prompts shorter than the context greedily; rows come in their order."""
        written = self._decode(batch, own)
        return [self.finish(*pair, own) for pair in zip(batch, written, strict=True)]

    @abstractmethod
    def _decode(self, batch: Sequence[Prompt], own: SuiteDecoding) -> list[list[int]]:
        """The tokens after each prompt; they may run on past a completion's end."""

    def close(self) -> None:  # noqa: B027 -- only some engines hold more than memory
        """Give back threads and devices; the engine is of no use afterwards."""

    def limit(self, prompt: Prompt, own: SuiteDecoding) -> int:
        """Longest completion of a prompt in tokens; less near the context's end."""
        room = own.max_new_tokens if self.context is None else self.context - len(prompt.tokens)
        return min(own.max_new_tokens, room)

    def finish(self, prompt: Prompt, tokens: list[int], own: SuiteDecoding) -> Completion:
        """Cut what was written at a stop token, the limit or a stop string; say at which."""
        limit = self.limit(prompt, own)
        tokens = tokens[:limit]
        end = next((i for i, token in enumerate(tokens) if token in self.stops), None)
        body = tokens[:end]
        reason, length = ("length", limit) if end is None else ("stop", len(body) + 1)
        text = self.text(body)
        if self.holds(body, own.stop):
            # The first length at which the text holds one of the strings. A longer text may not:
            # with byte fallback, half a character makes unknown what stands before it.
            near = (n for n in range(1, len(body)) if self.holds(body[:n], own.stop, at_end=True))
            length = next((n for n in near if self.holds(body[:n], own.stop)), len(body))
            reason, text = "stop_string", self.text(body[:length])
            text = text[: min(at for at in map(text.find, own.stop) if at >= 0)]
        elif end is None and len(tokens) < limit:
            count = f"{len(tokens)} of {limit} tokens without a stop token or string"
            raise RuntimeError(f"engine {self.name!r} ended {prompt.id!r} after {count}")
        return Completion(prompt.id, text, reason, len(prompt.tokens), length)

    def text(self, tokens: list[int]) -> str:
        """The text of a completion's tokens, or of a stretch of them."""
        decode = self.chat.tokenizer.decode
        return str(decode(tokens, skip_special_tokens=True, clean_up_tokenization_spaces=False))

    def holds(self, tokens: list[int], strings: Sequence[str], at_end: bool = False) -> bool:
        """Whether the text of tokens, or of so many at their end, holds one of the strings."""
        if not strings:
            return False
        if at_end:  # a character has up to four bytes, a token may be one
            tokens = tokens[-4 * max(map(len, strings)) - 1 :]
        text = self.text(tokens)
        return any(string in text for string in strings)


def load_model(checkpoint: Path, dtype: str, device: str) -> Any:
    """A checkpoint's model, ready to decode; its weights must be those of its config."""
    try:
        model, report = AutoModelForCausalLM.from_pretrained(
            checkpoint,
            dtype=dtype,
            local_files_only=True,
            use_safetensors=True,
            trust_remote_code=trusts_code(checkpoint),
            output_loading_info=True,
        )
    except (OSError, ValueError, RuntimeError) as error:
        raise UserError(f"{checkpoint}: cannot be loaded: {error}") from error
    # transformers only warns of tensors left at random, or left over.
    for what in ("missing", "unexpected", "mismatched"):
        if names := sorted(map(str, report.get(f"{what}_keys") or [])):
            example = f"{what} tensors, such as {names[0]} ({len(names)} in all)"
            raise UserError(f"{checkpoint}: {example}: the weights are not those of config.json")
    return model.to(device).eval()


class PaddedEngine(Engine):
    """transformers' `generate` on batches padded on the left: runs anywhere, honours everything."""

    name = "transformers"

    def __init__(self, checkpoint: Path, decoding: Decoding) -> None:
        super().__init__(checkpoint, decoding)
        self.batch = decoding.batch_size
        self._model: Any = load_model(checkpoint, self.dtype, self.device)
        self._model.generation_config = self.greedy

    @torch.inference_mode()
    def _decode(self, batch: Sequence[Prompt], own: SuiteDecoding) -> list[list[int]]:
        rows = [torch.tensor(prompt.tokens) for prompt in batch]
        ids = pad_sequence(rows, True, self.stops[0], "left").to(self.device)
        mask = pad_sequence([torch.ones_like(row) for row in rows], True, 0, "left").to(self.device)
        width = ids.shape[1]

        def met_string(ids: torch.Tensor, scores: Any, **_: Any) -> torch.Tensor:
            # transformers' own criterion compiles tables over the whole vocabulary first, which
            # takes longer than the decoding of a short suite.
            met = [self.holds(row, own.stop, at_end=True) for row in ids[:, width:].tolist()]
            return torch.tensor(met, device=ids.device)

        out = self._model.generate(
            ids,
            attention_mask=mask,
            max_new_tokens=max(self.limit(prompt, own) for prompt in batch),
            stopping_criteria=[met_string] if own.stop else [],
            repetition_penalty=own.repetition_penalty,  # blind to what the mask leaves out
        )
        written: list[list[int]] = out[:, width:].tolist()
        return written


class ContinuousEngine(Engine):
    """transformers' continuous batching: a finished completion's place goes to the next prompt."""

    name = "continuous"

    def __init__(self, checkpoint: Path, decoding: Decoding) -> None:
        from transformers import ContinuousBatchingConfig

        super().__init__(checkpoint, decoding)
        model = load_model(checkpoint, self.dtype, self.device)
        sizes: dict[str, Any] = {}
        if self.device == "cpu":
            # By default it takes 60 % of the memory that is free.
            blocks = ceil(max(self.context or 0, _CPU_CACHE) / _PAGE) + 1
            sizes = {"page_size": _PAGE, "num_blocks": blocks, "max_batch_tokens": _CPU_STEP}
        # Shared prefixes would make the arithmetic of a batch depend on the batches before it, and
        # so a resumed job's completions on where it was interrupted.
        config = ContinuousBatchingConfig(allow_block_sharing=False, seed=0, **sizes)
        self._manager: Any = model.init_continuous_batching(self.greedy, config)
        self._manager.start()

    def _decode(self, batch: Sequence[Prompt], own: SuiteDecoding) -> list[list[int]]:
        # All requests enter at once, so that the same batch always takes the same steps.
        with self._manager.pause():
            for number, prompt in enumerate(batch):
                self._manager.add_request(
                    prompt.tokens, request_id=str(number), max_new_tokens=self.limit(prompt, own)
                )
        written: dict[int, list[int]] = {}
        while len(written) < len(batch):
            result = self._manager.get_result(timeout=1)
            error = result and result.error
            if result is None and not self._manager.is_running():
                error = self._manager.background_thread_status.fatal_error or "its thread ended"
            if error is not None:
                raise UserError(
                    f"{self.checkpoint}: transformers' continuous batching failed: {error}; set "
                    "decoding.engine to 'transformers', or decoding.in_flight lower"
                )
            if result is not None and result.is_finished():
                written[int(result.request_id)] = result.generated_tokens
        return [written[number] for number in range(len(batch))]

    def close(self) -> None:
        """End the thread; without it the process would never end."""
        self._manager.stop(hard_stop=True)
        self._manager.destroy()


class VllmEngine(Engine):
    """vLLM, where it is installed (it is not among the requirements) and there is a GPU."""

    name = "vllm"
    packages = (*Engine.packages, "vllm")

    def __init__(self, checkpoint: Path, decoding: Decoding) -> None:
        super().__init__(checkpoint, decoding)
        # vLLM's scheduling is the same from run to run only within one process.
        os.environ.setdefault("VLLM_ENABLE_V1_MULTIPROCESSING", "0")
        os.environ.setdefault("VLLM_NO_USAGE_STATS", "1")
        from vllm import LLM

        self._llm: Any = LLM(
            model=str(checkpoint),
            load_format="safetensors",  # its "auto" would fall back to pickles
            dtype=self.dtype,  # its "auto" would take fp32 weights down to fp16
            max_model_len=self.context,  # None: as vLLM reads the config
            generation_config="vllm",  # not the checkpoint's sampling settings
            # A resumed job must not depend on what was cached before the interruption.
            enable_prefix_caching=False,
            seed=0,
            trust_remote_code=trusts_code(checkpoint),
        )

    def _decode(self, batch: Sequence[Prompt], own: SuiteDecoding) -> list[list[int]]:
        from vllm import SamplingParams, TokensPrompt

        options = {
            "temperature": 0.0,
            "repetition_penalty": own.repetition_penalty,
            # Our stop tokens and no others, whatever vLLM reads from the checkpoint.
            "stop_token_ids": self.stops,
            "ignore_eos": True,
            "stop": own.stop or None,
            "include_stop_str_in_output": True,
        }
        limits = [SamplingParams(max_tokens=self.limit(prompt, own), **options) for prompt in batch]
        prompts = [TokensPrompt(prompt_token_ids=prompt.tokens) for prompt in batch]
        outputs = self._llm.generate(prompts, limits, use_tqdm=False)
        return [list(output.outputs[0].token_ids) for output in outputs]

    def close(self) -> None:
        """Give the GPU's memory back."""
        del self._llm
        gc.collect()
        torch.cuda.empty_cache()


_KINDS: tuple[type[Engine], ...] = (PaddedEngine, ContinuousEngine, VllmEngine)
ENGINES = {engine.name: engine for engine in _KINDS}
