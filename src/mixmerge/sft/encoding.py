"""From chat messages to token ids and labels: the loss is on the answer and its stop token."""

from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path

from mixmerge.checkpoint.chat import BadTemplate, Chat, Messages, Span
from mixmerge.checkpoint.tokenizer import load_chat, stop_tokens
from mixmerge.core.errors import UserError

#: Label of a token outside the loss, as torch's cross-entropy has it.
IGNORED = -100


@dataclass(frozen=True)
class Encoder:
    """A chat whose template marks what the assistant says, and the tokens that end an answer."""

    chat: Chat
    stops: list[int]

    def encode(self, messages: Messages, where: str) -> tuple[list[int], list[int]]:
        """Tokenise one conversation, prompts and answers apart, as generation does.

        Returns token ids and labels: the token itself inside an answer up to and including its stop
        token, and -100 elsewhere: what generation's prompt brings along, and what the template
        writes after the stop token, is never generated and so never learnt. Raises `UserError`.
        """
        ids: list[int] = []
        labels: list[int] = []
        try:
            text, marked = self.chat.render(messages)
            answers = self._answers(messages, text, marked)
            cuts = [0, *(cut for span in answers for cut in span), len(text)]
            pieces = [text[start:end] for start, end in pairwise(cuts)]
            for number, tokens in enumerate(self.chat.encode(pieces)):
                ids += tokens
                labels += self._learnt(tokens) if number % 2 else [IGNORED] * len(tokens)
        except BadTemplate as error:
            raise UserError(f"{where}: {error}") from None
        return ids, labels

    def check_answer(self, answer: str, labels: list[int], where: str) -> None:
        """Check that the labels of an example cover its answer; `UserError` where not."""
        learnt = self.chat.tokenizer.decode([label for label in labels if label != IGNORED])
        if "".join(answer.split()) not in "".join(learnt.split()):
            problem = f"the loss covers {learnt[:200]!r}, not the whole answer; check its marks"
            raise UserError(f"{where}: {self._bad(problem)}")

    def _answers(self, messages: Messages, text: str, marked: list[Span]) -> list[Span]:
        """The marked spans, each without what generation's prompt ends with."""
        spans = [(start, end) for start, end in marked if end > start]
        if not spans:
            raise self._bad(
                "marks no token as the assistant's: enclose the answer in `{% generation %}` ... "
                "`{% endgeneration %}`, in a file that the model's `chat_template` names"
            )
        turns = [i for i, message in enumerate(messages) if message["role"] == "assistant" and i]
        for turn in turns:
            prompt = self.chat.render(messages[:turn], prompt=True)[0]
            opened = len(prompt)
            at = next((i for i, (_, end) in enumerate(spans) if end > opened), None)
            if not text.startswith(prompt) or at is None or text[opened : spans[at][0]]:
                raise self._bad(
                    f"generation's prompt for message {turn + 1} ends with {prompt[-40:]!r}, but "
                    "in training the answer follows on other text or starts later; check "
                    "`add_generation_prompt` and the `{% generation %}` marks"
                )
            spans[at] = (opened, spans[at][1])
        return spans

    def _learnt(self, tokens: list[int]) -> list[int]:
        """Labels of one answer: up to its stop token, which comes from the template alone."""
        # Templates such as Qwen's enclose the line break after the stop token as well.
        for number, token in enumerate(tokens):
            if token in self.stops:
                return tokens[: number + 1] + [IGNORED] * (len(tokens) - number - 1)
        names = self.chat.tokenizer.convert_ids_to_tokens
        raise self._bad(
            f"the loss ends on token {names(tokens[-1])!r}, but generation stops only at "
            f"{names(self.stops)} (eos_token_id of generation_config.json): the model would never "
            "learn to stop. Move the stop token before `{% endgeneration %}`, in a file that the "
            "model's `chat_template` names"
        )

    def _bad(self, problem: str) -> BadTemplate:
        return BadTemplate(f"chat template ({self.chat.source}): {problem}")


def load_encoder(base: Path) -> Encoder:
    """Load a checkpoint's tokenizer and find the template to train with.

    A template without generation marks is replaced by TRL's training variant of the same template,
    which renders the same text.
    """
    from trl import chat_template_utils as trl

    chat = load_chat(base)
    if not trl.has_generation_markers(chat.template):
        # TRL renders what it is asked about, without bounds: only its own templates get that far.
        shipped = {text for name, text in vars(trl).items() if name.endswith("_chat_template")}
        try:
            if chat.template not in shipped:
                raise ValueError
            template = str(trl.get_training_chat_template(chat.tokenizer))
        except ValueError:
            raise UserError(
                f"{base}: the chat template has no `{{% generation %}}` marks, and TRL ships no "
                "training variant of it; set the model's `chat_template` to a copy with one before "
                "the answer and, `{% endgeneration %}`, after its stop token"
            ) from None
        chat = replace(chat, template=template)
    return Encoder(chat, stop_tokens(base, chat))
