"""What a checkpoint holds beside its weights: config, tokenizer, chat template, code of its own.

A config may name classes of its own (``auto_map``), which transformers imports from the
checkpoint's Python files. They are published only if the model's entry names the very code, by
commit or SHA-256; ``remote_code.json`` records that, and goes along wherever the code does.
"""

import hashlib
import inspect
import re
import shutil
import sys
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import Any

from mixmerge.checkpoint.architecture import parameter_count, read_config
from mixmerge.checkpoint.index import read_index
from mixmerge.core.errors import UserError
from mixmerge.core.io import read_json, sha256, write_json

#: Everything of a checkpoint but its weights; each is optional but for the config.
SIDE_FILES = (
    "config.json", "generation_config.json", "tokenizer.json", "tokenizer_config.json",
    "tokenizer.model", "special_tokens_map.json", "added_tokens.json", "vocab.json", "merges.txt",
    "chat_template.jinja", "chat_template.json",
)  # fmt: skip
#: Names the code that the config allows; written here alone, never copied from a foreign directory.
CODE_RECORD = "remote_code.json"
_CONFIG, _TOKENIZER = "config.json", "tokenizer_config.json"
#: What names code of a repository on the hub, by key: ``owner/name--module.Class``, and where
#: transformers looks for kernels, compiled code.
_FOREIGN = {
    "auto_map": "/|--",
    "attn_implementation": "/",
    "_attn_implementation": "/",
    "experts_implementation": "/",
}
#: Fields of configs that bound the length of a sequence: BLOOM, Mamba and others have none.
_LENGTHS = ("max_position_embeddings", "max_seq_len", "n_positions", "seq_length")


def trusts_code(directory: Path) -> bool:
    """Whether a published checkpoint's own code may run: the value of ``trust_remote_code``.

    Raises `UserError` where it names code, and other than its record says.
    """
    if not names_code(directory):
        return False
    allowed = _content(directory / CODE_RECORD).get("sha256")
    digest = code_digest(directory)
    if allowed != digest:
        what = "which no model's entry allowed" if allowed is None else "which was changed since"
        raise UserError(
            f"{directory}: its config names code of its own (`auto_map`), {what}: its SHA-256 is "
            f"{digest}, {CODE_RECORD} says {allowed}; it was not run. Configure the checkpoint as "
            "a model with `trust_remote_code`, and use what the rule publishes"
        )
    return True


def load_config(directory: Path, *, run_code: bool = True) -> Any:
    """A checkpoint's config as transformers reads it; `UserError` where it cannot.

    Without ``run_code`` no class of the checkpoint's own is used, even where it is trusted.
    """
    return read_config(directory, trusted=run_code and trusts_code(directory))


def context_length(directory: Path, *, run_code: bool = True) -> tuple[str, int | None]:
    """Field of a checkpoint's config, and the longest sequence in tokens that it allows.

    None where nothing bounds it: with recurrences, or ALiBi biases that are made as needed.
    """
    config = load_config(directory, run_code=run_code).get_text_config(decoder=True)
    for name in _LENGTHS:
        # Under one name, or under the class's own for it, as GPT-2's `n_positions`.
        length = getattr(config, name, None)
        if isinstance(length, int) and length > 0:
            return (config.attribute_map or {}).get(name, name), length
    return _LENGTHS[0], None


def check_decoder(directory: Path) -> None:
    """Check that a model predicts a text from left to right, by its config and transformers' class.

    `UserError` where not. Of a model with code of its own only its first training can tell.
    """
    from transformers import CONFIG_MAPPING, MODEL_FOR_CAUSAL_LM_MAPPING

    kind = str(_content(directory / _CONFIG).get("model_type"))
    if kind not in CONFIG_MAPPING or names_code(directory):
        return
    config = load_config(directory, run_code=False)
    model, lack = MODEL_FOR_CAUSAL_LM_MAPPING.get(type(config), None), ""
    if model is None or config.is_encoder_decoder:
        lack = "has an encoder, or is no language model"
    # Some configs have the field, and no model that asks for it, but in an example.
    elif not getattr(config, "is_decoder", True) and re.search(
        r"^(?!\s*>>>).*config\.is_decoder", inspect.getsource(sys.modules[model.__module__]), re.M
    ):
        lack = "looks ahead (is_decoder is false)"
    if lack:
        way = "choose a model that predicts a text from left to right"
        raise UserError(f"{directory / _CONFIG}: model_type: {kind!r} {lack}; {way}")


