"""transformers' continuous batching: a finished completion's place goes to the next prompt."""

from collections.abc import Sequence
from math import ceil
from pathlib import Path
from typing import Any

from mixmerge.core.errors import UserError
from mixmerge.evaluate.engines.base import Engine, Prompt
from mixmerge.evaluate.engines.weights import greedy, load_model
from mixmerge.evaluate.settings import SuiteDecoding
from mixmerge.evaluate.suite import Completion
from mixmerge.evaluate.suite_settings import Decoding

_PAGE = 256
_CPU_CACHE = 16_384
_CPU_STEP = 1024


class ContinuousEngine(Engine):
    """Decodes with a paged cache in a thread of its own; `close` must be called to end that."""

    name = "continuous"

    def __init__(self, checkpoint: Path, decoding: Decoding) -> None:
        """Load tokenizer and weights, and start the thread."""
        from transformers import ContinuousBatchingConfig

        super().__init__(checkpoint, decoding)
        model = load_model(checkpoint, self.dtype, self.device)
        sizes: dict[str, Any] = {}
        if self.device == "cpu":
            # By default it takes 60 % of the memory that is free.
            blocks = ceil(max(self.context, _CPU_CACHE) / _PAGE) + 1
            sizes = {"page_size": _PAGE, "num_blocks": blocks, "max_batch_tokens": _CPU_STEP}
        self._manager: Any = model.init_continuous_batching(
            generation_config=greedy(self.stops, self.chat.tokenizer, model),
            # Shared prefixes would make the arithmetic of a batch depend on the batches before it,
            # and so a resumed job's completions on where it was interrupted.
            continuous_batching_config=ContinuousBatchingConfig(
                allow_block_sharing=False, seed=0, **sizes
            ),
        )
        self._manager.start()

    def complete(self, batch: Sequence[Prompt], own: SuiteDecoding) -> list[Completion]:
        """See `Engine.complete`. Stop strings are cut off afterwards; they save no time here."""
        if own.repetition_penalty != 1:
            raise UserError(
                f"decoding.engine 'continuous' cannot apply repetition_penalty "
                f"{own.repetition_penalty}: transformers' continuous batching leaves it out; set "
                "decoding.engine to 'transformers', 'vllm' or 'auto'"
            )
        # All requests enter at once, so that the same batch always takes the same steps.
        with self._manager.pause():
            for number, prompt in enumerate(batch):
                self._manager.add_request(
                    prompt.tokens, request_id=str(number), max_new_tokens=self.limit(prompt, own)
                )
        rows: dict[int, list[int]] = {}
        while len(rows) < len(batch):
            result = self._manager.get_result(timeout=1)
            if result is None:
                if not self._manager.is_running():
                    raise self._failed(self._manager.background_thread_status.fatal_error)
            elif result.error is not None:
                raise self._failed(result.error)
            elif result.is_finished():
                rows[int(result.request_id)] = result.generated_tokens
        return [self.finish(prompt, rows[row], own) for row, prompt in enumerate(batch)]

    def _failed(self, error: object) -> UserError:
        return UserError(
            f"{self._checkpoint}: transformers' continuous batching failed: {error}; set "
            "decoding.engine to 'transformers', or decoding.in_flight lower"
        )

    def close(self) -> None:
        """End the thread; without it the process would never end."""
        self._manager.stop(hard_stop=True)
        self._manager.destroy()
