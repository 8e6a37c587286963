"""What sets the two model families apart besides their weights: tokenizer and chat template."""

from dataclasses import dataclass
from typing import Any

from mixmerge.checkpoint.settings import EmbeddedModel

# Both templates put the stop token inside the generation block: outside it, answer-only loss would
# never teach the model to stop. The newline after a turn lies outside: nothing generates it.
_CHATML = (
    "{%- for message in messages %}"
    "{{- '<|im_start|>' + message['role'] + '\\n' }}"
    "{%- if message['role'] == 'assistant' %}"
    "{%- generation %}{{- message['content'] + '<|im_end|>' }}{%- endgeneration %}"
    "{%- else %}{{- message['content'] + '<|im_end|>' }}{%- endif %}"
    "{{- '\\n' }}"
    "{%- endfor %}"
    "{%- if add_generation_prompt %}{{- '<|im_start|>assistant\\n' }}{%- endif %}"
)
_INSTRUCTION = (
    "{{- bos_token }}"
    "{%- for message in messages %}"
    "{%- if message['role'] == 'assistant' %}"
    "{{- '### Response:\\n' }}"
    "{%- generation %}{{- message['content'] + '<|EOT|>' }}{%- endgeneration %}"
    "{%- elif message['role'] == 'system' %}{{- message['content'] }}"
    "{%- else %}{{- '### Instruction:\\n' + message['content'] }}{%- endif %}"
    "{{- '\\n' }}"
    "{%- endfor %}"
    "{%- if add_generation_prompt %}{{- '### Response:\\n' }}{%- endif %}"
)


@dataclass(frozen=True)
class Family:
    """Tokenizer conventions of a model family.

    Attributes:
        pattern: regular expression of the pieces that the tokenizer never merges across.
        bos: token at the start of a text, or None.
        end: token that ends a pre-training document and pads a batch.
        stop: token that ends a chat turn; the generation's end.
        specials: all special tokens, in the order of their ids.
        chat_template: Jinja template with ``{% generation %}`` marks.
    """

    pattern: str
    bos: str | None
    end: str
    stop: str
    specials: tuple[str, ...]
    chat_template: str


FAMILIES = {
    # As in Qwen2.5: every digit alone, a word with the blank before it, ChatML.
    "qwen2": Family(
        pattern=r"[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*"
        r"|\s*[\r\n]+|\s+(?!\S)|\s+",
        bos=None,
        end="<|endoftext|>",
        stop="<|im_end|>",
        specials=("<|endoftext|>", "<|im_start|>", "<|im_end|>"),
        chat_template=_CHATML,
    ),
    # In the manner of DeepSeek-Coder: words apart from punctuation, a line end with the next line's
    # indent, instruction headers in plain text, and a begin token.
    "llama": Family(
        pattern=r"[\r\n]+ *| ?\p{L}+|\p{N}| ?[\p{P}\p{S}]+|\s+",
        bos="<|begin_of_sentence|>",
        end="<|end_of_sentence|>",
        stop="<|EOT|>",
        specials=("<|begin_of_sentence|>", "<|end_of_sentence|>", "<|EOT|>"),
        chat_template=_INSTRUCTION,
    ),
}


def family_of(settings: EmbeddedModel) -> Family:
    """The family of a model's architecture."""
    return FAMILIES[settings.architecture]


def train_tokenizer(texts: list[str], settings: EmbeddedModel) -> Any:
    """Learn a byte-level BPE tokenizer from ``texts``; deterministic.

    Returns:
        A `transformers.PreTrainedTokenizerFast` with the family's chat template; ``eos`` is the
        stop token, ``pad`` another one, so that masking the padding never masks a stop.
    """
    from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import PreTrainedTokenizerFast

    family = family_of(settings)
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(family.pattern), behavior="isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=settings.vocab_size,
        min_frequency=2,
        special_tokens=[AddedToken(token, special=True) for token in family.specials],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(texts, trainer)
    fast = PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        bos_token=family.bos,
        eos_token=family.stop,
        pad_token=family.end,
        model_max_length=settings.context,
        padding_side="left",
        clean_up_tokenization_spaces=False,
    )
    fast.chat_template = family.chat_template
    return fast
