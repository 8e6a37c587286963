"""The root of the configuration: a study, its sections, and its models."""

import re
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, field_validator

from mixmerge.checkpoint.settings import (
    Checkpoint,
    EmbeddedModel,
    GgufCheckpoint,
    HubCheckpoint,
    LocalCheckpoint,
)
from mixmerge.config.hardware import Hardware, fewest_processes, misfit
from mixmerge.core.section import Name, Section
from mixmerge.data.settings import MIX, CorpusSettings, Data, Mixture, Source, Task
from mixmerge.evaluate.settings import CodeScoring, Decoding, Suite
from mixmerge.merge.settings import Merging, Ratio, Strategy
from mixmerge.report.settings import Figures, Tables
from mixmerge.sft.settings import Sft, SftOverride, SftPlan, overlay
from mixmerge.uncertainty.settings import Uncertainty

__all__ = ["MIX", "StudyConfig"]

#: A bucket and a path, without characters that Snakemake or S3 read as something else.
_BUCKET = re.compile(r's3:/(/(?!\.\.?(/|$))[^/{}*?#%"\\ ]+)+/*')

#: Share of a training set, in percent.
Percent = Annotated[int, Field(gt=0, le=100)]


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
    data_scale: list[Percent] | None = None
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


def parameters_of(entry: Model) -> int | None:
    """Number of a model's weights; None where its entry does not tell."""
    if entry.parameters is None and isinstance(entry, EmbeddedBase):
        return entry.model.parameters()
    return entry.parameters


class StudyConfig(Section):
    """One study: models x training sets x merges x suites, and what is printed of it."""

    study: Name
    """Name of the study; its results stand in `<results>/<study>/`."""
    title: str = "Data mix or model merge?"
    """Title of the report."""
    seed: int = 0
    """Every random choice derives its seed from this one and the node's name."""
    results: Path = Path("results")
    """Where everything made is written."""
    storage: str | None = None
    """A bucket, `s3://bucket/path`, on which completions, scores, uncertainty, tables and figures
    stand, in `<path>/<study>/`; weights, data, logs and benchmarks stay below `results`. Null: all
    stays there. A thing of the site: give it on the command line (`--config storage=s3://...`) or
    in its profile; endpoint and keys are Snakemake's own settings (docs/cluster.md)."""
    models: Annotated[dict[Name, Model], Field(min_length=1)]
    """Base models by key."""
    tasks: Annotated[dict[Name, Task], Field(min_length=2)]
    """Tasks by key, in the order in which a ratio's weights are written."""
    sources: Annotated[dict[Name, Source], Field(min_length=1)]
    """Data sources by key."""
    embedded: CorpusSettings | None = None
    """Sizes of the embedded study's generated corpus, where sources, suites or models use it."""
    data: Data = Data()
    """The data stage."""
    data_scale: Annotated[list[Percent], Field(min_length=1)] = [100]
    """Percentages of its training set at which each specialist is trained."""
    mixture: Mixture = Mixture()
    """The multi-task training set."""
    sft: SftPlan = SftPlan()
    """Fine-tuning, for all models and training sets that do not say otherwise."""
    merging: Merging = Merging()
    """Settings all merges share."""
    strategies: dict[Name, Strategy] = {}
    """Merge strategies by key."""
    suites: Annotated[dict[Name, Suite], Field(min_length=1)]
    """Evaluation suites by key."""
    decoding: Decoding = Decoding()
    """Generation."""
    code_scoring: CodeScoring = CodeScoring()
    """Running the tests of code suites."""
    uncertainty: Uncertainty = Uncertainty()
    """Intervals and tests."""
    hardware: Hardware = Hardware()
    """The machine that resources and the plan are estimated for; no job is told of it."""
    tables: Tables = Tables()
    """Which tables are printed."""
    figures: Figures = Figures()
    """How figures are drawn."""

    @field_validator("storage")
    @classmethod
    def _is_a_bucket(cls, prefix: str | None) -> str | None:
        if prefix is not None and not _BUCKET.fullmatch(prefix):
            way = "write s3://bucket or s3://bucket/path, the path of plain names"
            raise ValueError(f"{prefix!r} is no bucket; {way}")
        return prefix and prefix.rstrip("/")

    def sft_plan(self, model: str, training_set: str) -> SftPlan:
        """Settings of one run: the study's, the model's, then those for a task's key or ``mix``."""
        entry = self.models[model]
        return overlay(self.sft, entry.sft, entry.sft_for.get(training_set, SftOverride()))

    def sft_settings(self, model: str, training_set: str) -> Sft:
        """The same with the number of processes that `auto` stands for, whatever was measured."""
        plan = self.sft_plan(model, training_set)
        processes = plan.processes
        if processes == "auto":
            parameters = parameters_of(self.models[model])
            processes = fewest_processes(plan, parameters or 0, self.hardware)
        return Sft.model_validate({**plan.model_dump(), "processes": processes})

    def misfit(self, model: str) -> str | None:
        """The first training set whose run its GPUs may not hold, with ways out; None for none."""
        parameters = parameters_of(self.models[model])
        for training_set in (*self.tasks, MIX) if parameters else ():
            sft = self.sft_settings(model, training_set)
            if problem := misfit(sft, parameters or 0, sft.processes, self.hardware):
                return f"training set {training_set}: {problem}"
        return None

    def scales(self, model: str) -> list[int]:
        """Percentages at which the model's specialists are trained, ascending."""
        return sorted(set(self.models[model].data_scale or self.data_scale))

    def sweep(self, model: str) -> dict[str, list[Ratio] | None]:
        """Strategy -> ratios of the model's merges; None for a method without weights."""
        own = self.models[model].strategies
        if own is None:
            return {key: strategy.ratios for key, strategy in self.strategies.items()}
        return {key: (ratios or self.strategies[key].ratios) for key, ratios in own.items()}
