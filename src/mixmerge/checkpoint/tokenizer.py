"""Tokenizers of checkpoints: loaded, compared, with chat template and stop tokens.

Token ids are row numbers of the embeddings. Two tokenizers of the same size that number their
tokens differently merge without an error into a model that speaks gibberish.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from mixmerge.checkpoint.code import trusts_code
from mixmerge.core.errors import UserError
from mixmerge.core.io import read_object

FILE = "tokenizer.json"
SENTENCEPIECE = "tokenizer.model"

#: The way out for tokenizers of the older forms; SentencePiece's wants a newer protobuf than ours.
CONVERSION = (
    "make a tokenizer.json of its files once, in an environment of its own (pip install "
    "transformers sentencepiece protobuf): python -c 'from transformers import AutoTokenizer as T; "
    'T.from_pretrained("IN").save_pretrained("OUT")\', put it beside them in a copy of the '
    "checkpoint, and name that copy (kind 'local')"
)

#: Texts on which tokenizers that are written differently must still agree.
_PROBES = (
    "def mean(xs: list[float]) -> float:\n    return sum(xs) / len(xs)  # ½ naïve\n",
    "\tprivate static int f(int a, char b) { return a<<2 | 0x7F; }\r\n\n   trailing  ",
    "Don't split numbers like 1234567.89, e.g. 3rd; 你好, здравствуй, 🙂 <s></s><pad>",
)
#: A text that a tokenizer must give back as it was.
_ROUND_TRIP = "def f(x):\n    return x + 1  # é 你\n"


def load_tokenizer(checkpoint: Path) -> Any:
    """Load a checkpoint's tokenizer and make sure that it gives a text back as it was.

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
        reason = " ".join(f"{type(error).__name__}: {error}".split())[:500]
        way = "fetch or write its files again" if (checkpoint / FILE).exists() else CONVERSION
        message = f"{checkpoint}: the tokenizer cannot be read: {reason}; {way}"
        raise UserError(message) from None
    ids = tokenizer(_ROUND_TRIP, add_special_tokens=False)["input_ids"]
    text = tokenizer.decode(ids, clean_up_tokenization_spaces=False)
    if text != _ROUND_TRIP:
        raise UserError(
            f"{checkpoint}: the tokenizer, as transformers {version} reads it "
            f"({type(tokenizer).__name__}), turns {_ROUND_TRIP!r} into {text!r}; set "
            "`tokenizer_class` in tokenizer_config.json to 'PreTrainedTokenizerFast', which "
            "follows tokenizer.json"
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
            tokens = value if isinstance(value, list) else [value]
            for token in tokens:
                if not isinstance(token, int) or not 0 <= token < len(tokenizer):
                    raise UserError(
                        f"{path}: eos_token_id: {token!r} is no token; ids go from 0 to "
                        f"{len(tokenizer) - 1}"
                    )
            return sorted(set(tokens))
    if tokenizer.eos_token_id is None:
        raise UserError(
            f"{checkpoint}: no stop token in generation_config.json, config.json or the "
            "tokenizer; set eos_token_id in generation_config.json"
        )
    return [tokenizer.eos_token_id]


def check_same_tokenizer(directories: Sequence[Path]) -> None:
    """Check that checkpoints turn text into the same token ids.

    Padding and truncation settings may differ, and so may the way the file is written: libraries
    rewrite it. Where more than that differs, both tokenizers must agree on a few texts.

    Raises:
        UserError: a checkpoint without a tokenizer, or the first difference, with both places.
    """
    first = directories[0]
    content = _content(first)
    for other in directories[1:]:
        _check_pair(first, content, other, _content(other))


def _check_pair(
    first: Path, mine: dict[str, Any] | bytes, other: Path, theirs: dict[str, Any] | bytes
) -> None:
    """Check that the tokenizers of two checkpoints, read by `_content`, are the same."""
    if mine == theirs:
        return
    advice = "specialists must be trained from the same base, without adding or renumbering tokens"
    if isinstance(mine, bytes) or isinstance(theirs, bytes):
        raise UserError(f"{other}: its tokenizer differs from that of {first}; {advice}")
    for part, numbers in (("vocabulary", _vocabulary), ("added tokens", _added_tokens)):
        here, there = numbers(mine), numbers(theirs)
        for token in sorted({*here, *there}, key=str):
            if here.get(token) != there.get(token):
                place, reference = (
                    f"number {ids[token]}" if ids.get(token) is not None else "absent"
                    for ids in (there, here)
                )
                raise UserError(
                    f"{other / FILE}: {part}: token {token!r} is {place}, but {reference} in "
                    f"{first / FILE}; {advice}"
                )
    for text in _PROBES:
        if _encode(first, text) != _encode(other, text):
            raise UserError(
                f"{other / FILE}: splits text into other tokens than {first / FILE} (merges or "
                f"pre-tokenizer differ), for instance {text[:30]!r}; {advice}"
            )


def _content(directory: Path) -> dict[str, Any] | bytes:
    """The tokenizer's content: ``tokenizer.json`` parsed, else SentencePiece's bytes."""
    if (directory / FILE).exists():
        content = read_object(directory / FILE)
        if not isinstance(content.get("model"), dict):
            raise UserError(f"{directory / FILE}: holds no tokenizer model; fetch it again")
        content.pop("padding", None)
        content.pop("truncation", None)
        return content
    if (directory / SENTENCEPIECE).exists():
        return (directory / SENTENCEPIECE).read_bytes()
    way = "copy the base model's tokenizer files there"
    if (directory / "vocab.json").exists():
        way = CONVERSION
    raise UserError(f"{directory}: holds no tokenizer (no {FILE}, no {SENTENCEPIECE}); {way}")


def _vocabulary(content: dict[str, Any]) -> dict[str, Any]:
    """Token -> id; unigram models list their tokens in order."""
    vocabulary = content["model"].get("vocab") or {}
    if isinstance(vocabulary, list):
        return {entry[0]: number for number, entry in enumerate(vocabulary)}
    return dict(vocabulary)


def _added_tokens(content: dict[str, Any]) -> dict[str, Any]:
    return {token["content"]: token["id"] for token in content.get("added_tokens") or []}


def _encode(directory: Path, text: str) -> list[int]:
    from tokenizers import Tokenizer

    tokenizer = Tokenizer.from_file(str(directory / FILE))
    tokenizer.no_padding()
    tokenizer.no_truncation()
    ids: list[int] = tokenizer.encode(text).ids
    return ids


def check_chat_template(directory: Path) -> None:
    """Check that a checkpoint has a tokenizer and a chat template.

    The template stands in ``chat_template.jinja`` or in ``tokenizer_config.json``, there perhaps
    as the one of several that is named ``default``.

    Raises:
        UserError: either is missing.
    """
    _content(directory)
    if (directory / "chat_template.jinja").exists():
        return
    config = directory / "tokenizer_config.json"
    templates = read_object(config).get("chat_template") if config.exists() else None
    way = "name one under `chat_template` of the model in the config"
    if isinstance(templates, list) and templates:
        names = [entry.get("name") for entry in templates if isinstance(entry, dict)]
        if "default" not in names:
            raise UserError(
                f"{config}: chat_template: of several templates one must be named 'default', found "
                f"{names}; {way}"
            )
    if not templates:
        # transformers reads it for processors of images and sound, not for tokenizers.
        other = (directory / "chat_template.json").exists()
        note = " (chat_template.json is not the tokenizer's)" if other else ""
        raise UserError(f"{directory}: the tokenizer has no chat template{note}; {way}")
