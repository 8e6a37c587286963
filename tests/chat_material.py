"""Chat templates, what each must write, and tokenizers as the models have them.

There is no hub here: the tokenizers are byte-level BPE trained on the spot, with the models' own
special tokens and ways of splitting text, in files as the hub has them.
"""

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mixmerge.embedded.family import FAMILIES

SHIPPED = Path(__file__).parents[1] / "resources/chat_templates"
QWEN = "You are Qwen, created by Alibaba Cloud. You are a helpful assistant."
SMOL = "You are a helpful AI assistant named SmolLM, trained by Hugging Face"
DEEPSEEK = (
    "You are an AI programming assistant, utilizing the Deepseek Coder model, developed by "
    "Deepseek Company, and you only answer questions related to computer science. For politically "
    "sensitive questions, security and privacy issues, and other non-computer science questions, "
    "you will refuse to answer\n"
)
CHATML = ("<|endoftext|>", "<|im_start|>", "<|im_end|>")
DEEP = ("<｜begin▁of▁sentence｜>", "<｜end▁of▁sentence｜>", "<|EOT|>")

Messages = list[dict[str, str]]
Parts = list[tuple[str, bool]]


def chatml(system: str | None) -> Callable[[Messages], Parts]:
    """What a ChatML template must write, and which of it is the model's."""

    def parts(messages: Messages) -> Parts:
        found: Parts = []
        if system and messages[0]["role"] != "system":
            found.append((f"<|im_start|>system\n{system}<|im_end|>\n", False))
        for message in messages:
            found.append((f"<|im_start|>{message['role']}\n", False))
            found.append((message["content"] + "<|im_end|>", message["role"] == "assistant"))
            found.append(("\n", False))
        return found

    return parts


def instruction(start: str, system: str, end: str, answer_end: str) -> Callable[[Messages], Parts]:
    """The same for templates in the manner of DeepSeek-Coder."""

    def parts(messages: Messages) -> Parts:
        found: Parts = [(start, False)]
        if all(message["role"] != "system" for message in messages):
            found.append((system, False))
        for message in messages:
            if message["role"] == "assistant":
                found.append(("### Response:\n", False))
                found.append((message["content"] + answer_end, True))
                found.append(("\n", False))
            elif message["role"] == "user":
                found.append((f"### Instruction:\n{message['content']}\n", False))
            else:
                found.append((message["content"] + end, False))
        return found

    return parts


@dataclass(frozen=True)
class Kind:
    """A template and what it must write.

    Attributes:
        template: a file name in resources, or the text that stands in the checkpoint.
        parts: the oracle.
        family: model type; it decides the pre-tokenizer, and qwen2 normalises text to NFC.
        specials: special tokens; the last is the stop token.
        config: further keys of tokenizer_config.json, as on the hub.
    """

    template: str
    parts: Callable[[Messages], Parts]
    family: str
    specials: tuple[str, ...]
    config: dict[str, Any]


def trl_template(name: str) -> str:
    import trl

    return (Path(trl.__file__).parent / "chat_templates" / name).read_text(encoding="utf-8")


EMBEDDED = FAMILIES["llama"]
KINDS: dict[str, Callable[[], Kind]] = {
    "qwen2.5 by TRL": lambda: Kind(
        trl_template("qwen2_5.jinja"), chatml(QWEN), "qwen2", CHATML, {"bos_token": None}
    ),
    "qwen2.5-coder": lambda: Kind(
        "qwen2.5-coder.jinja", chatml(QWEN), "qwen2", CHATML, {"bos_token": None}
    ),
    "smollm2": lambda: Kind(
        "smollm2.jinja", chatml(SMOL), "llama", CHATML, {"bos_token": "<|im_start|>"}
    ),
    "deepseek-coder": lambda: Kind(
        "deepseek-coder.jinja",
        instruction(DEEP[0], DEEPSEEK, "", "\n<|EOT|>"),
        "llama",
        DEEP,
        # As in deepseek-coder-1.3b-instruct: a byte-level tokenizer that says it is Llama's.
        {"tokenizer_class": "LlamaTokenizerFast", "bos_token": DEEP[0], "legacy": True}
        | {"add_bos_token": True, "sp_model_kwargs": {}, "unk_token": None},
    ),
    "embedded qwen2": lambda: Kind(
        FAMILIES["qwen2"].chat_template, chatml(None), "qwen2", CHATML, {"bos_token": None}
    ),
    "embedded llama": lambda: Kind(
        EMBEDDED.chat_template,
        instruction("<|begin_of_sentence|>", "", "\n", "<|EOT|>"),
        "llama",
        EMBEDDED.specials,
        {"bos_token": "<|begin_of_sentence|>"},
    ),
}
CORPUS = [
    "def add(x, y):\n    return x + y\n\n\n  text  with blanks\n\n",
    "### Instruction:\nWrite it.\n### Response:\n\n\nZürich\t你好 🙂 1234\r\n",
    "<|im_start|>user <|im_end|> <|EOT|> <|endoftext|> assistant\n\n \n",
] * 4


def write(directory: Path, kind: Kind, stop: str | None = None) -> Path:
    """Tokenizer and configs of a checkpoint, without weights."""
    from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, pre_tokenizers, trainers

    directory.mkdir(parents=True, exist_ok=True)
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(FAMILIES[kind.family].pattern), behavior="isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    tokenizer.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(vocab_size=420, initial_alphabet=alphabet, show_progress=False)
    tokenizer.train_from_iterator(CORPUS, trainer)
    # DeepSeek's <|EOT|> is an added token that is not marked special.
    tokenizer.add_tokens([AddedToken(t, special=t != "<|EOT|>") for t in kind.specials])
    tokenizer.save(str(directory / "tokenizer.json"))
    end = kind.specials[-1]
    config = {
        "tokenizer_class": "PreTrainedTokenizerFast",
        "eos_token": end,
        "pad_token": kind.specials[0],
    } | kind.config
    if not kind.template.endswith(".jinja"):
        config["chat_template"] = kind.template
    (directory / "tokenizer_config.json").write_text(json.dumps(config))
    (directory / "config.json").write_text(json.dumps({"model_type": kind.family}))
    (directory / "generation_config.json").write_text(
        json.dumps({"eos_token_id": tokenizer.token_to_id(stop or end)})
    )
    return directory


def turns(*texts: str, system: str | None = None) -> Messages:
    """A chat of alternating turns, the user's first."""
    messages = [
        {"role": ("user", "assistant")[number % 2], "content": text}
        for number, text in enumerate(texts)
    ]
    return ([{"role": "system", "content": system}] if system is not None else []) + messages
