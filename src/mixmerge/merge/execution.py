"""Running a recipe through MergeKit's Python API: inputs checked, seeded, atomic."""

import os
from collections import Counter
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager
from itertools import groupby
from pathlib import Path
from typing import Any, Literal
from unittest import mock

import yaml
from pydantic import ValidationError

from mixmerge.artifacts.manifest import MANIFEST, publish, read_manifest
from mixmerge.checkpoint.architecture import (
    LAYER,
    Architecture,
    check_same_tensors,
    without_tied_head,
)
from mixmerge.checkpoint.index import read_index
from mixmerge.checkpoint.side_files import (
    SIDE_FILES,
    copy_side_files,
    finish_files,
    load_config,
    trusts_code,
)
from mixmerge.checkpoint.tensors import (
    check_dtypes,
    check_finite,
    load_tensors,
    replace_weights,
)
from mixmerge.checkpoint.tokenizer import check_same_tokenizer, load_chat
from mixmerge.core.errors import UserError, one_line
from mixmerge.core.section import explained
from mixmerge.merge.settings import scalars

_CONFIG = "config.json"
#: Config keys that say nothing of what weights mean; the tokenizer is compared for itself.
_IRRELEVANT = {
    "_name_or_path", "transformers_version", "dtype", "torch_dtype", "use_cache", "auto_map",
    "bos_token_id", "eos_token_id", "pad_token_id", "architectures", "tie_word_embeddings",
}  # fmt: skip


def merge(
    path: Path,
    out: Path,
    *,
    seed: int,
    shard_bytes: int,
    threads: int = 1,
    device: Literal["cpu", "cuda", "auto"] = "cpu",
    check: Callable[[Path], None] | None = None,
) -> None:
    """Merge the checkpoints of a recipe, ``path``, into ``out``, which faults leave untouched.

    The same recipe, inputs, seed (of random masks) and kind of device give the same bytes, whatever
    the number of threads or the size of the shards, with which memory grows; a GPU draws other
    masks than a CPU. ``check`` is called with the finished checkpoint before it is published.
    """
    # Read when tqdm is imported: MergeKit's bars would fill the log ten times a second.
    os.environ.setdefault("TQDM_MININTERVAL", "1")
    text, recipe, config = _read(path)
    names = [entry.model.model.path for entry in config.models]
    base_model = [config.base_model.model.path] if config.base_model else []
    models = [Path(name) for name in dict.fromkeys(names + base_model)]
    # Config, tokenizer and chat template of the merge are this one's.
    base = Path(recipe.get("mixmerge", {}).get("base") or (base_model or names)[0])
    check_inputs(base, models, named_dtype=config.dtype is not None)
    manifests = [directory / MANIFEST for directory in {base, *models}]

    import torch  # it and MergeKit take seconds
    from mergekit.io.tasks import LoaderCache
    from mergekit.merge import run_merge
    from mergekit.options import MergeOptions

    torch.set_num_threads(threads)
    architecture = Architecture(base, trusted=trusts_code(base))
    stored = without_tied_head(base, read_index(base))
    options = MergeOptions(
        random_seed=seed,
        out_shard_size=shard_bytes,
        device=device,
        trust_remote_code=trusts_code(base),
        # The card names the scratch directory and lists models in the order of a set.
        write_model_card=False,
    )
    with publish(
        out,
        "checkpoint",
        inputs=[path, *(manifest for manifest in manifests if manifest.exists())],
        settings={"recipe": recipe, "shard_bytes": shard_bytes, "device": device},
        seed=seed,
        packages=["mergekit", "torch", "transformers", "safetensors"],
        check=check,
    ) as artifact:
        scratch = artifact.path
        try:
            definition = _definition(config, options, architecture, stored)
            with (
                mock.patch("mergekit.merge.get_architecture_info", return_value=definition),
                _counted_overlap() as counts,
            ):
                run_merge(config, str(scratch), options)
        except (RuntimeError, ValueError, TypeError) as error:
            raise UserError(f"{path}: MergeKit cannot run it: {one_line(error)}") from error
        finally:
            # The cache belongs to the class and outlives a merge: it would serve these files again.
            LoaderCache().loaders.clear()
        if recipe.get("base_model") != base.as_posix():
            # The base's config as MergeKit would write it, were it the method's base model.
            own = load_config(base)
            own.dtype = config.out_dtype or config.dtype or own.dtype
            own.save_pretrained(scratch)
        # With a template in the recipe, MergeKit writes the tokenizer, too.
        own_files = {*SIDE_FILES} - {"generation_config.json"}
        copy_side_files(base, scratch, skip=own_files if recipe.get("chat_template") else {_CONFIG})
        # MergeKit keeps the recipe beside the weights, as the text it was given.
        (scratch / "mergekit_config.yml").write_text(text, encoding="utf-8")
        _name_as_in_files(scratch, stored, architecture, shard_bytes)
        check_same_tensors(scratch, base)
        check_finite(scratch)
        load_chat(scratch)
        artifact.facts |= finish_files(scratch)
        if counts["elements"] and _normalises(recipe):
            artifact.facts["ratio_reach"] = counts["overlap"] / counts["elements"]


def _normalises(recipe: dict[str, Any]) -> bool:
    """Whether a recipe's method divides a sum of updates by their weights."""
    from mergekit.merge_methods import registry

    default = getattr(registry.get(recipe["merge_method"]), "default_normalize", False)
    return any(scalars((recipe.get("parameters") or {}).get("normalize", default)))


