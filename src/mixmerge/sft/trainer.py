"""TRL's SFTTrainer with an exact validation loss, whole checkpoints, a NaN stop, a self-check."""

import logging
import math
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

import torch
from pyarrow.compute import list_value_length
from torch.nn.functional import cross_entropy
from tqdm import tqdm
from transformers import PrinterCallback, TrainerCallback
from trl import SFTTrainer

from mixmerge.core.errors import UserError, one_line
from mixmerge.sft.attention import ForwardMode, ForwardPass, forward_modes
from mixmerge.sft.encoding import IGNORED
from mixmerge.sft.job import StopRequest, keep_checkpoint
from mixmerge.sft.settings import Sft

logger = logging.getLogger(__name__)

#: Mean difference of a token's loss, in nats, that is rounding: of another kernel, and of the same
#: one beside other samples (where experts get other shares of a batch).
_ROUNDING = {"fp32": (1e-4, 1e-5), "bf16": (0.05, 0.01)}


class Stopped(Exception):
    """A run ended before its first step, as it was asked to."""


class Trainer(SFTTrainer, TrainerCallback):  # type: ignore[misc]
    """Trains one specialist; its own callback, which evaluates, saves and stops by the settings.

    A run that is asked to stop saves the step it is at. An evaluation that was due is left to the
    resumed run, which makes it first thing; only the one after the last step is waited for.
    """

    def __init__(
        self, settings: Sft, request: StopRequest, epoch_tokens: int, flash: bool, **rest: Any
    ) -> None:
        """``epoch_tokens`` are those of an epoch, for the speed that is shown.

        ``flash`` is whether FlashAttention runs here, in this precision.
        """
        super().__init__(**rest)
        self.base = self.model.get_base_model() if settings.lora else self.model
        self.forward_pass = ForwardPass(self.base, self.processing_class.pad_token_id)
        self.flash = flash
        self.settings = settings
        self.request = request
        self.epoch_tokens = epoch_tokens
        self.remove_callback(PrinterCallback)
        self.add_callback(self)

    def stop_agreed(self) -> bool:
        """Whether any of the run's processes was asked to stop; all must call this together."""
        asked = torch.tensor(float(bool(self.request.signal)), device=self.args.device)
        return bool(self.accelerator.reduce(asked, reduction="sum").item())

    def choose_attention(self) -> None:
        """Compute as fast as agrees with the model's own eager forward pass, sample by sample.

        Compares the losses of all tokens of a row or two of the training set. Raises `UserError`
        where no way agrees, or the model looks ahead.
        """
        rows = [{**row, "labels": row["input_ids"]} for row in probe_rows(self.train_dataset)]
        batch = self._prepare_inputs(self.data_collator(rows))
        samples: list[torch.Tensor] = []
        for row in rows:
            tokens: Any = torch.tensor(row["input_ids"], device=self.args.device)
            samples += tokens.split(row["seq_lengths"])
        first, name = samples[0], type(self.base).__name__
        half, past = len(first) // 2, len(first) - 1
        # What must not matter: to the other samples the first one, to its start its end.
        others = {**batch, "input_ids": batch["input_ids"].clone()}
        others["input_ids"][0, : len(first)] = first.flip(0)
        ending = torch.cat([first[:half], first[half:].flip(0)])
        where, rejected = f"{self.base.config.name_or_path}: {name}", dict[str, ForwardMode]()
        rounding, beside = _ROUNDING[self.settings.precision]
        self.model_wrapped.eval()
        with torch.no_grad(), self.compute_loss_context_manager():
            try:
                self.forward_pass.set(ForwardMode())
                own = torch.cat([self._own_losses(sample) for sample in samples])
                ahead = self._gap(self._own_losses(ending)[: half - 1], own[: half - 1])
            except Exception as error:  # each model's code fails in its own way
                problem = one_line(f"{type(error).__name__}: {error}", 300)
                raise UserError(f"{where}: its own eager forward pass fails: {problem}") from error
            if ahead > rounding:
                raise UserError(
                    f"{where}: is no causal language model: where the end of a text changes, the "
                    f"losses before it do by {ahead:.2g} nats a token; choose another model"
                )
            for way in forward_modes(self.base, self.settings.packing, self.flash):
                losses, again, reason = own + math.nan, own, ""
                try:
                    self.forward_pass.set(way)
                    losses, again = (self._losses(inputs) for inputs in (batch, others))
                except Exception as error:
                    reason = one_line(f"{type(error).__name__}: {error}", 200)
                    with suppress(Exception):  # ZeRO-3 mends an interrupted pass in the next one
                        self._own_losses(first)
                gap, seen = self._gap(losses, own), self._gap(losses[past:], again[past:])
                if gap <= rounding and (seen <= beside or not way.whole):
                    break
                reason = reason or f"losses differ by {max(gap, seen):.2g} nats a token"
                rejected.setdefault(reason, way)
            else:
                reasons = "; ".join(f"{way}: {reason}" for reason, way in rejected.items())
                raise UserError(f"{where}: can't be trained as it computes by itself: {reasons}")
        for reason, rejection in rejected.items():
            logger.info("not by %s (%s)", rejection, reason)
        loss, alone = losses.mean().item(), own.mean().item()
        message = "%s by %s: loss %.6f of %d samples together, %.6f one by one in eager attention"
        logger.info(message, name, way, loss, len(samples), alone)

    def _losses(self, batch: dict[str, Any]) -> torch.Tensor:
        """Losses of a batch's labels as training computes them, in nats."""
        output = self.model_wrapped(**batch, use_cache=False, fused_lm_head=True)
        losses: torch.Tensor = -output.log_probs[output.label_mask]
        return losses

    def _own_losses(self, ids: torch.Tensor) -> torch.Tensor:
        """Loss of each token of a sample but the first, by the model's own forward, in nats."""
        logits = self.model_wrapped(input_ids=ids[None], use_cache=False).logits[0, :-1]
        return cross_entropy(logits.float(), ids[1:], reduction="none")

    def _gap(self, some: torch.Tensor, others: torch.Tensor) -> float:
        """Mean difference of losses, in all of the run's processes."""
        mean = (some - others).abs().double().sum() / max(len(some), 1)
        return float(self.accelerator.reduce(mean, reduction="mean").item())

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
        self.choose_attention()
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


def probe_rows(rows: Any) -> list[dict[str, Any]]:
    """The row with the longest sample, and another: that of the most samples, or the shortest.

    Packed ``rows`` have ``seq_lengths``; those returned have them in any case.
    """
    if "seq_lengths" in rows.column_names:
        sizes = list(rows["seq_lengths"])
    else:
        sizes = [[n] for n in list_value_length(rows.data.column("input_ids")).to_pylist()]
    numbers = sorted(range(len(sizes)), key=lambda i: -max(sizes[i]))
    others = (i for i in numbers[1:] if sum(sizes[i]) > 2)  # none that only fills an epoch up
    other = max(others, key=lambda i: (len(sizes[i]), -sum(sizes[i])), default=numbers[0])
    chosen = dict.fromkeys((numbers[0], other))
    return [{**rows[i], "seq_lengths": sizes[i]} for i in chosen]
