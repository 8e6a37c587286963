"""Running a recipe through MergeKit's Python API: inputs checked, seeded, atomic."""

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import yaml
from pydantic import ValidationError

from mixmerge.artifacts.manifest import MANIFEST
from mixmerge.checkpoint.code import trusts_code
from mixmerge.checkpoint.finalize import copy_side_files, finalize
from mixmerge.checkpoint.index import INDEX, read_index
from mixmerge.checkpoint.tensors import HEAD, check_finite, check_same_tensors, is_tied
from mixmerge.core.errors import UserError
from mixmerge.core.io import atomic_dir, read_json, write_json
from mixmerge.core.section import explained
from mixmerge.merge.inputs import check_inputs

#: Side files that MergeKit writes from the recipe, not from the base model.
_CONFIG = "config.json"
_TOKENIZER = (
    "tokenizer.json", "tokenizer_config.json", "tokenizer.model", "special_tokens_map.json",
    "added_tokens.json", "vocab.json", "merges.txt", "chat_template.jinja", "chat_template.json",
)  # fmt: skip

Device = Literal["cpu", "cuda", "auto"]


@dataclass(frozen=True)
class Recipe:
    """A recipe that MergeKit's own configuration class accepts."""

    path: Path
    """Its file."""

    text: str
    """The file's text; MergeKit keeps it beside the merged weights."""

    content: dict[str, Any]
    """Parsed YAML."""

    config: Any
    """The same as MergeKit's `MergeConfiguration`."""

    models: list[Path]
    """Checkpoints that MergeKit reads, the base model included where it has one."""

    base: Path
    """Checkpoint whose config, tokenizer and chat template the merge gets."""


def read_recipe(path: Path) -> Recipe:
    """Read a recipe; MergeKit validates it.

    Raises:
        UserError: no YAML, a key that MergeKit does not know, or a value that it refuses.
    """
    from mergekit.config import MergeConfiguration

    try:
        text = path.read_text(encoding="utf-8-sig")
        content = yaml.safe_load(text)
        if not isinstance(content, dict) or not content.get("models"):
            raise ValueError("no list `models`; models are merged whole, not by slices or modules")
        own = content.get("mixmerge", {})
        known = {key: value for key, value in content.items() if key != "mixmerge"}
        config = MergeConfiguration.model_validate(known, extra="forbid")
    except ValidationError as error:
        raise explained(error, str(path)) from None
    except (OSError, yaml.YAMLError, ValueError, RuntimeError) as error:
        raise UserError(f"{path}: no recipe for MergeKit: {_line(error)}") from None
    names = [entry.model.model.path for entry in config.models]
    base_model = config.base_model.model.path if config.base_model else None
    inputs = dict.fromkeys([*names, *([base_model] if base_model else [])])
    base = Path(own.get("base") or base_model or names[0])
    return Recipe(path, text, content, config, [Path(name) for name in inputs], base)


def merge(
    path: Path,
    out: Path,
    *,
    seed: int,
    shard_bytes: int,
    threads: int = 1,
    device: Device = "cpu",
    check: Callable[[Path], None] | None = None,
) -> None:
    """Merge the checkpoints of a recipe into ``out``.

    The same recipe, inputs, seed and kind of device give the same bytes, whatever the number of
    threads or the size of the shards; a GPU draws other random masks than a CPU.

    Args:
        path: the recipe.
        out: target directory, replaced as a whole at the end.
        seed: seed of the random masks.
        shard_bytes: size of the output's shards; memory grows with it.
        threads: CPU threads.
        device: where MergeKit computes; ``auto`` takes a GPU where there is one.
        check: called with the finished checkpoint before it is published.

    Raises:
        UserError: a fault in the recipe, an input or the result; ``out`` is then untouched.
    """
    # Read when tqdm is imported: MergeKit's bars would fill the log ten times a second.
    os.environ.setdefault("TQDM_MININTERVAL", "1")
    recipe = read_recipe(path)
    check_inputs(recipe.base, recipe.models, named_dtype=recipe.config.dtype is not None)
    manifests = [directory / MANIFEST for directory in {recipe.base, *recipe.models}]
    with atomic_dir(out) as scratch:
        _run_mergekit(recipe, scratch, seed, shard_bytes, threads, device)
        _finish(recipe, scratch)
        finalize(
            scratch,
            inputs=[path, *(manifest for manifest in manifests if manifest.exists())],
            settings={"recipe": recipe.content, "shard_bytes": shard_bytes, "device": device},
            seed=seed,
            packages=["mergekit", "torch", "transformers", "safetensors"],
        )
        if check is not None:
            check(scratch)


