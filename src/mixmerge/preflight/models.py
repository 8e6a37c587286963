"""Checks of models: checkpoints by their headers, chat templates by a chat rendered on trial."""

import importlib.util
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from tokenizers import Tokenizer

from mixmerge.artifacts.manifest import MANIFEST, read_manifest
from mixmerge.checkpoint.chat import BadTemplate, Chat
from mixmerge.checkpoint.index import read_index
from mixmerge.checkpoint.side_files import names_code
from mixmerge.checkpoint.tensors import HEAD, RAW, embeddings, is_tied, parameter_count, read_config
from mixmerge.checkpoint.tokenizer import load_chat, load_tokenizer, stop_tokens, template_of
from mixmerge.config.checks import unusable
from mixmerge.config.study import HubModel, LocalModel
from mixmerge.core.errors import UserError
from mixmerge.data.settings import MIX
from mixmerge.preflight.findings import Area, Context
from mixmerge.sft.examples import check_length, check_vocabulary

#: Texts of a chat that is rendered on trial; no template writes them of itself.
_CHAT = {"system": "Srxz-system", "user": "Qrxz-question", "assistant": "Arxz-answer"}


class _NoTokenizer:
    """Stands in for the tokenizer of a checkpoint that is not here: its tokens are assumed."""

    special_tokens_map: Mapping[str, str] = {
        name: f"<{name[:3]}>" for name in ("bos_token", "eos_token", "unk_token", "pad_token")
    }
    all_special_tokens: list[str] = []
    added_tokens_decoder: Mapping[int, Any] = {}


def _base(context: Context, key: str) -> Path | None:
    """A model's base checkpoint on this machine: published, else the directory it comes from."""
    published = Path(context.study.path("checkpoints", key, "base"))
    model = context.config.models[key]
    if (published / MANIFEST).exists():
        return published
    if isinstance(model, LocalModel) and unusable(model.path, folder=True) is None:
        return model.path
    return None


def check_models(context: Context, area: Area) -> None:
    """Base checkpoints by their headers, configs and tokenizers."""
    for key, model in context.config.models.items():
        if (directory := _base(context, key)) is not None:
            with area.refusals():
                _check_base(context, key, directory, area)
                area.checked.append(f"{key}: {directory}")
        elif isinstance(model, HubModel):
            area.unchecked.append(
                f"{key}: {model.id}@{model.revision[:12]} is not fetched yet (tokenizer, "
                "architecture, whether the hub has it)"
            )
        elif not isinstance(model, LocalModel):
            area.unchecked.append(f"{key}: not made yet")


def _check_base(context: Context, key: str, directory: Path, area: Area) -> None:
    """One base checkpoint; the first thing that keeps the rest from being looked at is raised."""
    if (directory / MANIFEST).exists():
        read_manifest(directory, "checkpoint", content=False)
    index, config, file = read_index(directory), read_config(directory), directory / "config.json"
    if quantised := [info for info in index.values() if info.dtype not in RAW]:
        area.error(
            f"{quantised[0].file}: tensor {quantised[0].name!r} is {quantised[0].dtype}; quantised "
            f"weights can be neither trained nor merged: take the model in one of {', '.join(RAW)}"
        )
    embedding, size = embeddings(index), config.get("vocab_size")
    if embedding is not None and size not in (None, embedding.shape[0]):
        area.error(
            f"{file}: vocab_size is {size!r}, but {embedding.name} in {embedding.file.name} has "
            f"{embedding.shape[0]} rows; take config and weights from the same revision"
        )
    if embedding is not None and not is_tied(directory, index) and HEAD not in index:
        area.error(
            f"{file}: tie_word_embeddings is false, but {HEAD} is not among the weights; set it to "
            "true if the model shares them, or fetch the missing tensor"
        )
    model, where = context.config.models[key], f"{context.where}: models.{key}"
    for training_set in (*context.config.tasks, MIX):
        with area.refusals():
            check_length(directory, context.config.sft_settings(key, training_set).max_length)
    tokenizer = None
    with suppress(Exception):  # the library raises nothing narrower; told with the chat template
        tokenizer = Tokenizer.from_file(str(directory / "tokenizer.json"))
    with area.refusals():
        check_vocabulary(directory, tokenizer)
    with area.refusals():
        if model.chat_template is None:
            load_chat(directory, run_code=False)
    kind = str(config.get("model_type") or "")
    if not kind:
        area.error(f"{file}: model_type: missing; transformers cannot tell what model this is")
    elif not getattr(model, "trust_remote_code", False) and not _is_in_transformers(kind):
        more = " (config.json names code of its own)" if names_code(directory) else ""
        area.warnings.append(
            f"{file}: model_type {kind!r} has no folder of its own in the installed "
            f"transformers{more}; if it cannot be loaded, upgrade transformers or set "
            f"models.{key}.trust_remote_code after reading its code"
        )
    counted = parameter_count(directory, index)
    if model.parameters is None and isinstance(model, LocalModel):
        area.warnings.append(
            f"{where}.parameters: missing, so that disk, memory and time are estimated as of 1.5 "
            f"billion weights; write {counted:_}, which {directory} has"
        )
    elif model.parameters is not None and abs(model.parameters - counted) > 0.02 * counted:
        area.warnings.append(
            f"{where}.parameters: {model.parameters:,}, but {directory} has {counted:,}; write "
            "that number, memory and time are estimated from it"
        )


