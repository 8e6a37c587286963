"""How a checkpoint's chats become tokens: its tokenizer, chat template and stop tokens.

Training and generation both go through here, so that what one is taught the other does.
"""

import re
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from mixmerge.checkpoint.code import trusts_code
from mixmerge.checkpoint.rendering import BadTemplate, render
from mixmerge.checkpoint.tokenizer import CONVERSION, FILE
from mixmerge.core.errors import UserError
from mixmerge.core.io import read_object

Messages = list[dict[str, str]]
Span = tuple[int, int]

#: A non-character of Unicode, in no text that may be exchanged: splits what must not be joined.
_BREAK = "\ufdd0"
_HALVES = re.compile("[\ud800-\udfff]")
_MARK = re.compile(r"\{%-?\s*generation\s*-?%\}")
_PROBE = "def f(x):\n    return x + 1  # é 你\n"


def load_tokenizer(checkpoint: Path) -> Any:
    """Read a checkpoint's tokenizer and make sure that it gives a text back as it was.

    transformers 5 reads a tokenizer of class ``LlamaTokenizer`` with Llama's own rules for blanks
    unless it notices that the file has others, as DeepSeek-Coder's has (issues 45488 and 46489 of
    huggingface/transformers): every blank and line end was lost, silently.

    Raises:
        UserError: no tokenizer, or one that loses text.
    """
    from transformers import AutoTokenizer
    from transformers import __version__ as version

    try:
        tokenizer = AutoTokenizer.from_pretrained(
            checkpoint, local_files_only=True, trust_remote_code=trusts_code(checkpoint)
        )
    except UserError:
        raise
    except Exception as error:  # the tokenizers library raises nothing else than that
        said = " ".join(f"{type(error).__name__}: {error}".split())[:500]
        way = "fetch or write its files again" if (checkpoint / FILE).exists() else CONVERSION
        raise UserError(f"{checkpoint}: the tokenizer cannot be read: {said}; {way}") from None
    ids = tokenizer(_PROBE, add_special_tokens=False)["input_ids"]
    back = tokenizer.decode(ids, clean_up_tokenization_spaces=False)
    if back != _PROBE:
        raise UserError(
            f"{checkpoint}: the tokenizer, as transformers {version} reads it "
            f"({type(tokenizer).__name__}), turns {_PROBE!r} into {back!r}; set `tokenizer_class` "
            "in tokenizer_config.json to 'PreTrainedTokenizerFast', which follows tokenizer.json"
        )
    return tokenizer


def template_of(tokenizer: Any) -> str | None:
    """The tokenizer's own chat template, the default one where it has several."""
    template = tokenizer.chat_template
    if isinstance(template, dict):
        template = template.get("default")
    return template or None


def stop_tokens(checkpoint: Path, tokenizer: Any) -> list[int]:
    """Ids at which generation stops, ascending.

    They stand in generation_config.json, else in config.json, else the tokenizer names one: the
    order in which transformers and vLLM look.

    Raises:
        UserError: none of them names one, or what is named is no token.
    """
    for name in ("generation_config.json", "config.json"):
        path = checkpoint / name
        value = read_object(path).get("eos_token_id") if path.exists() else None
        if value is not None:
            found = value if isinstance(value, list) else [value]
            for token in found:
                if not isinstance(token, int) or not 0 <= token < len(tokenizer):
                    raise UserError(
                        f"{path}: eos_token_id: {token!r} is no token; ids go from 0 to "
                        f"{len(tokenizer) - 1}"
                    )
            return sorted(set(found))
    if tokenizer.eos_token_id is None:
        raise UserError(
            f"{checkpoint}: no stop token in generation_config.json, config.json or the "
            "tokenizer; set eos_token_id in generation_config.json"
        )
    return [tokenizer.eos_token_id]


