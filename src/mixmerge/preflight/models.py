"""Checks of models: checkpoints by their headers, chat templates by a chat rendered on trial."""

from copy import deepcopy
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from mixmerge.artifacts.manifest import MANIFEST, read_manifest
from mixmerge.checkpoint.architecture import Architecture, parameter_count
from mixmerge.checkpoint.chat import BadTemplate, Chat
from mixmerge.checkpoint.index import read_index
from mixmerge.checkpoint.side_files import check_decoder, names_code
from mixmerge.checkpoint.tensors import RAW
from mixmerge.checkpoint.tokenizer import load_chat, load_tokenizer, stop_tokens, template_of
from mixmerge.config.checks import unusable
from mixmerge.config.study import HubModel, LocalModel
from mixmerge.core.errors import UserError
from mixmerge.core.io import read_json
from mixmerge.data.settings import MIX
from mixmerge.preflight.findings import Area, Context
from mixmerge.sft.adapters import check_targets
from mixmerge.sft.examples import check_length, check_vocabulary

#: Texts of a chat that is rendered on trial; no template writes them of itself.
_CHAT = {"system": "Srxz-system", "user": "Qrxz-question", "assistant": "Arxz-answer"}

#: Stands in for the tokenizer of a checkpoint that is not here: its tokens are assumed.
_NO_TOKENIZER = SimpleNamespace(
    special_tokens_map={f"{name}_token": f"<{name}>" for name in ("bos", "eos", "unk", "pad")},
    all_special_tokens=[],
    added_tokens_decoder={},
)


def check_models(context: Context, area: Area) -> None:
    """Base checkpoints by their headers, configs and tokenizers, and all chat templates."""
    for key, model in context.config.models.items():
        directory, file = _base(context, key), model.chat_template
        tokenizer: Any = None if directory else _NO_TOKENIZER
        if directory is not None:
            with area.refusals():
                check_decoder(directory)
                _check_base(context, key, directory, area)
                area.checked.append(f"{key}: {directory}")
            with area.refusals():
                tokenizer = load_tokenizer(directory, run_code=False)
            with area.refusals():
                check_vocabulary(directory, tokenizer)
        elif isinstance(model, HubModel):
            area.unchecked.append(f"{key}: {model.id}@{model.revision[:12]} is not fetched yet")
        elif not isinstance(model, LocalModel):
            area.unchecked.append(f"{key}: not made yet")
        is_there = directory is not None if file is None else not unusable(file)
        if is_there and tokenizer is not None:  # else told among the files of the config
            with area.refusals():
                _check_template(context, key, directory, tokenizer, area)


def _base(context: Context, key: str) -> Path | None:
    """A model's base checkpoint on this machine: published, else the directory it comes from."""
    published = Path(context.study.path("checkpoints", key, "base"))
    model = context.config.models[key]
    if (published / MANIFEST).exists():
        return published
    if isinstance(model, LocalModel) and unusable(model.path, folder=True) is None:
        return model.path
    return None


def _check_base(context: Context, key: str, directory: Path, area: Area) -> None:
    """One base checkpoint; the first thing that keeps the rest from being looked at is raised."""
    from transformers import CONFIG_MAPPING

    if (directory / MANIFEST).exists():
        read_manifest(directory, "checkpoint", content=False)
    index, file = read_index(directory), directory / "config.json"
    config = read_json(file)
    model, where = context.config.models[key], f"{context.where}: models.{key}"
    kind = str(config.get("model_type") or "")
    for training_set in (*context.config.tasks, MIX) if kind in CONFIG_MAPPING else ():
        with area.refusals():
            longest = context.config.sft_settings(key, training_set).max_length
            check_length(directory, longest, run_code=False)
    if not kind:
        area.error(f"{file}: model_type: missing; transformers cannot tell what model this is")
    elif not getattr(model, "trust_remote_code", False) and kind not in CONFIG_MAPPING:
        more = " (config.json names code of its own)" if names_code(directory) else ""
        area.warnings.append(
            f"{file}: model_type {kind!r} is unknown to the installed transformers{more}; upgrade "
            f"transformers, or set models.{key}.trust_remote_code after reading its code"
        )
    elif kind in CONFIG_MAPPING:  # code of the checkpoint's own is not run here
        with area.refusals():
            architecture = Architecture(directory, trusted=False)
            index = {name: index[name] for name in architecture.names(index)}
            _check_adapters(context, key, architecture, area)
    if quantised := [info for info in index.values() if info.dtype not in RAW]:
        area.error(
            f"{quantised[0].file}: tensor {quantised[0].name!r} is {quantised[0].dtype}; quantised "
            f"weights can be neither trained nor merged: take the model in one of {', '.join(RAW)}"
        )
    counted, named = parameter_count(directory, index), model.parameters
    differs = named is not None and abs(named - counted) > 0.02 * counted
    if differs or (named is None and isinstance(model, LocalModel)):
        area.warnings.append(
            f"{where}.parameters: {'missing' if named is None else f'{named:_}'}, but {directory} "
            f"has {counted:_}; write that number, disk, memory and time are estimated from it"
        )


def _check_adapters(context: Context, key: str, architecture: Architecture, area: Area) -> None:
    """Whether LoRA's targets can get adapters in a base, for each training set that has its own."""
    sets = (context.config.sft_settings(key, each) for each in (*context.config.tasks, MIX))
    for lora in {each.lora.model_dump_json(): each.lora for each in sets if each.lora}.values():
        with area.refusals():
            check_targets(deepcopy(architecture), lora)


def _check_template(
    context: Context, key: str, directory: Path | None, tokenizer: Any, area: Area
) -> None:
    """One model's template: what it loses of a small chat, as training and generation render it."""
    file, field = context.config.models[key].chat_template, f"models.{key}.chat_template"
    try:
        template = file.read_text(encoding="utf-8") if file else template_of(tokenizer)
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"{file}: {field}: cannot be read: {error}") from None
    if template is None and directory is not None:
        load_chat(directory, run_code=False)  # says why there is none
    chat = Chat(tokenizer, template or "", str(file or directory))
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
        return
    lost = [role for role in roles if _CHAT[role] not in whole]
    faults = [f"leaves out what the {role} says; mend the template" for role in lost]
    if prompt == unprompted:
        faults.append("`add_generation_prompt` opens no turn of the assistant's; let it do so")
    elif not whole.startswith(prompt):
        faults.append(
            f"generation's prompt ends with {prompt[-30:]!r}, but in training the answer follows "
            "on other text; let both branches write the same"
        )
    if marks and not any(_CHAT["assistant"] in whole[start:end] for start, end in marks):
        faults.append("the `{% generation %}` marks do not enclose the answer; move them around it")
    for fault in faults:
        area.error(f"{chat.source}: {field}: {fault}")
    if directory is not None:
        stop_tokens(directory, chat)
    known = "with its tokenizer" if directory else "tokens assumed: no checkpoint yet"
    area.checked.append(f"{key}: chat template {Path(chat.source).name} ({known})")