def _run_mergekit(
    recipe: Recipe, out: Path, seed: int, shard_bytes: int, threads: int, device: Device
) -> None:
    """Let MergeKit write the merged weights into ``out``."""
    import torch
    from mergekit.io.tasks import LoaderCache
    from mergekit.merge import run_merge
    from mergekit.options import MergeOptions

    torch.set_num_threads(threads)
    options = MergeOptions(
        random_seed=seed,
        out_shard_size=shard_bytes,
        device=device,
        trust_remote_code=trusts_code(recipe.base),
        # The card names the scratch directory and lists models in the order of a set.
        write_model_card=False,
    )
    # The cache belongs to the class and outlives a merge: it would serve the last merge's files.
    LoaderCache().loaders.clear()
    try:
        run_merge(recipe.config, str(out), options)
    except (RuntimeError, ValueError, TypeError) as error:
        raise UserError(f"{recipe.path}: MergeKit cannot run it: {_line(error)}") from error
    finally:
        LoaderCache().loaders.clear()


def _line(error: Exception) -> str:
    return " ".join(str(error).split())


def _finish(recipe: Recipe, out: Path) -> None:
    """Give merged weights the base model's side files, and check the whole.

    Raises:
        UserError: the result lacks a tensor, or holds NaN or infinity.
    """
    if recipe.content.get("base_model") != recipe.base.as_posix():
        _write_config(recipe, out)
    own_tokenizer = recipe.content.get("chat_template") is not None
    copy_side_files(recipe.base, out, skip=(_CONFIG, *(_TOKENIZER if own_tokenizer else ())))
    # MergeKit keeps the recipe beside the weights, as the text it was given.
    (out / "mergekit_config.yml").write_text(recipe.text, encoding="utf-8")
    drop_tied_head(out)
    check_same_tensors(out, recipe.base)
    check_finite(out)


def _write_config(recipe: Recipe, out: Path) -> None:
    """Write the base's config as MergeKit would, were it the method's base model."""
    from transformers import AutoConfig

    config: Any = AutoConfig.from_pretrained(
        recipe.base, local_files_only=True, trust_remote_code=trusts_code(recipe.base)
    )
    dtype = recipe.config.out_dtype or recipe.config.dtype
    if dtype is not None:
        config.dtype = dtype
    config.save_pretrained(out)


def drop_tied_head(directory: Path) -> None:
    """Remove the output head of a merged checkpoint whose config ties it to the embeddings.

    Where an input stores a copy of its tied embeddings as ``lm_head.weight``, MergeKit merges that
    copy by itself, with random masks of its own for DARE and DELLA. The two then differ, and
    transformers loads such a checkpoint untied.
    """
    index = read_index(directory)
    if HEAD not in index or not is_tied(directory, index):
        return
    from safetensors.torch import load_file, save_file

    shard = index[HEAD].file
    tensors = {name: tensor for name, tensor in load_file(shard).items() if name != HEAD}
    if tensors:
        save_file(tensors, shard, metadata={"format": "pt"})
    else:
        shard.unlink()
    listing = directory / INDEX
    if listing.exists():
        content = read_json(listing)
        del content["weight_map"][HEAD]
        content["metadata"]["total_size"] -= index[HEAD].nbytes
        write_json(listing, content)
