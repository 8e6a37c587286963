"""Checkpoints that are here: whole by their headers, one kind within each model."""

import importlib.util
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from mixmerge.artifacts.manifest import MANIFEST, read_manifest
from mixmerge.checkpoint.code import names_code
from mixmerge.checkpoint.index import parameter_count, read_index
from mixmerge.checkpoint.tensors import (
    HEAD,
    RAW,
    check_same_tensors,
    embeddings,
    is_tied,
    read_config,
    without_tied_head,
)
from mixmerge.checkpoint.tokenizer import check_chat_template, check_same_tokenizer
from mixmerge.config.models import GgufModel, HubModel, LocalModel
from mixmerge.core.errors import UserError
from mixmerge.core.io import sha256
from mixmerge.data.settings import MIX
from mixmerge.preflight.context import Context
from mixmerge.preflight.finding import Area
from mixmerge.preflight.paths import unusable
from mixmerge.preflight.tokenizer import LightTokenizer
from mixmerge.sft.examples import check_length

#: Config keys that must agree wherever two configs both spell them.
_ARCHITECTURE = (
    *("model_type", "hidden_size", "intermediate_size", "num_hidden_layers"),
    *("num_attention_heads", "num_key_value_heads", "head_dim", "vocab_size"),
    *("rope_theta", "rms_norm_eps", "hidden_act", "sliding_window"),
)

#: A larger file's SHA-256 is left to its job.
_HASHED = 2_000_000_000


def here(context: Context) -> dict[str, Path]:
    """Model -> its base checkpoint on this machine: published, else the directory it comes from."""
    found = {}
    if context.study is not None:
        for key, model in context.config.models.items():
            published = Path(context.study.path("checkpoints", key, "base"))
            if (published / MANIFEST).exists():
                found[key] = published
            elif isinstance(model, LocalModel) and unusable(model.path, folder=True) is None:
                found[key] = model.path
    return found


def check(context: Context, bases: Mapping[str, Path]) -> Area:
    """Base checkpoints, and specialists against theirs.

    Args:
        context: the study.
        bases: what `here` found.
    """
    area = Area("models")
    if context.study is None:
        return area
    for key, model in context.config.models.items():
        if isinstance(model, GgufModel):
            _gguf(f"{context.where}: models.{key}", model, area)
        if key in bases:
            try:
                _base(context, key, bases[key], area)
            except UserError as error:
                area.refused(error)
            else:
                area.checked.append(f"{key}: {bases[key]}")
            _specialists(context, key, bases[key], area)
        elif isinstance(model, HubModel):
            area.unchecked.append(
                f"{key}: {model.id}@{model.revision[:12]} is not fetched yet (tokenizer, "
                "architecture, whether the hub has it)"
            )
        elif not isinstance(model, LocalModel):
            area.unchecked.append(f"{key}: not made yet")
    return area


def _base(context: Context, key: str, directory: Path, area: Area) -> None:
    """One base checkpoint; the first thing that keeps the rest from being looked at is raised."""
    if (directory / MANIFEST).exists():
        read_manifest(directory, "checkpoint", content=False)
    index, config = read_index(directory), read_config(directory)
    file = directory / "config.json"
    for info in index.values():
        if info.dtype not in RAW:
            area.error(
                f"{info.file}: tensor {info.name!r} is {info.dtype}; quantised weights can be "
                f"neither trained nor merged: take the model in one of {', '.join(RAW)}"
            )
            break
    _embeddings(directory, index, config, area)
    for training_set in (*context.config.tasks, MIX):
        settings = context.config.sft_settings(key, training_set)
        try:
            check_length(directory, settings.max_length)
        except UserError as error:
            area.refused(error)
    entry = context.config.models[key]
    if entry.chat_template is None:
        try:
            check_chat_template(directory)
        except UserError as error:
            area.refused(error)
    _code(f"{context.where}: models.{key}", entry, directory, config, area)
    counted = parameter_count(without_tied_head(directory, index))
    if entry.parameters is None and isinstance(entry, LocalModel):
        area.warning(
            f"{context.where}: models.{key}.parameters: missing, so that disk, memory and time are "
            f"estimated as of 1.5 billion weights; write {counted:_}, which {directory} has"
        )
    elif entry.parameters is not None and abs(entry.parameters - counted) > 0.02 * counted:
        area.warning(
            f"{context.where}: models.{key}.parameters: {entry.parameters:,}, but {directory} has "
            f"{counted:,}; write that number, memory and time are estimated from it"
        )
    if not config.get("model_type"):
        area.error(f"{file}: model_type: missing; transformers cannot tell what model this is")


