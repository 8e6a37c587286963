"""Models: a base checkpoint's settings, and what is special about training and merging it."""

from typing import Annotated, Any, Literal

from pydantic import Field

from mixmerge.checkpoint.settings import (
    Checkpoint,
    EmbeddedModel,
    GgufCheckpoint,
    HubCheckpoint,
    LocalCheckpoint,
)
from mixmerge.core.section import Name, Section
from mixmerge.sft.settings import SftOverride


class ModelBase(Section):
    """What every model's entry may say."""

    title: str | None = None
    """Name printed in tables and figures; the key by default."""

    size: str = "small"
    """Size class, free text; groups the models in Table 1."""

    sft: SftOverride = SftOverride()
    """Settings of `sft` that differ for this model."""

    sft_for: dict[Name, SftOverride] = {}
    """Settings that differ further for one training set of this model: a task, or `mix`."""

    data_scale: list[Annotated[int, Field(gt=0, le=100)]] | None = None
    """Percentages at which this model's specialists are trained; the study's by default."""

    strategies: dict[Name, list[float | dict[Name, float]]] | None = None
    """Merge strategies for this model and their ratios; all strategies with their own sweeps by
    default. `{dare: [0.3]}` asks for one merge."""

    parameters: Annotated[int, Field(gt=0)] | None = None
    """Number of weights, such as 1_543_714_304; estimates of memory and time need it until the
    checkpoint is there. An embedded model's follows from its architecture."""


class HubModel(HubCheckpoint, ModelBase):
    """A checkpoint of the Hugging Face hub, pinned by revision."""


class LocalModel(LocalCheckpoint, ModelBase):
    """A checkpoint directory in Hugging Face layout on this machine."""


class GgufModel(GgufCheckpoint, ModelBase):
    """A quantised model in GGUF format, de-quantised once into an ordinary checkpoint."""


class EmbeddedBase(Checkpoint, ModelBase):
    """A small model that the workflow pre-trains itself on the embedded corpus."""

    kind: Literal["embedded"]
    model: EmbeddedModel
    """Architecture, size and pre-training."""


Model = Annotated[HubModel | LocalModel | GgufModel | EmbeddedBase, Field(discriminator="kind")]


def checkpoint_settings(entry: HubModel | LocalModel | GgufModel) -> dict[str, Any]:
    """The part of a model's entry that its checkpoint's job gets, JSON-able."""
    stage = next(
        c for c in (HubCheckpoint, LocalCheckpoint, GgufCheckpoint) if isinstance(entry, c)
    )
    return entry.model_dump(mode="json", include=set(stage.model_fields))


def parameters_of(entry: Model) -> int | None:
    """Number of a model's weights; None where its entry does not tell."""
    if entry.parameters is None and isinstance(entry, EmbeddedBase):
        return entry.model.parameters()
    return entry.parameters
