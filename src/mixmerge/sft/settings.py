"""Supervised fine-tuning: hyperparameters of Table 1 and how the job is launched."""

from collections.abc import Iterator
from typing import Annotated, Any, Literal

from pydantic import Field, create_model

from mixmerge.core.section import Section


class Lora(Section):
    """Low-rank adapters; folded into full weights before the checkpoint is published."""

    rank: Annotated[int, Field(gt=0)] = 16
    """Rank r of the update."""

    alpha: Annotated[float, Field(gt=0)] = 32.0
    """Scale; the update is multiplied by alpha / rank."""

    dropout: Annotated[float, Field(ge=0, lt=1)] = 0.0
    """Dropout on the adapter's input."""

    targets: list[str] | Literal["all-linear"] = "all-linear"
    """Module names that get an adapter."""


class SftPlan(Section):
    """Settings of fine-tuning."""

    learning_rate: Annotated[float, Field(gt=0)] = 1e-5
    """Peak learning rate of AdamW."""

    batch_size: Annotated[int, Field(gt=0)] = 128
    """Effective batch: examples (packed rows where `packing`) an optimiser step, over all
    processes and accumulation steps."""

    gradient_accumulation: Annotated[int, Field(gt=0)] = 8
    """Micro-batches an optimiser step. batch_size must be divisible by it times `processes`."""

    max_length: Annotated[int, Field(gt=0)] = 4096
    """Longest sequence in tokens; longer examples are left out and counted, never cut silently."""

    epochs: Annotated[float, Field(gt=0, le=10_000)] = 2.0
    """Passes over the training set."""

    max_steps: Annotated[int, Field(gt=0)] | None = None
    """Stop after so many optimiser steps, whatever `epochs` says (for trials)."""

    warmup_ratio: Annotated[float, Field(ge=0, lt=1)] = 0.03
    """Share of the steps in which the learning rate rises from 0."""

    schedule: Literal["cosine", "linear", "constant", "constant_with_warmup"] = "cosine"
    """Shape of the learning rate after the warm-up."""

    weight_decay: Annotated[float, Field(ge=0)] = 0.0
    """Decoupled weight decay of AdamW."""

    max_grad_norm: Annotated[float, Field(gt=0)] = 1.0
    """Gradient clipping."""

    precision: Literal["bf16", "fp32"] = "bf16"
    """Precision of weights and activations in training; checkpoints are saved in it too."""

    packing: bool = True
    """Pack short examples into rows of max_length; samples do not attend to each other."""

    zero_stage: Literal[0, 1, 2, 3] | None = 2
    """DeepSpeed ZeRO stage; null trains without DeepSpeed (plain torch DDP)."""

    offload: Literal["none", "optimizer", "all"] = "none"
    """What DeepSpeed keeps in CPU memory: nothing, optimiser states, or parameters too."""

    nodes: Annotated[int, Field(gt=0)] = 1
    """Slurm nodes one run is spread over, as many processes on each. Elsewhere than in a Slurm job
    all processes run on one machine: the weights depend on their number alone."""

    threads: Annotated[int, Field(gt=0)] = 1
    """CPU threads a process."""

    gradient_checkpointing: bool = False
    """Recompute activations in the backward pass; slower, for models that do not fit."""

    lora: Lora | None = None
    """Train adapters instead of all weights."""

    checkpoint: Literal["best", "last"] = "best"
    """Which checkpoint is published: lowest validation loss, or the last."""

    evaluations: Annotated[int, Field(gt=0)] = 4
    """Times a run measures the validation loss and saves, evenly spaced, the last at the end."""

    save_steps: Annotated[int, Field(gt=0)] | None = None
    """Save for resumption every so many steps besides; the evaluations' saves only by default."""

    processes: Annotated[int, Field(gt=0)] | Literal["auto"] = 1
    """Processes of one run, one GPU each where there are GPUs. `auto`: the fewest that divide the
    batch and whose memory (`hardware.gpu_memory_gb`) holds weights, gradients, optimiser states and
    activations; 1 on CPU."""


class Sft(SftPlan):
    """Settings of one fine-tuning run: the number of its processes is known."""

    processes: Annotated[int, Field(gt=0)] = 1

    @property
    def micro_batch(self) -> int:
        """Examples a process and micro-batch."""
        return self.batch_size // (self.gradient_accumulation * self.processes)

    @property
    def all_threads(self) -> int:
        """CPU threads of all processes."""
        return self.processes * self.threads

    def problems(self) -> Iterator[str]:
        """What does not go together, one line each, naming fields."""
        step, stage = self.gradient_accumulation * self.processes, self.zero_stage
        if self.batch_size % step:
            divisor = f"gradient_accumulation x processes = {step}"
            yield f"batch_size {self.batch_size} is not divisible by {divisor}"
        if self.processes % self.nodes:
            yield f"processes {self.processes} is not divisible by nodes = {self.nodes}"
        if self.offload != "none" and stage not in (2, 3):
            yield f"offload {self.offload!r} needs zero_stage 2 or 3, not {stage}"
        if self.offload == "all" and stage == 2:
            yield "offload 'all' (parameters too) needs zero_stage 3; use 'optimizer'"


_optional: dict[str, Any] = {
    name: (info.rebuild_annotation() | None, Field(default=None, description=info.description))
    for name, info in SftPlan.model_fields.items()
}

# Every field of `SftPlan`, none of them required: what a model or a training set changes.
_doc = "Settings of `sft` that differ here; each field as in `Sft`."
SftOverride = create_model("SftOverride", __base__=Section, __doc__=_doc, **_optional)


def overlay(base: SftPlan, *overrides: Section) -> SftPlan:
    """Return ``base`` with what the overrides set explicitly, later ones winning."""
    values = base.model_dump()
    for override in overrides:
        values |= override.model_dump(exclude_unset=True)
    return SftPlan.model_validate(values)
