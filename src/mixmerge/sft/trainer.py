"""TRL's SFTTrainer with an exact validation loss, whole checkpoints, a NaN stop, and attention.

The callbacks beside it decide when a run evaluates, saves and stops, and what it shows meanwhile.
"""

import math
import time
from pathlib import Path
from typing import Any

from tqdm import tqdm
from transformers import TrainerCallback
from trl import SFTTrainer

from mixmerge.core.errors import UserError
from mixmerge.sft.encoding import IGNORED
from mixmerge.sft.job import StopRequest, keep_checkpoint
from mixmerge.sft.settings import Sft

#: Name under which transformers finds `samplewise_attention` (`attn_implementation`).
SAMPLEWISE = "mixmerge_samplewise"


class Trainer(SFTTrainer):  # type: ignore[misc]
    """Trains one specialist; see the module's docstring for what it adds."""

    #: Whether the checkpoint with the lowest validation loss is kept besides the last one.
    keep_best = True
    #: Whether this run is asked to stop.
    request: StopRequest
    control: Any

    def stop_agreed(self) -> bool:
        """Whether any of the run's processes was asked to stop; all must call this together."""
        import torch

        asked = torch.tensor(float(bool(self.request.signal)), device=self.args.device)
        return bool(self.accelerator.reduce(asked, reduction="sum").item())

    def training_step(self, *args: Any, **kwargs: Any) -> Any:
        """One micro-batch, forward and backward; `UserError` where the loss is not finite."""
        loss = super().training_step(*args, **kwargs)
        if not math.isfinite(loss.item()):
            raise UserError(
                f"training loss is {loss.item()} at step {self.state.global_step + 1}, epoch "
                f"{self.state.epoch or 0:.2f}; lower sft.learning_rate, lengthen sft.warmup_ratio, "
                "or check the data around there. No checkpoint was published"
            )
        return loss

    def evaluate(self, *args: Any, **kwargs: Any) -> dict[str, float]:
        """Mean negative log-likelihood of the validation set's answer tokens, in nats.

        A token counts the same wherever it stands, whatever batch size, packing or number of
        processes; `transformers.Trainer.evaluate` averages means of batches.

        Returns nothing where the run was asked to stop meanwhile: the checkpoint that follows is
        then without the loss, and the run ends with it.
        """
        import torch

        model = self.model_wrapped
        model.eval()
        rows, micro = self.eval_dataset, self.args.per_device_eval_batch_size
        world, rank = self.args.world_size, self.args.process_index
        total = torch.zeros(2, dtype=torch.float64, device=self.args.device)
        last = self.state.global_step >= self.state.max_steps
        for start in range(0, len(rows), micro * world):
            if not last and self.stop_agreed():
                self.control.should_evaluate = False
                self.control.should_training_stop = True
                return {}
            mine = range(start + rank * micro, min(start + (rank + 1) * micro, len(rows)))
            # Under ZeRO-3 each process must take part in each forward pass, with a row or without.
            blank = {**rows[0], "labels": [IGNORED] * len(rows[0]["labels"])}
            batch = [rows[i] for i in mine] or [blank]
            inputs = self._prepare_inputs(self.data_collator(batch))
            with torch.no_grad(), self.compute_loss_context_manager():
                outputs = model(**inputs, use_cache=False, fused_lm_head=True)
            total[0] -= outputs.log_probs.double().sum()
            total[1] += outputs.label_mask.sum()
        total = self.accelerator.reduce(total, reduction="sum")
        metrics = {"eval_loss": (total[0] / total[1]).item()}
        if not math.isfinite(metrics["eval_loss"]):
            raise UserError(
                f"validation loss is {metrics['eval_loss']} after step {self.state.global_step}; "
                "lower sft.learning_rate or check the data. No checkpoint was published"
            )
        self.log(dict(metrics))
        self.control = self.callback_handler.on_evaluate(
            self.args, self.state, self.control, metrics
        )
        return metrics

    def _save_checkpoint(self, model: Any, trial: Any) -> None:
        super()._save_checkpoint(model, trial)
        self.accelerator.wait_for_everyone()
        if self.args.should_save:
            written = Path(self.args.output_dir) / f"checkpoint-{self.state.global_step}"
            keep_checkpoint(written, self.keep_best)
        self.accelerator.wait_for_everyone()

    def create_model_card(self, *args: Any, **kwargs: Any) -> None:
        """No model card: TRL would write one with every checkpoint."""


def evaluation_steps(steps: int, evaluations: int) -> list[int]:
    """Steps after which the validation loss is measured: evenly spaced, the last at the end."""
    wanted = min(steps, evaluations)
    return [round(steps * i / wanted) for i in range(1, wanted + 1)]


class Stopped(Exception):
    """A run ended before its first step, as it was asked to."""


