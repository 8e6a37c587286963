"""Running a recipe through MergeKit's Python API: checked, seeded, atomic."""

from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal

from mixmerge.artifacts.manifest import MANIFEST
from mixmerge.checkpoint.checks import check_finite, check_same_tensors
from mixmerge.checkpoint.code import trusts_code
from mixmerge.checkpoint.finalize import copy_side_files, seal
from mixmerge.core.io import atomic_dir
from mixmerge.merge.inputs import check_inputs
from mixmerge.merge.reading import Recipe, read_recipe
from mixmerge.merge.tying import drop_tied_head

#: Side files that MergeKit writes from the recipe, not from the base model.
_CONFIG = "config.json"
_TOKENIZER = (
    "tokenizer.json", "tokenizer_config.json", "tokenizer.model", "special_tokens_map.json",
    "added_tokens.json", "vocab.json", "merges.txt", "chat_template.jinja", "chat_template.json",
)  # fmt: skip

Device = Literal["cpu", "cuda", "auto"]


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
    recipe = read_recipe(path)
    check_inputs(recipe)
    with atomic_dir(out) as scratch:
        run_mergekit(recipe, scratch, seed, shard_bytes, threads, device)
        finish(recipe, scratch)
        seal(
            scratch,
            inputs=[path, *_manifests(recipe)],
            settings={"recipe": recipe.content, "shard_bytes": shard_bytes, "device": device},
            seed=seed,
            packages=["mergekit", "torch", "transformers", "safetensors"],
        )
        if check is not None:
            check(scratch)


def run_mergekit(
    recipe: Recipe, out: Path, seed: int, shard_bytes: int, threads: int, device: Device
) -> None:
    """Let MergeKit write the merged weights into ``out``."""
    import torch
    from mergekit.config import MergeConfiguration
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
        run_merge(MergeConfiguration.model_validate(recipe.content), str(out), options)
    finally:
        LoaderCache().loaders.clear()


def finish(recipe: Recipe, out: Path) -> None:
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
    dtype = recipe.content.get("out_dtype") or recipe.content.get("dtype")
    if dtype is not None:
        config.dtype = dtype
    config.save_pretrained(out)


def _manifests(recipe: Recipe) -> list[Path]:
    candidates = dict.fromkeys(d / MANIFEST for d in (recipe.base, *recipe.models))
    return [manifest for manifest in candidates if manifest.exists()]
