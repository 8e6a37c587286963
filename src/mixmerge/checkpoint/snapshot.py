"""Base checkpoints: a pinned snapshot of the hub, or a directory of this machine."""

import logging
import os
import shutil
from functools import partial
from itertools import product
from pathlib import Path
from typing import Any

from mixmerge.artifacts.manifest import publish
from mixmerge.checkpoint.architecture import Architecture
from mixmerge.checkpoint.chat import BadTemplate, Chat
from mixmerge.checkpoint.hub import download, matching, resolve
from mixmerge.checkpoint.index import INDEX, SINGLE, no_weights, read_index
from mixmerge.checkpoint.settings import HubCheckpoint, LocalCheckpoint
from mixmerge.checkpoint.side_files import (
    SIDE_FILES,
    check_decoder,
    finish_files,
    names_code,
    settle_code,
)
from mixmerge.checkpoint.tensors import (
    SHARD_BYTES,
    check_finite,
    load_tensors,
    replace_weights,
)
from mixmerge.checkpoint.tokenizer import load_chat, load_tokenizer, template_of
from mixmerge.core.errors import UserError
from mixmerge.core.io import read_json, write_json

logger = logging.getLogger(__name__)

#: Chats on which a template is held against the one it replaces.
_QUESTION, _ANSWER = {"role": "user", "content": "Q"}, {"role": "assistant", "content": "A"}
_TRIALS = (
    [_QUESTION],
    [{"role": "system", "content": "S"}, _QUESTION],
    [_QUESTION, _ANSWER, _QUESTION, _ANSWER],
)


def snapshot(model: str, settings: HubCheckpoint | LocalCheckpoint, out: Path) -> None:
    """Publish a model's base checkpoint at ``out``, checked, with its manifest.

    What was downloaded before an interruption is kept in a hidden directory beside ``out``, which
    is replaced as a whole when everything is there.
    """
    where, own = f"models.{model}", settings.chat_template
    if isinstance(settings, HubCheckpoint):
        repository = resolve("model", settings.id, settings.revision, where, out)
        if not matching(repository, [SINGLE, INDEX]):  # before anything is fetched
            names = (file.rfilename for file in repository.siblings or ())
            raise no_weights(f"{where}.id: {settings.id}@{repository.sha}", names)
        origin = {"id": settings.id, "revision": settings.revision, "commit": repository.sha}
        # Only the same commit resumes a download.
        source = out.with_name(f".{out.name}.{repository.sha[:12]}.snapshot")
        source.mkdir(parents=True, exist_ok=True)
        code = [] if settings.trust_remote_code is None else ["*.py"]
        patterns = [*SIDE_FILES, SINGLE, INDEX, "model-*-of-*.safetensors", *code]
        download(repository, patterns, source, where)
    else:
        source = settings.path
        origin = {"path": source.as_posix()}
    origin["kind"] = settings.kind
    inputs = [] if own is None else [own]
    packages = ["huggingface_hub"]
    with publish(out, "checkpoint", inputs=inputs, settings=origin, packages=packages) as made:
        try:
            _copy_checkpoint(source, made.path)
            settle_code(made.path, where, settings.trust_remote_code, origin.get("commit"))
            check_decoder(made.path)
            if own is not None:
                tokenizer = load_tokenizer(made.path, run_code=False)
                original = template_of(tokenizer)
                text = install_chat_template(own, made.path)
                # A template that only adds marks around the answer writes the same text.
                if original and (texts := first_difference(tokenizer, original, text)):
                    logger.warning(
                        "%s.chat_template: %s writes another text than the checkpoint's own "
                        "template: %r, not %r",
                        *(where, own, texts[1], texts[0]),
                    )
            load_chat(made.path, run_code=False)
            settle_weights(made.path)
            check_finite(made.path)
        except UserError as error:
            message = str(error).replace(made.path.as_posix(), source.as_posix())
            raise UserError(message) from None
        made.facts.update(finish_files(made.path))
    if isinstance(settings, HubCheckpoint):
        for fetched in out.parent.glob(f".{out.name}.{'?' * 12}.snapshot"):  # other commits' too
            shutil.rmtree(fetched)


def settle_weights(directory: Path) -> None:
    """Bring a checkpoint's tensors into the form in which transformers would save its model.

    Buffers that older releases stored and copies of tied tensors are left out; names of old are
    made new. Most need none of this, and their files stay as they are, as do those of a model with
    code of its own, which is not run here.
    """
    if names_code(directory):
        return
    from huggingface_hub import save_torch_state_dict  # imports torch

    index = read_index(directory)
    model = Architecture(directory, trusted=False)
    names = model.names(index)
    if renamed := {old: new for old, new in names.items() if old != new}:
        logger.info("%d tensors renamed, such as %s to %s", len(renamed), *min(renamed.items()))
    if dropped := sorted(index.keys() - names.keys()):
        logger.info("%d tensors left out that the model does not use: %s", len(dropped), dropped[0])
    if renamed or dropped:
        tensors = load_tensors({old: index[old] for old in names})
        state = {new: tensors[old] for old, new in names.items()}
        save = partial(save_torch_state_dict, state, max_shard_size=SHARD_BYTES)
        replace_weights(directory, save)


def first_difference(tokenizer: Any, first: str, second: str) -> tuple[str, str] | None:
    """What two chat templates write for a plain chat, from where they part; None if the same."""
    for messages, prompt in product(_TRIALS, (True, False)):
        texts = []
        for template in (first, second):
            try:
                texts.append(Chat(tokenizer, template).render(messages, prompt=prompt)[0])
            except BadTemplate as error:
                texts.append(f"(refused: {error})")
        if texts[0] != texts[1]:
            start = len(os.path.commonprefix(texts))  # noqa: RUF071 -- characters are compared
            return texts[0][start:], texts[1][start:]
    return None


def _copy_checkpoint(source: Path, target: Path) -> None:
    """Copy a local checkpoint's known files into ``target``: hard links where possible."""
    for file in {info.file for info in read_index(source).values()}:
        try:
            os.link(file.resolve(), target / file.name)
        except OSError:  # another file system, or one without hard links
            shutil.copyfile(file, target / file.name)
    # Its code goes along for now, a foreign directory's word on what the code may do does not.
    for name in (*SIDE_FILES, INDEX, *(path.name for path in source.glob("*.py"))):
        if (source / name).exists():
            shutil.copyfile(source / name, target / name)


def install_chat_template(template: Path, directory: Path) -> str:
    """Replace a checkpoint's chat template by a Jinja file, whose text is returned."""
    try:
        text = template.read_text(encoding="utf-8")
    except OSError:
        raise UserError(f"{template}: file not found; it is a model's `chat_template`") from None
    if "messages" not in text:
        raise UserError(f"{template}: is no chat template: it never mentions `messages`")
    # One place only: what is left elsewhere would speak against the new one.
    (directory / "chat_template.json").unlink(missing_ok=True)
    config = directory / "tokenizer_config.json"
    content = read_json(config) if config.exists() else {}
    if content.pop("chat_template", None) is not None:
        write_json(config, content)
    (directory / "chat_template.jinja").write_text(text, encoding="utf-8")
    return text
