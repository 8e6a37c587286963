"""TRL's SFTTrainer with an exact validation loss, checkpoints known to be whole, and a NaN stop."""

import math
from pathlib import Path
from typing import Any

from trl import SFTTrainer

from mixmerge.core.errors import UserError
from mixmerge.sft.checkpoints import mark_complete, prune
from mixmerge.sft.encoding import IGNORED
from mixmerge.sft.preemption import Request


class Trainer(SFTTrainer):  # type: ignore[misc]
    """Trains one specialist; see the module's docstring for what it adds."""

    #: Whether the checkpoint with the lowest validation loss is kept besides the last one.
    keep_best = True
    #: Whether this process was asked to stop.
    request: Request
    control: Any

    def stop_agreed(self) -> bool:
        """Whether any of the run's processes was asked to stop; all must call this together."""
        import torch

        asked = torch.tensor(float(self.request.asked), device=self.args.device)
        return bool(self.accelerator.reduce(asked, reduction="sum").item())

    def training_step(self, *args: Any, **kwargs: Any) -> Any:
        """One micro-batch, forward and backward.

        Raises:
            UserError: the loss is NaN or infinite; nothing that follows would be worth its time.
        """
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

        A token counts the same wherever it stands, so the value does not depend on batch size,
        packing or number of processes. (`Trainer.evaluate` averages means of batches.)

        Returns:
            ``eval_loss``; nothing where the run was asked to stop meanwhile: the checkpoint that
            follows is then without the loss, and the run ends with it.

        Raises:
            UserError: the loss is NaN or infinite.
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
            batch = [rows[i] for i in mine] or [_blank(rows[0])]
            inputs = self._prepare_inputs(self.data_collator(batch))
            with torch.no_grad(), self.compute_loss_context_manager():
                outputs = model(**inputs, use_cache=False, fused_lm_head=True)
            total[0] -= outputs.log_probs.double().sum()
            total[1] += outputs.label_mask.sum()
        total = self.accelerator.reduce(total, reduction="sum")
        loss = (total[0] / total[1]).item()
        if not math.isfinite(loss):
            raise UserError(
                f"validation loss is {loss} after step {self.state.global_step}; lower "
                "sft.learning_rate or check the data. No checkpoint was published"
            )
        metrics = {"eval_loss": loss}
        self.log(dict(metrics))
        self.control = self.callback_handler.on_evaluate(
            self.args, self.state, self.control, metrics
        )
        return metrics

    def _save_checkpoint(self, model: Any, trial: Any) -> None:
        super()._save_checkpoint(model, trial)
        self.accelerator.wait_for_everyone()
        if self.args.should_save:
            trainer = Path(self.args.output_dir)
            mark_complete(trainer / f"checkpoint-{self.state.global_step}")
            prune(trainer, self.keep_best)
        self.accelerator.wait_for_everyone()

    def create_model_card(self, *args: Any, **kwargs: Any) -> None:
        """No model card: TRL would write one with every checkpoint."""


def _blank(row: dict[str, Any]) -> dict[str, Any]:
    return {**row, "labels": [IGNORED] * len(row["labels"])}
