"""TRL's SFTTrainer with an exact validation loss, whole checkpoints, a NaN stop, and attention."""

import math
import time
from pathlib import Path
from typing import Any

import torch
from torch.nn.functional import scaled_dot_product_attention
from tqdm import tqdm
from transformers import AttentionInterface, PrinterCallback, TrainerCallback
from trl import SFTTrainer

from mixmerge.core.errors import UserError
from mixmerge.sft.encoding import IGNORED
from mixmerge.sft.job import StopRequest, keep_checkpoint
from mixmerge.sft.settings import Sft

#: Name under which transformers finds `samplewise_attention` (`attn_implementation`).
SAMPLEWISE = "mixmerge_samplewise"


class Stopped(Exception):
    """A run ended before its first step, as it was asked to."""


class Trainer(SFTTrainer, TrainerCallback):  # type: ignore[misc]
    """Trains one specialist; its own callback, which evaluates, saves and stops by the settings.

    A run that is asked to stop saves the step it is at. An evaluation that was due is left to the
    resumed run, which makes it first thing; only the one after the last step is waited for.
    """

    def __init__(self, settings: Sft, request: StopRequest, epoch_tokens: int, **rest: Any) -> None:
        """``epoch_tokens`` are those of an epoch, for the speed that is shown."""
        super().__init__(**rest)
        self.settings = settings
        self.request = request
        self.epoch_tokens = epoch_tokens
        self.remove_callback(PrinterCallback)
        self.add_callback(self)

    def stop_agreed(self) -> bool:
        """Whether any of the run's processes was asked to stop; all must call this together."""
        asked = torch.tensor(float(bool(self.request.signal)), device=self.args.device)
        return bool(self.accelerator.reduce(asked, reduction="sum").item())

    def evaluate(self, *_: Any, **__: Any) -> dict[str, float]:
        """Mean negative log-likelihood of the validation set's answer tokens, in nats.

        Each token counts the same; `transformers.Trainer.evaluate` averages means of batches.
        Empty where the run was asked to stop meanwhile, which then saves without it, and ends.
        """
        self.control.should_evaluate = False
        model = self.model_wrapped
        model.eval()
        rows, micro = self.eval_dataset, self.args.per_device_eval_batch_size
        world, rank = self.args.world_size, self.args.process_index
        total = torch.zeros(2, dtype=torch.float64, device=self.args.device)
        for start in range(0, len(rows), micro * world):
            if self.state.global_step < self.state.max_steps and self.stop_agreed():
                self.control.should_training_stop = True
                return {}
            mine = range(start + rank * micro, min(start + (rank + 1) * micro, len(rows)))
            # Under ZeRO-3 each process must take part in each forward pass, with a row or without.
            blank = {**rows[0], "labels": [IGNORED] * len(rows[0]["labels"])}
            inputs = self._prepare_inputs(self.data_collator([rows[i] for i in mine] or [blank]))
            with torch.no_grad(), self.compute_loss_context_manager():
                outputs = model(**inputs, use_cache=False, fused_lm_head=True)
            total[0] -= outputs.log_probs.double().sum()
            total[1] += outputs.label_mask.sum()
        total = self.accelerator.reduce(total, reduction="sum")
        metrics = {"eval_loss": (total[0] / total[1]).item()}
        self.log(dict(metrics))
        return metrics

    def _save_checkpoint(self, model: Any, trial: Any) -> None:
        super()._save_checkpoint(model, trial)
        self.accelerator.wait_for_everyone()
        if self.args.should_save:
            written = Path(self.args.output_dir) / f"checkpoint-{self.state.global_step}"
            keep_checkpoint(written, self.settings.checkpoint == "best")
        self.accelerator.wait_for_everyone()

    def create_model_card(self, *_: Any, **__: Any) -> None:
        """No model card: TRL would write one with every checkpoint."""

    def on_train_begin(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        """Spread the evaluations over the run; measure what the run before had to leave."""
        self.request.begun.touch()
        step, steps = state.global_step, state.max_steps
        bar = {"initial": step, "desc": "train", "unit": " steps", "mininterval": 1}
        self.bar = tqdm(total=steps, disable=not state.is_world_process_zero, **bar)
        self.started_at = time.perf_counter()
        self.started_epoch = state.epoch or 0.0
        count = min(steps, self.settings.evaluations)
        self.evaluations = [round(steps * i / count) for i in range(1, count + 1)]
        measured = any(entry["step"] == step for entry in state.log_history if "eval_loss" in entry)
        due = step in self.evaluations and not measured
        if self.stop_agreed() or (due and not self.evaluate()):
            raise Stopped

    def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        """Set the Trainer's flags."""
        step, every = state.global_step, self.settings.save_steps
        due = step in self.evaluations
        stop = step < state.max_steps and self.stop_agreed()
        control.should_evaluate = due and not stop
        control.should_save = stop or due or (every is not None and step % every == 0)
        control.should_training_stop = control.should_training_stop or stop

    def on_save(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        """Stop where the request came while a checkpoint was written: it needs no second one."""
        if state.global_step < state.max_steps and self.stop_agreed():
            control.should_training_stop = True

    def on_log(self, args: Any, state: Any, control: Any, logs: Any = None, **_: Any) -> None:
        """Show a step's loss or a validation loss; `UserError` where it is not finite."""
        step = f"step {state.global_step}/{state.max_steps}"
        for key, kind in (("loss", "training"), ("eval_loss", "validation")):
            if not math.isfinite(loss := logs.get(key, 0.0)):
                raise UserError(
                    f"{kind} loss is {loss} at {step}; lower sft.learning_rate, lengthen "
                    "sft.warmup_ratio, or check the data. No checkpoint was published"
                )
        if "loss" in logs:
            self.bar.set_postfix(loss=f"{logs['loss']:.3f}", refresh=False)
            self.bar.update()
        elif "eval_loss" in logs:
            self._tell(f"{step}: validation loss {logs['eval_loss']:.4f}")

    def on_train_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        """Close the bar and print the speed."""
        self.bar.close()
        seconds = time.perf_counter() - self.started_at
        tokens = self.epoch_tokens * ((state.epoch or 0.0) - self.started_epoch)
        speed = f"{tokens / seconds:,.0f} tokens/s (evaluation and saving included)"
        self._tell(f"trained {tokens:,.0f} tokens in {seconds:.1f} s, {speed}")

    def _tell(self, line: str) -> None:
        if not self.bar.disable:
            tqdm.write(line, file=self.bar.fp)


def samplewise_attention(
    module: Any, query: Any, key: Any, value: Any, mask: Any, **options: Any
) -> tuple[Any, None]:
    """Causal attention within each sample of a packed row, never across a boundary.

    transformers' ``sdpa`` would build a block-diagonal mask and compute all L x L scores of the
    row: at 8 rows of 512 tokens a training step takes 6 times as long on a CPU. FlashAttention's
    variable-length kernels do the same as this, and are used where they are installed.

    ``query`` is (1, heads, tokens, head size), ``key`` and ``value`` (1, key-value heads, tokens,
    head size); the option ``cu_seq_lens_q`` (samples + 1) has the boundaries, from TRL's
    padding-free collator. Returns (1, tokens, heads, head size), and no attention weights.
    """
    bounds, window = options.get("cu_seq_lens_q"), options.get("sliding_window")
    assert bounds is not None and query.shape[0] == 1, "rows must come packed"
    lengths = bounds.diff().tolist()
    assert not window or max(lengths) <= window, "sliding windows are not supported here"
    samples = zip(*(states.split(lengths, 2) for states in (query, key, value)), strict=True)
    kernel = {"dropout_p": options.get("dropout", 0.0), "scale": options.get("scaling")}
    kernel |= {"is_causal": True, "enable_gqa": True}
    outputs = [scaled_dot_product_attention(*sample, **kernel) for sample in samples]
    return torch.cat(outputs, dim=2).transpose(1, 2).contiguous(), None


AttentionInterface.register(SAMPLEWISE, samplewise_attention)
