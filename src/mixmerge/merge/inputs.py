"""Checks of the checkpoints a recipe merges, before MergeKit reads a single weight."""

from pathlib import Path
from typing import Any

from mixmerge.artifacts.manifest import MANIFEST, read_manifest
from mixmerge.checkpoint.checks import check_dtypes, check_finite, check_same_tensors
from mixmerge.checkpoint.code import trusts_code
from mixmerge.checkpoint.index import read_index
from mixmerge.checkpoint.tokenizer import check_chat_template, check_same_tokenizer
from mixmerge.core.errors import UserError
from mixmerge.merge.reading import Recipe

#: Config keys that say nothing about what the weights mean. Token ids are among them: training
#: libraries align them with the tokenizer, which is compared for itself.
_IRRELEVANT = {
    "_name_or_path", "transformers_version", "dtype", "torch_dtype", "use_cache", "auto_map",
    "bos_token_id", "eos_token_id", "pad_token_id", "architectures", "tie_word_embeddings",
}  # fmt: skip


#: Characters of a library's message that are passed on.
_SHOWN = 300


def check_inputs(recipe: Recipe) -> None:
    """Check all checkpoints of a recipe: whole, finite, and of one kind.

    Raises:
        UserError: one message naming file, tensor or key, and value.
    """
    checkpoints = list(dict.fromkeys([recipe.base, *recipe.models]))
    for directory in checkpoints:
        if (directory / MANIFEST).exists():
            read_manifest(directory, "checkpoint")
        read_index(directory)
    for directory in checkpoints[1:]:
        check_same_tensors(directory, recipe.base)
    check_same_tokenizer(checkpoints)
    check_chat_template(recipe.base)
    check_same_config(checkpoints)
    if recipe.content.get("dtype") is None:
        check_dtypes(recipe.models)
    for directory in recipe.models:
        check_finite(directory)


def check_same_config(directories: list[Path]) -> None:
    """Check that configs agree in everything that gives the weights their meaning.

    Both are read through transformers, which fills in defaults and understands older spellings:
    a specialist saved by another release than the base's writes `rope_theta` elsewhere.

    Raises:
        UserError: naming the first differing key, with both values and files.
    """
    base = directories[0]
    mine = _config(base)
    for directory in directories[1:]:
        theirs = _config(directory)
        for key in sorted({*mine, *theirs}):
            if key not in _IRRELEVANT and mine.get(key) != theirs.get(key):
                raise UserError(
                    f"{directory / 'config.json'}: {key} is {theirs.get(key)!r}, but "
                    f"{mine.get(key)!r} in {base / 'config.json'}; only checkpoints trained from "
                    "the same base model can be merged"
                )


def _config(directory: Path) -> dict[str, Any]:
    from transformers import AutoConfig

    try:
        trusted = trusts_code(directory)
        config = AutoConfig.from_pretrained(
            directory, local_files_only=True, trust_remote_code=trusted
        ).to_dict()
    except UserError:
        raise
    except Exception as error:  # a config may hold anything; each part of it refuses in its way
        why = " ".join(str(error).split())[:_SHOWN]
        raise UserError(
            f"{directory / 'config.json'}: transformers cannot read it: {why}; mend it, or fetch "
            "the base model again"
        ) from None
    return dict(config)
