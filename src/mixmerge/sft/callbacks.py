"""When a run evaluates and saves, and what it shows meanwhile."""

import time
from typing import Any

from tqdm import tqdm
from transformers import TrainerCallback

from mixmerge.sft.settings import Sft


def evaluation_steps(steps: int, evaluations: int) -> list[int]:
    """Steps after which the validation loss is measured: evenly spaced, the last at the end.

    Args:
        steps: optimiser steps of the run.
        evaluations: how many; no more than there are steps.
    """
    wanted = min(steps, evaluations)
    return [round(steps * i / wanted) for i in range(1, wanted + 1)]


class Schedule(TrainerCallback):  # type: ignore[misc]
    """Asks for evaluations and saves at the steps that the settings name."""

    def __init__(self, settings: Sft) -> None:
        self.settings = settings
        self.evaluations: list[int] = []

    def on_train_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Spread the evaluations over the run, whose length is known now."""
        self.evaluations = evaluation_steps(state.max_steps, self.settings.evaluations)

    def due(self, step: int) -> bool:
        """Whether the validation loss is measured after this step."""
        return step in self.evaluations

    def on_step_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Set the Trainer's flags."""
        step = state.global_step
        due = self.due(step)
        every = self.settings.save_steps
        control.should_evaluate = due
        control.should_save = due or (every is not None and step % every == 0)


class Preemption(TrainerCallback):  # type: ignore[misc]
    """Ends a run that was asked to stop, with a checkpoint of the step it is at.

    An evaluation that was due is left to the resumed run, which makes it first thing. Only the one
    after the last step is waited for: all that is left then is publishing.
    """

    def __init__(self, trainer: Any, schedule: Schedule) -> None:
        self.trainer = trainer
        self.schedule = schedule

    def on_train_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """From here on there is something to save; measure what the run before had to leave.

        Raises:
            Stopped: asked before the first step.
        """
        self.trainer.request.patient = True
        step = state.global_step
        measured = any(entry["step"] == step for entry in state.log_history if "eval_loss" in entry)
        if self.trainer.stop_agreed() or (
            self.schedule.due(step) and not measured and not self.trainer.evaluate()
        ):
            raise Stopped

    def on_step_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Save and stop instead of what the schedule says."""
        if state.global_step < state.max_steps and self.trainer.stop_agreed():
            control.should_evaluate = False
            control.should_save = control.should_training_stop = True

    def on_save(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Stop where the wish came while a checkpoint was written: it needs no second one."""
        if state.global_step < state.max_steps and self.trainer.stop_agreed():
            control.should_training_stop = True


class Stopped(Exception):
    """A run ended before its first step, as it was asked to."""


class Progress(TrainerCallback):  # type: ignore[misc]
    """A progress bar on stderr with loss and speed; one line for each evaluation."""

    def __init__(self, tokens_per_epoch: int) -> None:
        self.tokens_per_epoch = tokens_per_epoch
        self.bar: Any = None
        self.begun = 0.0
        self.epoch = 0.0

    def on_train_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Open the bar where the run stands."""
        self.bar = tqdm(
            total=state.max_steps, initial=state.global_step, desc="train", unit=" steps",
            mininterval=1,
        )  # fmt: skip
        self.begun = time.perf_counter()
        self.epoch = state.epoch or 0.0

    def on_step_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Move on by a step."""
        self.bar.update()

    def on_log(self, args: Any, state: Any, control: Any, logs: Any = None, **kwargs: Any) -> None:
        """Show the loss."""
        if logs and "loss" in logs and self.bar is not None:
            self.bar.set_postfix(loss=f"{logs['loss']:.3f}", refresh=False)

    def on_evaluate(
        self, args: Any, state: Any, control: Any, metrics: Any = None, **kwargs: Any
    ) -> None:
        """Print the validation loss."""
        text = f"step {state.global_step}/{state.max_steps}: validation loss"
        tqdm.write(f"{text} {metrics['eval_loss']:.4f}", file=self.bar.fp)

    def on_train_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Close the bar and print the speed."""
        self.bar.close()
        seconds = time.perf_counter() - self.begun
        tokens = self.tokens_per_epoch * ((state.epoch or 0.0) - self.epoch)
        tqdm.write(
            f"trained {tokens:,.0f} tokens in {seconds:.1f} s, {tokens / seconds:,.0f} tokens/s "
            "(evaluation and saving included)",
            file=self.bar.fp,
        )
