"""Checks of the checkpoints a recipe merges, before MergeKit reads a single weight."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from mixmerge.artifacts.manifest import MANIFEST, read_manifest
from mixmerge.checkpoint.code import trusts_code
from mixmerge.checkpoint.index import read_index
from mixmerge.checkpoint.tensors import check_dtypes, check_finite, check_same_tensors
from mixmerge.checkpoint.tokenizer import check_chat_template, check_same_tokenizer
from mixmerge.core.errors import UserError

#: Config keys that say nothing about what the weights mean. Token ids are among them: training
#: libraries align them with the tokenizer, which is compared for itself.
_IRRELEVANT = {
    "_name_or_path", "transformers_version", "dtype", "torch_dtype", "use_cache", "auto_map",
    "bos_token_id", "eos_token_id", "pad_token_id", "architectures", "tie_word_embeddings",
}  # fmt: skip

#: Characters of a library's message that are passed on.
_SHOWN = 300


def check_inputs(base: Path, models: Sequence[Path], named_dtype: bool = True) -> None:
    """Check all checkpoints of a merge: whole, finite, and of one kind.

    Args:
        base: the checkpoint whose config and tokenizer the merge gets.
        models: the checkpoints that are merged.
        named_dtype: whether the recipe names a dtype; else all weights must be of one.

    Raises:
        UserError: one message naming file, tensor or key, and value.
    """
    checkpoints = list(dict.fromkeys([base, *models]))
    for directory in checkpoints:
        if (directory / MANIFEST).exists():
            read_manifest(directory, "checkpoint")
        read_index(directory)
    for directory in checkpoints[1:]:
        check_same_tensors(directory, base)
    check_same_tokenizer(checkpoints)
    check_chat_template(base)
    _check_same_config(checkpoints)
    if not named_dtype:
        check_dtypes(models)
    for directory in models:
        check_finite(directory)


def _check_same_config(directories: list[Path]) -> None:
    """Check that configs agree in everything that gives the weights their meaning.

    Both are read through transformers, which fills in defaults and understands older spellings:
    a specialist saved by another release than the base's writes `rope_theta` elsewhere.
    """
    base, *others = directories
    wanted = _config(base)
    for directory in others:
        config = _config(directory)
        for key in sorted({*wanted, *config}):
            if key not in _IRRELEVANT and wanted.get(key) != config.get(key):
                raise UserError(
                    f"{directory / 'config.json'}: {key} is {config.get(key)!r}, but "
                    f"{wanted.get(key)!r} in {base / 'config.json'}; only checkpoints trained from "
                    "the same base model can be merged"
                )


def _config(directory: Path) -> dict[str, Any]:
    from transformers import AutoConfig

    try:
        trusted = trusts_code(directory)
        config = AutoConfig.from_pretrained(
            directory, local_files_only=True, trust_remote_code=trusted
        )
        return dict(config.to_dict())
    except UserError:
        raise
    except Exception as error:  # a config may hold anything; each part of it refuses in its way
        why = " ".join(str(error).split())[:_SHOWN]
        raise UserError(
            f"{directory / 'config.json'}: transformers cannot read it: {why}; mend it, or fetch "
            "the base model again"
        ) from None