@dataclass(frozen=True)
class Chat:
    """A tokenizer with a chat template."""

    tokenizer: Any
    template: str
    source: str = "of the checkpoint"
    """Where the template came from, for messages."""

    @cached_property
    def _control(self) -> re.Pattern[str]:
        """Matches tokens by which a template, never a message's text, gives a chat its form."""
        names = set(self.tokenizer.all_special_tokens)
        for token in self.tokenizer.added_tokens_decoder.values():
            if token.special or token.content in self.template:
                names.add(token.content)
        words = sorted((name for name in names if name.strip()), key=len, reverse=True)
        return re.compile("|".join(map(re.escape, words)) or "(?!)")

    def render(self, messages: Messages, *, prompt: bool = False) -> tuple[str, list[Span]]:
        """Render a chat to text in which messages cannot forge the template's own tokens.

        Args:
            messages: the chat.
            prompt: whether to open the assistant's turn, as for generation.

        Returns:
            The text, and the character spans that stand within ``{% generation %}`` marks. The
            text is for `encode` only: marks split what looks like a special token in a message.

        Raises:
            BadTemplate: the template refuses the chat, or was stopped; see `rendering`.
        """
        return render(
            self.template,
            [self._inert(message) for message in messages],
            prompt=prompt,
            marks=_MARK.search(self.template) is not None,
            special=self.tokenizer.special_tokens_map,
            source=self.source,
        )

    def _inert(self, message: dict[str, str]) -> dict[str, str]:
        # Half of a pair, legal in JSON, has no UTF-8, which tokenizers work on.
        content = _HALVES.sub("\ufffd", message["content"].replace(_BREAK, ""))
        broken = self._control.sub(lambda found: found[0][0] + _BREAK + found[0][1:], content)
        return {**message, "content": broken}

    def encode(self, texts: list[str]) -> list[list[int]]:
        """Tokens of rendered texts, each text for itself."""
        pieces = [text.split(_BREAK) for text in texts]
        flat = [piece for group in pieces for piece in group]
        ids = iter(self.tokenizer(flat, add_special_tokens=False)["input_ids"])
        return [[token for _ in group for token in next(ids)] for group in pieces]

    def prompt(self, messages: Messages) -> list[int]:
        """Tokens of a chat with the assistant's turn opened."""
        return self.encode([self.render(messages, prompt=True)[0]])[0]

    def closing_token(self) -> int | None:
        """The token with which the template closes an answer, None if that is ordinary text."""
        question, answer = {"role": "user", "content": "q"}, {"role": "assistant", "content": "a"}
        opened = self.render([question], prompt=True)[0]
        whole = self.render([question, answer])[0]
        added = self.tokenizer.added_tokens_decoder
        return next((id_ for id_ in self.encode([whole[len(opened) :]])[0] if id_ in added), None)


def check_stops(checkpoint: Path, chat: Chat, stops: list[int]) -> None:
    """Check that generation stops where the template closes an answer.

    Raises:
        UserError: it would run on past the end of every answer.
    """
    closing = chat.closing_token()
    if closing is not None and closing not in stops:
        names = chat.tokenizer.convert_ids_to_tokens([closing, *stops])
        raise UserError(
            f"{checkpoint}: the chat template closes an answer with {names[0]!r} ({closing}), but "
            f"generation stops only at {', '.join(map(repr, names[1:]))} ({stops}): it would run "
            "on after each answer. Set eos_token_id in generation_config.json of a copy of the "
            "checkpoint (kind: local), or set the model's `chat_template` to one that closes with "
            "a stop token"
        )


def first_difference(tokenizer: Any, one: str, other: str) -> tuple[str, str] | None:
    """Where two chat templates write something else for a plain chat, None where nowhere.

    Args:
        tokenizer: whose special tokens the templates write.
        one: a template.
        other: another.

    Returns:
        The two texts, from where they part.
    """
    question, answer = {"role": "user", "content": "Q"}, {"role": "assistant", "content": "A"}
    system = {"role": "system", "content": "S"}
    for messages in ([question], [system, question], [question, answer, question, answer]):
        for prompt in (True, False):
            texts = [_written(Chat(tokenizer, each), messages, prompt) for each in (one, other)]
            if texts[0] != texts[1]:
                pairs = enumerate(zip(*texts, strict=False))
                at = next((i for i, (a, b) in pairs if a != b), min(map(len, texts)))
                return texts[0][at:], texts[1][at:]
    return None


def _written(chat: Chat, messages: Messages, prompt: bool) -> str:
    """The text of a chat, or how the template refuses it."""
    try:
        return chat.render(messages, prompt=prompt)[0]
    except BadTemplate as error:
        return f"(refused: {error})"
