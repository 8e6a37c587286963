"""Chat templates: a probe rendered by the very renderer of training and generation."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from mixmerge.checkpoint.chat import BadTemplate, Chat, check_stops
from mixmerge.checkpoint.tokenizer import stop_tokens
from mixmerge.core.errors import UserError
from mixmerge.preflight.context import Context
from mixmerge.preflight.finding import Area
from mixmerge.preflight.paths import unusable
from mixmerge.preflight.tokenizer import LightTokenizer

#: Texts of the probe; no template writes them of itself.
_QUESTION, _ANSWER, _SYSTEM = "Qrxz-question", "Arxz-answer", "Srxz-system"

#: Tokens that a template may write, while the checkpoint that says which is not here.
_ASSUMED = {"bos_token": "<bos>", "eos_token": "<eos>", "unk_token": "<unk>", "pad_token": "<pad>"}


class _NoTokenizer:
    """Stands in for the tokenizer of a checkpoint that is not here: no tokens to keep apart."""

    special_tokens_map: Mapping[str, str] = _ASSUMED
    all_special_tokens: list[str] = []
    added_tokens_decoder: Mapping[int, Any] = {}


def check(context: Context, checkpoints: Mapping[str, Path]) -> Area:
    """The chat template of every model.

    Args:
        context: the study.
        checkpoints: model -> a checkpoint of it that is on this machine.
    """
    area = Area("chat templates")
    if context.study is None:
        return area
    system = any(task.system is not None for task in context.config.tasks.values())
    rendered: set[tuple[str, Any]] = set()
    for key, model in context.config.models.items():
        directory, file = checkpoints.get(key), model.chat_template
        if file is None and directory is None:
            area.unchecked.append(
                f"{key}: the embedded model's is made with it"
                if model.kind == "embedded"
                else f"{key}: comes with the checkpoint, which is not fetched yet"
            )
            continue
        if file is not None and unusable(file):
            continue
        tokenizer: Any = _NoTokenizer()
        if directory is not None and (directory / "tokenizer.json").exists():
            tokenizer = LightTokenizer(directory)
        try:
            if file is not None:
                template, where = file.read_text(encoding="utf-8"), str(file)
            else:
                template, where = getattr(tokenizer, "chat_template", None) or "", str(directory)
            if (template, directory) in rendered:
                continue
            rendered.add((template, directory))
            if not template:
                # Told among the models: the checkpoint has none.
                continue
            chat = Chat(tokenizer, template, where)
            works = _probe(chat, where, f"models.{key}.chat_template", system, area)
            if works and isinstance(tokenizer, LightTokenizer):
                assert directory is not None
                check_stops(directory, chat, stop_tokens(directory, tokenizer))
        except UserError as error:
            area.refused(error)
        except (OSError, UnicodeDecodeError) as error:
            area.error(f"{file}: models.{key}.chat_template: cannot be read: {error}")
        else:
            known = "with its tokenizer" if directory else "tokens assumed: no checkpoint yet"
            area.checked.append(f"{Path(where).name} ({key}; {known})")
    return area


def _probe(chat: Chat, where: str, field: str, system: bool, area: Area) -> bool:
    """Render a small chat and tell of a template that loses it; False where it refuses."""
    user, answer = _message("user", _QUESTION), _message("assistant", _ANSWER)
    first = [_message("system", _SYSTEM)] if system else []
    try:
        prompt = chat.render([*first, user], prompt=True)[0]
        plain = chat.render([*first, user])[0]
        whole, marks = chat.render([*first, user, answer])
    except BadTemplate as error:
        place = f"{where}:{error.line}" if error.line else where
        said = " ".join(str(error).split())
        area.error(f"{place}: {field}: cannot be rendered: {said}; mend the template")
        return False
    for text, role in ((_SYSTEM, "system"), (_QUESTION, "user"), (_ANSWER, "assistant")):
        if text not in whole and (role != "system" or system):
            area.error(f"{where}: {field}: leaves out what the {role} says; mend the template")
    if prompt == plain:
        area.error(
            f"{where}: {field}: `add_generation_prompt` changes nothing, so a completion would not "
            "begin with the assistant's turn; let the template open it"
        )
    elif not whole.startswith(prompt):
        area.error(
            f"{where}: {field}: generation's prompt ends with {prompt[-30:]!r}, but in training "
            "the answer follows on other text; let both branches write the same"
        )
    if marks and not any(_ANSWER in whole[start:end] for start, end in marks):
        area.error(
            f"{where}: {field}: the `{{% generation %}}` marks do not enclose the answer, so the "
            "loss would be on something else; move them around the assistant's text"
        )
    return True


def _message(role: str, content: str) -> dict[str, str]:
    return {"role": role, "content": content}