class Schedule(TrainerCallback):  # type: ignore[misc]
    """Asks for evaluations and saves at the settings' steps, ends a run that is to stop; shows it.

    Such a run leaves a checkpoint of the step it is at. An evaluation that was due is left to the
    resumed run, which makes it first thing. Only the one after the last step is waited for: all
    that is left then is publishing. The bar on stderr has loss and speed; an evaluation has a line.
    """

    def __init__(self, settings: Sft, trainer: Trainer, tokens_per_epoch: int) -> None:
        self.settings = settings
        self.trainer = trainer
        self.tokens_per_epoch = tokens_per_epoch
        self.begun = self.epoch = 0.0
        self.evaluations: list[int] = []
        self.bar: Any = None

    def on_train_begin(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        """Spread the evaluations over the run; measure what the run before had to leave."""
        self.trainer.request.begin()
        if state.is_world_process_zero:
            bar = {"initial": state.global_step, "desc": "train", "unit": " steps"}
            self.bar = tqdm(total=state.max_steps, mininterval=1, **bar)
        self.begun, self.epoch = time.perf_counter(), state.epoch or 0.0
        self.evaluations = evaluation_steps(state.max_steps, self.settings.evaluations)
        step = state.global_step
        measured = any(entry["step"] == step for entry in state.log_history if "eval_loss" in entry)
        if self.trainer.stop_agreed() or (
            step in self.evaluations and not measured and not self.trainer.evaluate()
        ):
            raise Stopped

    def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        """Set the Trainer's flags."""
        step, every = state.global_step, self.settings.save_steps
        due = step in self.evaluations
        stop = step < state.max_steps and self.trainer.stop_agreed()
        control.should_evaluate = due and not stop
        control.should_save = stop or due or (every is not None and step % every == 0)
        control.should_training_stop = control.should_training_stop or stop

    def on_save(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        """Stop where the request came while a checkpoint was written: it needs no second one."""
        if state.global_step < state.max_steps and self.trainer.stop_agreed():
            control.should_training_stop = True

    def on_log(self, args: Any, state: Any, control: Any, logs: Any = None, **_: Any) -> None:
        """Move on by a step and show its loss, or print a validation loss."""
        if self.bar is not None and "loss" in logs:
            self.bar.set_postfix(loss=f"{logs['loss']:.3f}", refresh=False)
            self.bar.update()
        elif self.bar is not None and "eval_loss" in logs:
            step = f"step {state.global_step}/{state.max_steps}"
            tqdm.write(f"{step}: validation loss {logs['eval_loss']:.4f}", file=self.bar.fp)

    def on_train_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        """Close the bar and print the speed."""
        if self.bar is not None:
            self.bar.close()
            seconds = time.perf_counter() - self.begun
            tokens = self.tokens_per_epoch * ((state.epoch or 0.0) - self.epoch)
            speed = f"{tokens / seconds:,.0f} tokens/s (evaluation and saving included)"
            tqdm.write(
                f"trained {tokens:,.0f} tokens in {seconds:.1f} s, {speed}", file=self.bar.fp
            )


def samplewise_attention(
    module: Any,
    query: Any,
    key: Any,
    value: Any,
    attention_mask: Any,
    dropout: float = 0.0,
    scaling: float | None = None,
    cu_seq_lens_q: Any = None,
    **kwargs: Any,
) -> tuple[Any, None]:
    """Causal attention within each sample of a packed row, never across a boundary.

    transformers' ``sdpa`` would build a block-diagonal mask and compute all L x L scores of the
    row: at 8 rows of 512 tokens a training step takes 6 times as long on a CPU. FlashAttention's
    variable-length kernels do the same as this, and are used where they are installed.

    Args:
        module: the attention layer.
        query: (1, heads, tokens, head size).
        key: (1, key-value heads, tokens, head size).
        value: as ``key``.
        attention_mask: always None: transformers makes none for an implementation unknown to it.
        dropout: attention dropout.
        scaling: factor on the scores; 1 / sqrt(head size) by default.
        cu_seq_lens_q: (samples + 1), the boundaries, from TRL's padding-free collator.
        kwargs: what other implementations take; a sliding window is refused.

    Returns:
        (1, tokens, heads, head size), and no attention weights.
    """
    import torch
    from torch.nn.functional import scaled_dot_product_attention

    assert cu_seq_lens_q is not None and query.shape[0] == 1, "rows must come packed"
    lengths = cu_seq_lens_q.diff().tolist()
    window = kwargs.get("sliding_window")
    assert not window or max(lengths) <= window, "sliding windows are not supported here"
    samples = zip(*(states.split(lengths, 2) for states in (query, key, value)), strict=True)
    outputs = [
        scaled_dot_product_attention(
            q, k, v, dropout_p=dropout, is_causal=True, scale=scaling, enable_gqa=True
        )
        for q, k, v in samples
    ]
    return torch.cat(outputs, dim=2).transpose(1, 2).contiguous(), None
