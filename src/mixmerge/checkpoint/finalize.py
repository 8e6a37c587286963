"""Finalising a checkpoint: side files, checks, modes, provenance, manifest."""

import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from mixmerge.artifacts.manifest import write_manifest, write_provenance
from mixmerge.checkpoint.code import RECORD, trusts_code
from mixmerge.checkpoint.index import parameter_count, read_index
from mixmerge.checkpoint.tensors import read_config, without_tied_head
from mixmerge.checkpoint.tokenizer import check_chat_template

#: Everything of a checkpoint but its weights; each is optional but for the config.
SIDE_FILES = (
    "config.json",
    "generation_config.json",
    "tokenizer.json",
    "tokenizer_config.json",
    "tokenizer.model",
    "special_tokens_map.json",
    "added_tokens.json",
    "vocab.json",
    "merges.txt",
    "chat_template.jinja",
    "chat_template.json",
)

#: Mode of published files: some libraries leave 0600 behind, but results are read by others.
FILE_MODE = 0o644


def finalize(
    directory: Path,
    *,
    inputs: list[Path],
    settings: Any,
    seed: int | None,
    packages: list[str],
) -> None:
    """Check a finished checkpoint and write its provenance and, last, its manifest.

    Takes a scratch directory that is about to be renamed into place, and what `write_provenance`
    takes.

    Raises:
        UserError: weights, config, tokenizer or chat template are missing or broken.
    """
    index = without_tied_head(directory, read_index(directory))
    config = read_config(directory)
    names = config.get("architectures") or [config.get("model_type", "unknown")]
    check_chat_template(directory)
    for path in sorted(directory.rglob("*")):
        # A hard link shares its mode with the user's own file, which is not ours to change.
        if path.is_file() and path.stat().st_nlink == 1:
            path.chmod(FILE_MODE)
    write_provenance(directory, inputs=inputs, settings=settings, seed=seed, packages=packages)
    # Tied parameters count once.
    facts = {"parameters": parameter_count(index), "architecture": names[0]}
    write_manifest(directory, "checkpoint", facts)


def copy_side_files(source: Path, target: Path, skip: tuple[str, ...] = ()) -> None:
    """Copy config, tokenizer, chat template and generation settings, and code that may run."""
    code = [path.name for path in sorted(source.glob("*.py"))] if trusts_code(source) else []
    copy_named(source, target, skip, [*code, RECORD] if code else [])


def copy_named(source: Path, target: Path, skip: Sequence[str], more: Sequence[str]) -> None:
    """Copy the side files that exist and are not skipped, and some more; whoever made them."""
    for name in (*SIDE_FILES, *more):
        if name not in skip and (source / name).exists():
            shutil.copyfile(source / name, target / name)