def _embeddings(directory: Path, index: Any, config: dict[str, Any], area: Area) -> None:
    """Embedding rows, the tokenizer's size, and whether tied embeddings are stored as such."""
    source, file = embeddings(index), directory / "config.json"
    if source is None:
        area.error(
            f"{directory}: no input embedding under a known name among its tensors "
            f"({', '.join(list(index)[:3])}, ...); this architecture is not supported"
        )
        return
    rows, said = source.shape[0], config.get("vocab_size")
    if said is not None and said != rows:
        area.error(
            f"{file}: vocab_size is {said!r}, but {source.name} in {source.file.name} has {rows} "
            "rows; take config and weights from the same revision"
        )
    if not is_tied(directory, index) and HEAD not in index:
        area.error(
            f"{file}: tie_word_embeddings is false, but {HEAD} is not among the weights; set it to "
            "true if the model shares them, or fetch the missing tensor"
        )
    if (directory / "tokenizer.json").exists():
        tokens = len(LightTokenizer(directory))
        if tokens > rows:
            area.error(
                f"{directory / 'tokenizer.json'}: {tokens} tokens, but {source.name} has only "
                f"{rows} rows; take tokenizer and weights from the same revision"
            )


def _code(where: str, entry: Any, directory: Path, config: dict[str, Any], area: Area) -> None:
    """Models that transformers does not know, or that want to bring code along."""
    if getattr(entry, "trust_remote_code", False):
        return
    kind = str(config.get("model_type", ""))
    spec = importlib.util.find_spec("transformers")
    if spec is None or spec.origin is None or not kind:
        return
    folder = Path(spec.origin).parent / "models" / kind.replace("-", "_")
    if not folder.is_dir():
        more = " (config.json names code of its own)" if names_code(directory) else ""
        area.warning(
            f"{directory / 'config.json'}: model_type {kind!r} has no folder of its own in the "
            f"installed transformers{more}; if it cannot be loaded, upgrade transformers or set "
            f"{where.rpartition(' ')[2]}.trust_remote_code after reading its code"
        )


def _specialists(context: Context, key: str, base: Path, area: Area) -> None:
    """What is trained already, against the base it is merged with."""
    assert context.study is not None
    for model, variant in context.study.checkpoints("sft", "mix"):
        directory = Path(context.study.path("checkpoints", model, variant))
        if model != key or not (directory / MANIFEST).exists():
            continue
        try:
            read_manifest(directory, "checkpoint", content=False)
            check_same_tensors(directory, base)
            if _digest(directory) != _digest(base):
                check_same_tokenizer([base, directory])
            _same_config(directory, base)
        except UserError as error:
            area.refused(error)
        else:
            area.checked.append(f"{key}/{variant} like its base")


def _digest(directory: Path) -> str | None:
    file = directory / "tokenizer.json"
    return sha256(file) if file.exists() else None


def _same_config(directory: Path, base: Path) -> None:
    mine, theirs = read_config(directory), read_config(base)
    for name in _ARCHITECTURE:
        if name in mine and name in theirs and mine[name] != theirs[name]:
            raise UserError(
                f"{directory / 'config.json'}: {name} is {mine[name]!r}, but {theirs[name]!r} in "
                f"{base / 'config.json'}; only checkpoints trained from the same base model can be "
                "merged"
            )


def _gguf(where: str, model: GgufModel, area: Area) -> None:
    path = model.path
    if path is None or unusable(path):
        return
    with path.open("rb") as file:
        magic = file.read(4)
    if magic != b"GGUF":
        area.error(f"{where}.path: {path} is no GGUF file (it begins with {magic!r})")
    elif model.sha256 is not None and path.stat().st_size <= _HASHED:
        found = sha256(path)
        if found != model.sha256:
            area.error(
                f"{where}.sha256: {path} has {found}, not {model.sha256}; fetch the right file or "
                "mend the field"
            )
