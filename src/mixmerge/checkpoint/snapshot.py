"""Base checkpoints: a pinned snapshot of the hub, or a directory of this machine."""

import hashlib
import logging
import os
import shutil
from pathlib import Path

from mixmerge.checkpoint.chat import first_difference
from mixmerge.checkpoint.code import RECORD, settle_code
from mixmerge.checkpoint.finalize import SIDE_FILES, copy_named, finalize
from mixmerge.checkpoint.hub import Repository, download, resolve
from mixmerge.checkpoint.index import (
    INDEX,
    SINGLE,
    pickle_refusal,
    pickled,
    read_index,
    weight_files,
)
from mixmerge.checkpoint.settings import HubCheckpoint, LocalCheckpoint
from mixmerge.checkpoint.tensors import check_finite
from mixmerge.checkpoint.tokenizer import load_tokenizer, template_of
from mixmerge.core.errors import UserError
from mixmerge.core.io import read_object, replace_dir, write_json

logger = logging.getLogger(__name__)

#: What is fetched of a repository's weights.
_SHARDS = "model-*-of-*.safetensors"


def snapshot(model: str, settings: HubCheckpoint | LocalCheckpoint, out: Path) -> None:
    """Publish a base checkpoint at ``out``, checked, with its manifest.

    What was downloaded before an interruption is kept in a hidden directory beside ``out``.

    Args:
        model: its key in the config, for messages.
        settings: where it comes from.
        out: target directory; replaced as a whole when everything is there.

    Raises:
        UserError: the source cannot be had, or is not a whole checkpoint with a chat template.
    """
    where = f"models.{model}"
    if isinstance(settings, HubCheckpoint):
        repository = resolve("model", settings.id, settings.revision, where, out)
        _check_weights(repository, where)
        source = {"id": settings.id, "revision": settings.revision, "commit": repository.commit}
        source["kind"] = "hub"
        scratch = _scratch(out, source)
        (scratch / RECORD).unlink(missing_ok=True)
        patterns = [*SIDE_FILES, SINGLE, INDEX, _SHARDS]
        code = [] if settings.trust_remote_code is None else ["*.py"]
        download(repository, patterns + code, scratch, where)
        _finish(where, settings, source, scratch, out)
        return
    source = {"path": settings.path.as_posix(), "kind": "local"}
    scratch = _scratch(out, source)
    try:
        _copy_checkpoint(settings.path, scratch)
        _finish(where, settings, source, scratch, out)
    except UserError as error:
        message = str(error).replace(scratch.as_posix(), settings.path.as_posix())
        raise UserError(message) from None
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


def _scratch(out: Path, source: dict[str, str]) -> Path:
    """A directory beside ``out`` whose name holds the source: only the same resumes a download."""
    key = hashlib.sha256(repr(sorted(source.items())).encode()).hexdigest()[:12]
    scratch = out.with_name(f".{out.name}.{key}.snapshot")
    scratch.mkdir(parents=True, exist_ok=True)
    return scratch


def _finish(
    where: str,
    settings: HubCheckpoint | LocalCheckpoint,
    source: dict[str, str],
    scratch: Path,
    out: Path,
) -> None:
    """Check a fetched or copied checkpoint, and publish it."""
    settle_code(scratch, where, settings.trust_remote_code, source.get("commit"))
    inputs = []
    if settings.chat_template is not None:
        _compare_templates(where, scratch, settings.chat_template)
        install_chat_template(settings.chat_template, scratch)
        inputs.append(settings.chat_template)
    check_finite(scratch)
    finalize(scratch, inputs=inputs, settings=source, seed=None, packages=["huggingface_hub"])
    replace_dir(scratch, out)


def _compare_templates(where: str, checkpoint: Path, own: Path) -> None:
    """Say so where the config's chat template writes another text than the checkpoint's own.

    A template that only adds marks around the answer should not; one that is meant to may.
    """
    tokenizer = load_tokenizer(checkpoint)
    original = template_of(tokenizer)
    if original is None or not own.is_file():
        return
    texts = first_difference(tokenizer, original, own.read_text(encoding="utf-8"))
    if texts is not None:
        logger.warning(
            "%s.chat_template: %s writes another text than the checkpoint's own template: %r, "
            "not %r",
            *(where, own, texts[1], texts[0]),
        )


def _check_weights(repository: Repository, where: str) -> None:
    """Refuse a repository without safetensors before anything is fetched."""
    if repository.matching([SINGLE, INDEX]):
        return
    where = f"{where}.id: {repository.id}@{repository.commit}"
    if pickles := pickled(file.name for file in repository.files):
        raise UserError(pickle_refusal(where, pickles[0]))
    others = [file.name for file in repository.matching(["*.gguf", "*.safetensors", "*.h5"])]
    held = f" (it holds {others[0]})" if others else ""
    raise UserError(
        f"{where} has neither {SINGLE} nor {INDEX}{held}; choose a model in transformers' layout, "
        "or save it with save_pretrained and use kind 'local'"
    )


def _copy_checkpoint(source: Path, target: Path) -> None:
    """Copy a local checkpoint's known files into ``target``: hard links where possible.

    Raises:
        UserError: the directory holds no whole safetensors checkpoint.
    """
    index = read_index(source)
    for stale in target.iterdir():
        stale.unlink()
    for file in weight_files(index):
        try:
            os.link(file.resolve(), target / file.name)
        except OSError:  # another file system, or one without hard links
            shutil.copyfile(file, target / file.name)
    if (source / INDEX).exists():
        shutil.copyfile(source / INDEX, target / INDEX)
    # A foreign directory: its code goes along for now, its own word on what it may do does not.
    copy_named(source, target, (), [path.name for path in source.glob("*.py")])


def install_chat_template(template: Path, directory: Path) -> None:
    """Replace a checkpoint's chat template by a Jinja file.

    Raises:
        UserError: the file is missing or names no message.
    """
    try:
        text = template.read_text(encoding="utf-8")
    except OSError:
        raise UserError(f"{template}: file not found; it is a model's `chat_template`") from None
    if "messages" not in text:
        raise UserError(f"{template}: is no chat template: it never mentions `messages`")
    # One place only: what is left elsewhere would speak against the new one.
    (directory / "chat_template.json").unlink(missing_ok=True)
    config = directory / "tokenizer_config.json"
    if config.exists():
        content = read_object(config)
        if content.pop("chat_template", None) is not None:
            write_json(config, content)
    (directory / "chat_template.jinja").write_text(text, encoding="utf-8")