def names_code(directory: Path) -> bool:
    """Whether a checkpoint, of whatever origin, names classes of its own."""
    return any(_content(directory / name).get("auto_map") for name in (_CONFIG, _TOKENIZER))


def code_digest(directory: Path) -> str:
    """SHA-256 over names and content of the Python files that stand in a directory."""
    digest = hashlib.sha256()
    for path in sorted(directory.glob("*.py")):
        digest.update(f"{path.name}\0{sha256(path)}\n".encode())
    return digest.hexdigest()


def settle_code(directory: Path, where: str, allowed: str | None, commit: str | None) -> None:
    """Record that a checkpoint's code may run, or take code and the names of its classes out.

    A model type that transformers knows, and a tokenizer with a tokenizer.json, load without.
    ``allowed``, ``trust_remote_code`` of the config's section ``where``, is the ``commit`` that was
    fetched, or a digest as `code_digest` gives it.
    """
    from transformers import CONFIG_MAPPING

    digest = code_digest(directory)
    for name in (_CONFIG, _TOKENIZER):
        content = _content(directory / name)
        if allowed is None and content.pop("auto_map", None):
            if name == _CONFIG:
                why = f"{name}: model_type {content.get('model_type')!r}"
                is_needed = str(content.get("model_type")) not in CONFIG_MAPPING
            else:
                why = f"{name}, and there is no tokenizer.json"
                is_needed = not (directory / "tokenizer.json").exists()
            if is_needed:
                raise UserError(
                    f"{where}.trust_remote_code: not set, but the checkpoint cannot be loaded "
                    f"without code of its own (`auto_map` in {why}); read its *.py files, then "
                    f"name their commit (locally: SHA-256, {digest}), or choose another model"
                )
            write_json(directory / name, content)
        for key, value in _foreign_code(content):
            kind = "compiled code of another repository"
            way = f"use a copy of the checkpoint without {key!r}, of kind 'local'"
            if key == "auto_map":
                kind = "code of another repository, at whatever commit its main branch stands"
                way = "copy the code into the checkpoint, mend auto_map, and use kind 'local'"
            raise UserError(f"{where}: {name}: {key}: {value!r} is {kind}; {way}")
    if allowed is None:
        for code in directory.glob("*.py"):
            code.unlink()
    elif allowed not in (commit, digest):
        problem = f"allows {allowed}, but the code there is another, of SHA-256 {digest}"
        raise UserError(f"{where}.trust_remote_code: {problem}; read it, then put that")
    elif names_code(directory):
        write_json(directory / CODE_RECORD, {"allowed": allowed, "sha256": digest})


def _foreign_code(content: Any, inherited: str = "") -> Iterator[tuple[str, str]]:
    """Keys and values that name code of a repository, at any depth of a config."""
    if isinstance(content, str) and inherited and re.search(_FOREIGN[inherited], content):
        yield inherited, content
    items = content.items() if isinstance(content, dict) else ()
    for key, value in items or (enumerate(content) if isinstance(content, list) else ()):
        yield from _foreign_code(value, key if key in _FOREIGN else inherited)


def _content(file: Path) -> dict[str, Any]:
    return read_json(file) if file.exists() else {}


def copy_side_files(source: Path, target: Path, skip: Collection[str] = ()) -> None:
    """Copy config, tokenizer, chat template and generation settings, and code that may run."""
    code = [path.name for path in source.glob("*.py")] if trusts_code(source) else []
    for name in (*SIDE_FILES, *code, *([CODE_RECORD] if code else [])):
        if name not in skip and (source / name).exists():
            shutil.copyfile(source / name, target / name)


def finish_files(directory: Path) -> dict[str, Any]:
    """Make a whole checkpoint's files readable by all; returns the facts of its manifest."""
    for path in directory.rglob("*"):
        # Some libraries leave 0600 behind; a hard link shares its mode with the user's own file.
        if path.is_file() and path.stat().st_nlink == 1:
            path.chmod(0o644)
    config, index = read_json(directory / _CONFIG), read_index(directory)
    names = config.get("architectures") or [config.get("model_type", "unknown")]
    return {"parameters": parameter_count(directory, index), "architecture": names[0]}
