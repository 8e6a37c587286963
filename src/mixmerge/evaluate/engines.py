"""The engines: transformers in padded batches, its continuous batching, and vLLM."""

import gc
import os
from collections.abc import Collection, Sequence
from importlib.util import find_spec
from math import ceil
from pathlib import Path
from typing import Any

import torch
from torch.nn.utils.rnn import pad_sequence
from transformers import (
    AutoModelForCausalLM,
    GenerationConfig,
    LogitsProcessorList,
    RepetitionPenaltyLogitsProcessor,
    StoppingCriteria,
    StoppingCriteriaList,
)

from mixmerge.checkpoint.code import trusts_code
from mixmerge.core.errors import UserError
from mixmerge.evaluate.engine import Engine, Prompt, choose, holds_stop, stop_window
from mixmerge.evaluate.settings import Decoding, SuiteDecoding

#: Sizes of the continuous engine's cache on a CPU, in tokens.
_PAGE, _CPU_CACHE, _CPU_STEP = 256, 16_384, 1024


def load_model(checkpoint: Path, dtype: str, device: str) -> Any:
    """Load a checkpoint's model with transformers, ready to decode.

    Raises:
        UserError: the weights cannot be read or do not fit the config.
    """
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


def _greedy(stops: list[int], tokenizer: Any, model: Any) -> Any:
    """A generation config that decodes greedily and does nothing else.

    A hub checkpoint brings sampling settings and, for some, a repetition penalty, which
    transformers would take where ours are unset: one decoding for all arms means none of it.
    """
    pad = tokenizer.pad_token_id
    # A tokenizer may add a pad token that the embedding table has no row for.
    if pad is None or pad >= model.get_input_embeddings().num_embeddings:
        pad = stops[0]
    return GenerationConfig(do_sample=False, eos_token_id=stops, pad_token_id=pad)


class PaddedEngine(Engine):
    """transformers' `generate` on batches padded on the left: runs anywhere, honours everything."""

    name = "transformers"

    def __init__(self, checkpoint: Path, decoding: Decoding) -> None:
        super().__init__(checkpoint, decoding)
        self.batch = decoding.batch_size
        self._model: Any = load_model(checkpoint, self.dtype, self.device)
        self._model.generation_config = _greedy(self.stops, self.chat.tokenizer, self._model)

    @torch.inference_mode()
    def decode(self, batch: Sequence[Prompt], own: SuiteDecoding) -> list[list[int]]:
        """See `Engine.decode`."""
        rows = [torch.tensor(prompt.tokens) for prompt in batch]
        pad = self._model.generation_config.pad_token_id
        ids = pad_sequence(rows, True, pad, "left").to(self.device)
        mask = pad_sequence([torch.ones_like(row) for row in rows], True, 0, "left").to(self.device)
        width = ids.shape[1]
        criteria = [StopStrings(self.chat.tokenizer, own.stop, width)] if own.stop else []
        penalty = own.repetition_penalty
        processors = [PaddedRepetitionPenalty(penalty, ids, mask)] if penalty != 1 else []
        out = self._model.generate(
            ids,
            attention_mask=mask,
            max_new_tokens=max(self.limit(prompt, own) for prompt in batch),
            stopping_criteria=StoppingCriteriaList(criteria),
            logits_processor=LogitsProcessorList(processors),
        )
        written: list[list[int]] = out[:, width:].tolist()
        return written


class StopStrings(StoppingCriteria):  # type: ignore[misc]
    """Ends a row once its newest text holds one of the strings.

    transformers' own `StopStringCriteria` compiles tables over the whole vocabulary first, which
    takes longer than the decoding itself for a short suite; decoding the last few tokens does not.
    """

    def __init__(self, tokenizer: Any, strings: Sequence[str], prompt_length: int) -> None:
        self._tokenizer, self._strings, self._prompt_length = tokenizer, strings, prompt_length

    def __call__(self, input_ids: torch.Tensor, scores: Any, **kwargs: Any) -> torch.Tensor:
        """True for each row that is done; ``input_ids`` is (rows, prompt + generated)."""
        start = max(self._prompt_length, input_ids.shape[1] - stop_window(self._strings))
        tails = input_ids[:, start:].tolist()
        done = [holds_stop(self._tokenizer, tail, self._strings) for tail in tails]
        return torch.tensor(done, device=input_ids.device)


class PaddedRepetitionPenalty(RepetitionPenaltyLogitsProcessor):  # type: ignore[misc]
    """transformers' repetition penalty, blind to left padding.

    Its own processor counts pad tokens as seen. Where the pad token is a stop token, a prompt
    would stop later or earlier depending on how long its neighbours in the batch are.
    """

    def __init__(self, penalty: float, prompts: torch.Tensor, mask: torch.Tensor) -> None:
        super().__init__(penalty)
        # A pad becomes the prompt's last token, which is penalised anyway: how often a token was
        # seen does not count.
        self._prompts = torch.where(mask == 1, prompts, prompts[:, -1:])

    def __call__(self, input_ids: torch.Tensor, scores: torch.Tensor) -> torch.Tensor:
        """Penalised ``scores`` (rows, vocabulary) for the next token."""
        written = input_ids[:, self._prompts.shape[1] :]
        seen = torch.cat([self._prompts, written], dim=1)
        penalised: torch.Tensor = super().__call__(seen, scores)
        return penalised