def _is_in_transformers(kind: str) -> bool:
    """Whether the installed transformers has a folder for a type of model; without importing it."""
    spec = importlib.util.find_spec("transformers")
    if spec is None or spec.origin is None:
        return True
    return (Path(spec.origin).parent / "models" / kind.replace("-", "_")).is_dir()


def check_templates(context: Context, area: Area) -> None:
    """Chat templates of all models, by a chat rendered as training and generation do."""
    for key, model in context.config.models.items():
        directory, file = _base(context, key), model.chat_template
        if file is None and directory is None:
            embedded = model.kind == "embedded"
            reason = "is made with it" if embedded else "comes with the checkpoint, not fetched yet"
            area.unchecked.append(f"{key}: {reason}")
        elif file is None or not unusable(file):  # else told among the files of the config
            with area.refusals():
                _check_template(context, key, directory, file, area)


def _check_template(
    context: Context, key: str, directory: Path | None, file: Path | None, area: Area
) -> None:
    """One model's template; that there is none is told with the model."""
    tokenizer: Any = _NoTokenizer()
    template, source, field = None, str(file or directory), f"models.{key}.chat_template"
    if has_tokenizer := directory is not None and (directory / "tokenizer.json").exists():
        tokenizer = load_tokenizer(directory)
        template = template_of(tokenizer)
    try:
        template = file.read_text(encoding="utf-8") if file else template
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"{file}: {field}: cannot be read: {error}") from None
    if not template:
        return
    chat = Chat(tokenizer, template, source)
    if _check_chat(chat, field, context, area) and has_tokenizer and directory is not None:
        stop_tokens(directory, chat)
    known = "with its tokenizer" if directory else "tokens assumed: no checkpoint yet"
    area.checked.append(f"{Path(source).name} ({key}; {known})")


def _check_chat(chat: Chat, field: str, context: Context, area: Area) -> bool:
    """Render a small chat and name what the template loses; False where it refuses the chat."""
    has_system = any(task.system is not None for task in context.config.tasks.values())
    roles = [role for role in _CHAT if role != "system" or has_system]
    messages = [{"role": role, "content": _CHAT[role]} for role in roles]
    try:
        prompt = chat.render(messages[:-1], prompt=True)[0]
        unprompted = chat.render(messages[:-1])[0]
        whole, marks = chat.render(messages)
    except BadTemplate as error:
        place = f"{chat.source}:{error.line}" if error.line else chat.source
        area.error(f"{place}: {field}: cannot be rendered: {error}; mend the template")
        return False
    lost = [role for role in roles if _CHAT[role] not in whole]
    faults = [f"leaves out what the {role} says; mend the template" for role in lost]
    if prompt == unprompted:
        faults.append(
            "`add_generation_prompt` changes nothing, so a completion would not begin with the "
            "assistant's turn; let the template open it"
        )
    elif not whole.startswith(prompt):
        faults.append(
            f"generation's prompt ends with {prompt[-30:]!r}, but in training the answer follows "
            "on other text; let both branches write the same"
        )
    if marks and not any(_CHAT["assistant"] in whole[start:end] for start, end in marks):
        faults.append(
            "the `{% generation %}` marks do not enclose the answer, so the loss would be on "
            "something else; move them around the assistant's text"
        )
    for fault in faults:
        area.error(f"{chat.source}: {field}: {fault}")
    return True
