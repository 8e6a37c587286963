"""Code that a checkpoint brings along: allowed by the model's entry, or taken out.

A config may name classes of its own (``auto_map``) which transformers imports from the checkpoint's
Python files when told to trust them. A base checkpoint is published with such names only if its
model's entry names the very code: the commit, or the SHA-256 of a local directory's files. Then
``remote_code.json`` records that, and goes along wherever the code does.
"""

import hashlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from mixmerge.core.errors import UserError, one_line
from mixmerge.core.io import read_object, sha256, write_json

#: Names the code that the config allows; written here alone, never copied from a foreign directory.
RECORD = "remote_code.json"
_AUTO_MAP = "auto_map"
_CONFIG, _TOKENIZER = "config.json", "tokenizer_config.json"
#: Where transformers looks for kernels, compiled code, on the hub: ``owner/name``.
_KERNELS = ("attn_implementation", "_attn_implementation", "experts_implementation")


def trusts_code(directory: Path) -> bool:
    """Whether a published checkpoint's own code may run: the value of ``trust_remote_code``.

    Raises:
        UserError: it names code of its own, and other than its record says.
    """
    if not names_code(directory):
        return False
    allowed = _content(directory / RECORD).get("sha256")
    digest = code_digest(directory)
    if allowed != digest:
        what = "which no model's entry allowed" if allowed is None else "which was changed since"
        raise UserError(
            f"{directory}: its config names code of its own (`auto_map`), {what}: its *.py files "
            f"have SHA-256 {digest}, {directory / RECORD} says {allowed}; it was not run. "
            "Configure the checkpoint as a model with `trust_remote_code`, and use what the rule "
            "publishes"
        )
    return True


def load_config(directory: Path) -> Any:
    """A published checkpoint's config as transformers reads it; `UserError` where it cannot."""
    from transformers import AutoConfig

    trusted = trusts_code(directory)
    try:
        return AutoConfig.from_pretrained(
            directory, local_files_only=True, trust_remote_code=trusted
        )
    except Exception as error:  # a config may hold anything; each part of it refuses in its way
        raise UserError(
            f"{directory / _CONFIG}: transformers cannot read it: {one_line(error, 300)}; mend it, "
            "or make or fetch the checkpoint again"
        ) from None


def names_code(directory: Path) -> bool:
    """Whether a checkpoint, of whatever origin, names classes of its own."""
    return any(_content(directory / name).get(_AUTO_MAP) for name in (_CONFIG, _TOKENIZER))


def code_digest(directory: Path) -> str:
    """SHA-256 over names and content of the Python files that stand in a directory."""
    digest = hashlib.sha256()
    for path in sorted(directory.glob("*.py")):
        digest.update(f"{path.name}\0{sha256(path)}\n".encode())
    return digest.hexdigest()


def settle_code(directory: Path, where: str, allowed: str | None, commit: str | None) -> None:
    """Record that a checkpoint's code may run, or take code and the names of its classes out.

    A model type that transformers knows, and a tokenizer with a tokenizer.json, load without.

    Args:
        directory: the checkpoint, not yet published.
        where: the config's section, such as ``models.qwen``, for messages.
        allowed: the entry's ``trust_remote_code``: a commit, or a digest as `code_digest` gives it.
        commit: what was fetched, if it was.

    Raises:
        UserError: another commit or other code than allowed, code of yet another repository, or a
            checkpoint that cannot be used without its code.
    """
    if allowed is None:
        for name in (_CONFIG, _TOKENIZER):
            _take_out_names(directory, name, where)
    _refuse_foreign_code(directory, where)
    digest = code_digest(directory)
    if allowed is None:
        for code in directory.glob("*.py"):
            code.unlink()
    elif allowed not in (commit, digest):
        raise UserError(
            f"{where}.trust_remote_code: allows {allowed}, but the code there is another: its *.py "
            f"files have SHA-256 {digest}; read them, then put that"
        )
    elif names_code(directory):
        write_json(directory / RECORD, {"allowed": allowed, "sha256": digest})


def _take_out_names(directory: Path, name: str, where: str) -> None:
    """Take the names of classes out of a config; `UserError` where it needs them."""
    content = _content(directory / name)
    if not content.get(_AUTO_MAP):
        return
    if name == _CONFIG:
        from transformers import CONFIG_MAPPING

        model_type = str(content.get("model_type"))
        needed, why = model_type not in CONFIG_MAPPING, f"{name}: model_type {model_type!r}"
    else:
        needed = not (directory / "tokenizer.json").exists()
        why = f"{name}, and there is no tokenizer.json"
    if needed:
        raise UserError(
            f"{where}.trust_remote_code: not set, but the checkpoint cannot be loaded without code "
            f"of its own (`auto_map` in {why}); read its *.py files, then name their commit (of a "
            f"local directory: their SHA-256, {code_digest(directory)}), or choose another model"
        )
    del content[_AUTO_MAP]
    write_json(directory / name, content)


def _refuse_foreign_code(directory: Path, where: str) -> None:
    """Refuse an ``auto_map`` that names another repository, and kernels of the hub."""
    for name in (_CONFIG, _TOKENIZER):
        content = _content(directory / name)
        for value in _strings_under(content, _AUTO_MAP):
            if "--" in value or "/" in value:
                raise UserError(
                    f"{where}: {name}: auto_map: {value!r} is code of another repository, at "
                    "whatever commit its main branch stands; copy the code into the checkpoint, "
                    "mend auto_map, and use kind 'local'"
                )
        for key in _KERNELS:
            for value in _strings_under(content, key):
                if "/" in value:
                    raise UserError(
                        f"{where}: {name}: {key}: {value!r} is compiled code of another "
                        f"repository; use a copy of the checkpoint without {key!r}, of kind 'local'"
                    )


def _content(file: Path) -> dict[str, Any]:
    return read_object(file) if file.exists() else {}


def _strings_under(value: Any, key: str, below: bool = False) -> Iterator[str]:
    """All strings under a key, at any depth: models of several parts have a config in a config."""
    if isinstance(value, str) and below:
        yield value
    items = value.items() if isinstance(value, dict) else ()
    for name, inner in items or (enumerate(value) if isinstance(value, list) else ()):
        yield from _strings_under(inner, key, below or name == key)
