"""From chat messages to token ids and labels: the loss is on the answer and its stop token."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mixmerge.errors import UserError
from mixmerge.files import read_json

#: Label of a token outside the loss, as torch's cross-entropy has it.
IGNORED = -100


@dataclass(frozen=True)
class Encoder:
    """A tokenizer with its training template and the tokens that end an answer."""

    tokenizer: Any
    template: str
    """Chat template with ``{% generation %}`` around what the assistant says."""
    stops: frozenset[int]
    """Ids that end generation; one of them must close each answer, inside the loss."""
    source: str
    """Where the template came from, for messages."""

    def encode(self, messages: list[dict[str, str]], where: str) -> tuple[list[int], list[int]]:
        """Tokenise one conversation.

        Args:
            messages: chat messages, the last one the assistant's.
            where: what to call the example in messages, ``file:line``.

        Returns:
            Token ids and labels, both of the conversation's length. A label is the token itself
            inside an answer up to and including its stop token, and -100 elsewhere; what the
            template writes after the stop token is never generated and so never learnt.

        Raises:
            UserError: the template marks no answer, or leaves the stop token outside.
        """
        try:
            encoded = self.tokenizer.apply_chat_template(
                messages,
                chat_template=self.template,
                tokenize=True,
                return_dict=True,
                return_assistant_tokens_mask=True,
            )
        except UserError:
            raise
        except Exception as error:  # jinja raises what the template tells it to
            raise UserError(
                f"{where}: the chat template ({self.source}) refuses this example: {error}"
            ) from None
        ids = list(encoded["input_ids"])
        labels = self._labels(ids, list(encoded["assistant_masks"]))
        last = max((i for i, label in enumerate(labels) if label != IGNORED), default=-1)
        if last < 0:
            raise UserError(
                f"{where}: the chat template ({self.source}) marks no token as the assistant's: "
                "`{% generation %}` ... `{% endgeneration %}` must enclose the answer. "
                "Set the model's `chat_template` to a file that does"
            )
        if ids[last] not in self.stops:
            raise UserError(
                f"{where}: with the chat template ({self.source}) the loss ends on token "
                f"{self.tokenizer.convert_ids_to_tokens(ids[last])!r}, but generation stops only "
                f"at {self.tokenizer.convert_ids_to_tokens(sorted(self.stops))}: the model would "
                "never learn to stop. Move the stop token before `{% endgeneration %}` and set the "
                "model's `chat_template` to that file"
            )
        return ids, labels

    def _labels(self, ids: list[int], mask: list[int]) -> list[int]:
        labels = [token if inside else IGNORED for token, inside in zip(ids, mask, strict=True)]
        # Templates such as Qwen's enclose the line break after the stop token as well.
        stopped = False
        for i, token in enumerate(ids):
            if not mask[i]:
                stopped = False
            elif stopped and token not in self.stops:
                labels[i] = IGNORED
            else:
                stopped = token in self.stops
        return labels


def load_encoder(base: Path, chat_template: Path | None) -> Encoder:
    """Read a checkpoint's tokenizer and find the template to train with.

    A template without generation marks is replaced by TRL's training variant of the same template,
    which renders the same text.

    Raises:
        UserError: no tokenizer, no template, no known training variant, or no stop token.
    """
    from transformers import AutoTokenizer
    from trl.chat_template_utils import get_training_chat_template, has_generation_markers

    try:
        tokenizer = AutoTokenizer.from_pretrained(base)
    except (OSError, ValueError, KeyError) as error:
        raise UserError(f"{base}: the tokenizer cannot be read: {error}") from None
    source = str(chat_template or base)
    if chat_template is not None:
        tokenizer.chat_template = chat_template.read_text(encoding="utf-8")
    template = tokenizer.chat_template
    if isinstance(template, dict):
        template = template.get("default")
    if not template:
        raise UserError(
            f"{base}: the tokenizer has no chat template; set the model's `chat_template` to a "
            "Jinja file with `{% generation %}` marks around the assistant's answer"
        )
    if not has_generation_markers(template):
        try:
            template = get_training_chat_template(tokenizer)
        except ValueError:
            raise UserError(
                f"{source}: the chat template has no `{{% generation %}}` marks, so the answer "
                "cannot be told from the prompt, and TRL ships no training variant of it; set the "
                "model's `chat_template` to a copy with `{% generation %}` before and "
                "`{% endgeneration %}` after the assistant's answer and its stop token"
            ) from None
    return Encoder(tokenizer, str(template), _stop_tokens(tokenizer, base), source)


def _stop_tokens(tokenizer: Any, base: Path) -> frozenset[int]:
    """Ids at which `generate` stops: the tokenizer's eos and the generation config's."""
    stops = {tokenizer.eos_token_id} - {None}
    for name in ("generation_config.json", "config.json"):
        path = base / name
        if path.exists():
            value = read_json(path).get("eos_token_id")
            stops |= set(value) if isinstance(value, list) else {value} - {None}
    if not stops:
        raise UserError(
            f"{base}: neither the tokenizer nor generation_config.json names an end-of-sequence "
            "token; the model could not learn to stop"
        )
    return frozenset(stops)
