"""vLLM, where it is installed (it is not among the requirements) and there is a GPU."""

import gc
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from mixmerge.checkpoint.code import trusts_code
from mixmerge.evaluate.engines.base import Engine, Prompt
from mixmerge.evaluate.settings import SuiteDecoding
from mixmerge.evaluate.suite import Completion
from mixmerge.evaluate.suite_settings import Decoding


class VllmEngine(Engine):
    """Hands token ids to vLLM and takes token ids back; everything else happens here."""

    name = "vllm"
    packages = (*Engine.packages, "vllm")

    def __init__(self, checkpoint: Path, decoding: Decoding) -> None:
        """Load tokenizer and weights."""
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

    def complete(self, batch: Sequence[Prompt], own: SuiteDecoding) -> list[Completion]:
        """See `Engine.complete`."""
        from vllm import SamplingParams, TokensPrompt

        outputs = self._llm.generate(
            [TokensPrompt(prompt_token_ids=prompt.tokens) for prompt in batch],
            [
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
            ],
            use_tqdm=False,
        )
        return [
            self.finish(prompt, list(output.outputs[0].token_ids), own)
            for prompt, output in zip(batch, outputs, strict=True)
        ]

    def close(self) -> None:
        """Give the GPU's memory back."""
        import torch

        del self._llm
        gc.collect()
        torch.cuda.empty_cache()
