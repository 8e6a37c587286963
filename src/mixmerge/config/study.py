"""The root of the configuration: a study and its sections."""

from pathlib import Path
from typing import Annotated

from pydantic import AfterValidator, Field

from mixmerge.config.hardware import Hardware, fewest_processes
from mixmerge.config.models import Model, parameters_of
from mixmerge.core.section import Name, Section
from mixmerge.data.settings import MIX, CorpusSettings, Data, Mixture, Source, Task
from mixmerge.evaluate.settings import CodeScoring, Decoding, Suite
from mixmerge.merge.settings import Merging, Ratio, Strategy
from mixmerge.report.settings import Figures, Tables
from mixmerge.sft.settings import Sft, SftPlan, overlay
from mixmerge.uncertainty.settings import Uncertainty

__all__ = ["MIX", "StudyConfig"]

#: Characters that Snakemake or S3 read as something else than themselves.
_UNSAFE = set('{}*?#%"\\ ')


def _bucket(prefix: str) -> str:
    scheme, separator, place = prefix.partition("://")
    if not separator or scheme != "s3":
        raise ValueError(f"{prefix!r} is no bucket; write s3://bucket or s3://bucket/path")
    parts = place.rstrip("/").split("/")
    if not all(parts) or {".", ".."} & set(parts) or _UNSAFE & set(prefix):
        raise ValueError(
            f"{prefix!r}: write s3://bucket or s3://bucket/path, the path of plain names"
        )
    return f"s3://{'/'.join(parts)}"


#: A bucket, or a path in one, without a slash at its end.
BucketPrefix = Annotated[str, AfterValidator(_bucket)]


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

    storage: BucketPrefix | None = None
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

    data_scale: Annotated[list[Annotated[int, Field(gt=0, le=100)]], Field(min_length=1)] = [100]
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

    def sft_plan(self, model: str, training_set: str) -> SftPlan:
        """Fine-tuning settings of one run: the study's, the model's, then the training set's.

        Args:
            model: a key of `models`.
            training_set: a task's key, or ``mix``.
        """
        entry = self.models[model]
        overrides = [entry.sft]
        if training_set in entry.sft_for:
            overrides.append(entry.sft_for[training_set])
        return overlay(self.sft, *overrides)

    def sft_settings(self, model: str, training_set: str) -> Sft:
        """The settings that `sft_plan` gives, with the number of processes that `auto` stands for.

        It follows from this configuration alone, never from what was measured.
        """
        plan = self.sft_plan(model, training_set)
        processes = plan.processes
        if processes == "auto":
            parameters = parameters_of(self.models[model])
            processes = fewest_processes(plan, parameters or 0, self.hardware)
        return Sft.model_validate({**plan.model_dump(), "processes": processes})

    def scales(self, model: str) -> list[int]:
        """Percentages at which the model's specialists are trained, ascending."""
        return sorted(set(self.models[model].data_scale or self.data_scale))

    def sweep(self, model: str) -> dict[str, list[Ratio] | None]:
        """Strategy -> ratios of the model's merges; None for a method without weights."""
        own = self.models[model].strategies
        if own is None:
            return {key: strategy.ratios for key, strategy in self.strategies.items()}
        return {key: (ratios or self.strategies[key].ratios) for key, ratios in own.items()}