class ContinuousEngine(Engine):
    """transformers' continuous batching: a finished completion's place goes to the next prompt.

    It decodes with a paged cache in a thread of its own; `close` must be called to end that.
    """

    name = "continuous"

    def __init__(self, checkpoint: Path, decoding: Decoding) -> None:
        from transformers import ContinuousBatchingConfig

        super().__init__(checkpoint, decoding)
        model = load_model(checkpoint, self.dtype, self.device)
        sizes: dict[str, Any] = {}
        if self.device == "cpu":
            # By default it takes 60 % of the memory that is free.
            blocks = ceil(max(self.context, _CPU_CACHE) / _PAGE) + 1
            sizes = {"page_size": _PAGE, "num_blocks": blocks, "max_batch_tokens": _CPU_STEP}
        self._manager: Any = model.init_continuous_batching(
            generation_config=_greedy(self.stops, self.chat.tokenizer, model),
            # Shared prefixes would make the arithmetic of a batch depend on the batches before it,
            # and so a resumed job's completions on where it was interrupted.
            continuous_batching_config=ContinuousBatchingConfig(
                allow_block_sharing=False, seed=0, **sizes
            ),
        )
        self._manager.start()

    def decode(self, batch: Sequence[Prompt], own: SuiteDecoding) -> list[list[int]]:
        """See `Engine.decode`; stop strings save no time here."""
        # All requests enter at once, so that the same batch always takes the same steps.
        with self._manager.pause():
            for number, prompt in enumerate(batch):
                self._manager.add_request(
                    prompt.tokens, request_id=str(number), max_new_tokens=self.limit(prompt, own)
                )
        written: dict[int, list[int]] = {}
        while len(written) < len(batch):
            result = self._manager.get_result(timeout=1)
            failed = result is None and not self._manager.is_running()
            if failed or (result is not None and result.error is not None):
                status = self._manager.background_thread_status
                raise UserError(
                    f"{self.checkpoint}: transformers' continuous batching failed: "
                    f"{status.fatal_error if failed else result.error}; set decoding.engine to "
                    "'transformers', or decoding.in_flight lower"
                )
            if result is not None and result.is_finished():
                written[int(result.request_id)] = result.generated_tokens
        return [written[number] for number in range(len(batch))]

    def close(self) -> None:
        """End the thread; without it the process would never end."""
        self._manager.stop(hard_stop=True)
        self._manager.destroy()


class VllmEngine(Engine):
    """vLLM, where it is installed (it is not among the requirements) and there is a GPU.

    It is handed token ids and gives token ids back; everything else happens here.
    """

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
            # Its "auto" would fall back to pickles.
            load_format="safetensors",
            # Its "auto" would take fp32 weights down to fp16.
            dtype=self.dtype,
            max_model_len=self.context,
            # Defaults of its own instead of the checkpoint's sampling settings.
            generation_config="vllm",
            # A resumed job must not depend on what was cached before the interruption.
            enable_prefix_caching=False,
            seed=0,
            trust_remote_code=trusts_code(checkpoint),
        )

    def decode(self, batch: Sequence[Prompt], own: SuiteDecoding) -> list[list[int]]:
        """See `Engine.decode`."""
        from vllm import SamplingParams, TokensPrompt

        parameters = [
            SamplingParams(
                temperature=0.0,
                max_tokens=self.limit(prompt, own),
                repetition_penalty=own.repetition_penalty,
                # Our stop tokens and no others, whatever vLLM reads from the checkpoint.
                stop_token_ids=self.stops,
                ignore_eos=True,
                stop=own.stop or None,
                include_stop_str_in_output=True,
            )
            for prompt in batch
        ]
        prompts = [TokensPrompt(prompt_token_ids=prompt.tokens) for prompt in batch]
        outputs = self._llm.generate(prompts, parameters, use_tqdm=False)
        return [list(output.outputs[0].token_ids) for output in outputs]

    def close(self) -> None:
        """Give the GPU's memory back."""
        del self._llm
        gc.collect()
        torch.cuda.empty_cache()


ENGINES: dict[str, type[Engine]] = {
    engine.name: engine for engine in (PaddedEngine, ContinuousEngine, VllmEngine)
}


def load_engine(checkpoint: Path, decoding: Decoding, suites: Collection[SuiteDecoding]) -> Engine:
    """Load a checkpoint into the engine that settings and machine ask for (see `choose`)."""
    cuda, vllm = torch.cuda.is_available(), find_spec("vllm") is not None
    return ENGINES[choose(decoding.engine, suites, cuda=cuda, vllm=vllm)](checkpoint, decoding)