@contextmanager
def _counted_overlap() -> Iterator[Counter[str]]:
    """Count ``elements`` of merges with a sign consensus, and the ``overlap`` of their updates.

    Normalised, an element is the weighted mean of the sparsified updates that agree in it. Where
    one alone is not 0 its weight cancels out: a ratio reaches the overlap of two or more only.
    Counted as MergeKit merges, with its own masks, which takes no time of note.
    """
    from mergekit.merge_methods import generalized_task_arithmetic as arithmetic

    counts: Counter[str] = Counter()
    get_mask = arithmetic.get_mask

    def counted(delta: Any, *arguments: Any, **named: Any) -> Any:
        some = delta[0] != 0
        several = some.new_zeros(some.shape)
        for update in delta[1:]:
            moved = update != 0
            several |= some & moved
            some |= moved
        counts.update(elements=several.numel(), overlap=int(several.sum()))
        return get_mask(delta, *arguments, **named)

    with mock.patch.object(arithmetic, "get_mask", counted):
        yield counts


def _read(path: Path) -> tuple[str, dict[str, Any], Any]:
    """A recipe as text, as a mapping, and as the `MergeConfiguration` that MergeKit validates."""
    from mergekit.config import MergeConfiguration

    try:
        text = path.read_text(encoding="utf-8-sig")
        recipe = yaml.safe_load(text)
        if not isinstance(recipe, dict) or not recipe.get("models"):
            raise ValueError("no list `models`; models are merged whole, not by slices or modules")
        known = {key: value for key, value in recipe.items() if key != "mixmerge"}
        # It ignores unknown keys otherwise.
        return text, recipe, MergeConfiguration.model_validate(known, extra="forbid")
    except ValidationError as error:
        raise explained(error, str(path)) from None
    except (OSError, yaml.YAMLError, ValueError, RuntimeError) as error:
        raise UserError(f"{path}: no recipe for MergeKit: {one_line(error)}") from None


def check_inputs(base: Path, models: Sequence[Path], named_dtype: bool = True) -> None:
    """Check a merge's checkpoints before MergeKit reads a weight: whole, finite, of one kind.

    The merge gets the config and tokenizer of ``base``; without a named dtype all are of one.
    """
    checkpoints = list(dict.fromkeys([base, *models]))
    for directory in checkpoints:
        if (directory / MANIFEST).exists():
            read_manifest(directory, "checkpoint")
        check_same_tensors(directory, base)
    # As transformers reads them: another release may write `rope_theta` elsewhere.
    wanted = load_config(base).to_dict()
    for directory in checkpoints[1:]:
        config = load_config(directory).to_dict()
        for key in sorted({*wanted, *config} - _IRRELEVANT):
            if wanted.get(key) != config.get(key):
                raise UserError(
                    f"{directory / _CONFIG}: {key} is {config.get(key)!r}, {wanted.get(key)!r} in "
                    f"{base / _CONFIG}; only checkpoints of the same base model can be merged"
                )
    check_same_tokenizer(checkpoints)
    load_chat(base)
    if not named_dtype:
        check_dtypes(models)
    for directory in models:
        check_finite(directory)


def _definition(
    config: Any, options: Any, architecture: Architecture, names: Collection[str]
) -> Any:
    """MergeKit's definition of a model that has tensors of these names in its files.

    Its own are for certain architectures; some ask for tensors that no checkpoint has, or leave out
    some that all have. Then what it infers from transformers' model, or from the files alone.
    """
    from mergekit.architecture import arch_info_for_config, auto

    own, models = architecture.model.config, tuple(config.referenced_models())
    stored = [{name, architecture.loaded_as(name)} for name in names]

    def fits(definition: Any) -> bool:
        written: set[str] = set()
        for weight in definition.all_weights(own):
            called = {weight.name, *(weight.aliases or ())}
            if not weight.optional and not any(
                (called | {*(weight.tied_names or ())}) & each for each in stored
            ):
                return False
            if not weight.optional or called & {*names}:
                written |= called
        return all(each & written for each in stored)

    definition = arch_info_for_config(own) if own.architectures else None
    if definition is not None and fits(definition):
        return definition
    infer = auto.infer_architecture_info.__wrapped__  # keeps no answers, which files may outlive
    if fits(definition := infer(models, config.base_model, options)):
        return definition
    with mock.patch.object(auto, "get_transformers_info", return_value=(None,) * 4):
        return infer(models, config.base_model, options)


def _name_as_in_files(
    directory: Path, wanted: Collection[str], architecture: Architecture, shard_bytes: int
) -> None:
    """Give a merge the tensors that its base's files have: MergeKit writes some as the model does.

    So packed experts, and a tied output layer, which it merges by itself, with other random masks.
    """
    from mergekit.io import TensorWriter

    index = read_index(directory)
    if index.keys() <= {*wanted}:
        return

    def layer(name: str) -> str:
        match = LAYER.search(name)
        return name[: match.end()] if match else ""

    def write(fresh: Path) -> None:
        tensors = load_tensors(index)
        with TensorWriter(str(fresh), shard_bytes) as writer:
            for _, names in groupby(sorted(index, key=layer), layer):  # no more in memory
                found = architecture.saved({name: tensors[name] for name in names})
                for name in sorted(found.keys() & {*wanted}):
                    writer.save_tensor(name, found[name], clone=True)

    replace_weights(directory, write)
