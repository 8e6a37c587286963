"""Code that a checkpoint brings along: allowed by the model's entry, or taken out.

A config may name classes of its own (``auto_map``) which transformers imports from the checkpoint's
Python files when it is told to trust them. A base checkpoint is published with such names only if
its model says ``trust_remote_code: true``; so every later job may trust what it finds, and no job
asks or runs what nobody allowed.
"""

from pathlib import Path

from mixmerge.errors import UserError
from mixmerge.files import read_json, write_json

_AUTO_MAP = "auto_map"


def trusts_code(directory: Path) -> bool:
    """Whether a published checkpoint's own code may run: the value of ``trust_remote_code``."""
    return any(_names_code(directory / name) for name in ("config.json", "tokenizer_config.json"))


def without_code(directory: Path, where: str) -> None:
    """Take code and the names of its classes out of a checkpoint that does not need them.

    A model type that transformers knows, and a tokenizer with a tokenizer.json, load without.

    Args:
        directory: the checkpoint, not yet published.
        where: the config's section, such as ``models.qwen``, for messages.

    Raises:
        UserError: the checkpoint cannot be used without its code.
    """
    for code in directory.glob("*.py"):
        code.unlink()
    config, tokenizer = directory / "config.json", directory / "tokenizer_config.json"
    if _names_code(config):
        kind = str(read_json(config).get("model_type"))
        if not _is_known(kind):
            raise UserError(_refusal(where, f"config.json: model_type {kind!r}"))
        _forget_code(config)
    if _names_code(tokenizer):
        if not (directory / "tokenizer.json").exists():
            raise UserError(
                _refusal(where, "tokenizer_config.json, and there is no tokenizer.json")
            )
        _forget_code(tokenizer)


def _names_code(file: Path) -> bool:
    return file.exists() and bool(read_json(file).get(_AUTO_MAP))


def _forget_code(file: Path) -> None:
    content = read_json(file)
    del content[_AUTO_MAP]
    write_json(file, content)


def _is_known(model_type: str) -> bool:
    from transformers import CONFIG_MAPPING

    return model_type in CONFIG_MAPPING


def _refusal(where: str, what: str) -> str:
    return (
        f"{where}.trust_remote_code: false, but the checkpoint cannot be loaded without code of "
        f"its own (`auto_map` in {what}); read its *.py files, then set it to true, or choose "
        "another model"
    )
