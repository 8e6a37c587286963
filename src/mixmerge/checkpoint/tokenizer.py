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
        raise _unreadable(checkpoint, error) from None
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


def _unreadable(checkpoint: Path, error: Exception) -> UserError:
    reason = " ".join(f"{type(error).__name__}: {error}".split())[:500]
    return UserError(
        f"{checkpoint}: the tokenizer cannot be read: {reason}; {_way_out(checkpoint)}"
    )


def _way_out(checkpoint: Path) -> str:
    """What to do about a tokenizer that is missing or cannot be read."""
    if (checkpoint / FILE).exists():
        return "fetch or write its files again"
    older = any((checkpoint / name).exists() for name in (SENTENCEPIECE, "vocab.json"))
    return CONVERSION if older else "copy the base model's tokenizer files there"


def template_of(tokenizer: Any) -> str | None:
    """The tokenizer's own chat template, the default one where it has several."""
    template = tokenizer.chat_template
    if isinstance(template, dict):
        template = template.get("default")
    return template or None


def stop_tokens(checkpoint: Path, tokenizer: Any) -> list[int]:
    """Ids at which generation stops, ascending, found as transformers and vLLM do.

    Raises:
        UserError: generation_config.json, config.json and the tokenizer name none, or no token.
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


def _backend(directory: Path) -> Any:
    """A checkpoint's `tokenizers.Tokenizer`: as its file says, else as transformers makes it."""
    from tokenizers import Tokenizer

    if (directory / FILE).exists():
        try:
            tokenizer = Tokenizer.from_file(str(directory / FILE))
        except Exception as error:  # the library raises nothing narrower
            raise _unreadable(directory, error) from None
    elif (directory / SENTENCEPIECE).exists():
        tokenizer = load_tokenizer(directory).backend_tokenizer
    else:  # transformers makes an empty one for some models
        raise UserError(
            f"{directory}: holds no tokenizer (no {FILE}, no {SENTENCEPIECE}); "
            f"{_way_out(directory)}"
        )
    tokenizer.no_padding()
    tokenizer.no_truncation()
    return tokenizer


def check_same_tokenizer(directories: Sequence[Path]) -> None:
    """Check that checkpoints turn text into the same token ids.

    Their files may be written in other ways, as libraries do: each token's number must be the same,
    and a few texts must be split into the same tokens.

    Raises:
        UserError: a checkpoint without a tokenizer, or the first difference, with both places.
    """
    first, *others = directories
    base = _backend(first)
    numbers = base.get_vocab()
    advice = "specialists must be trained from the same base, without adding or renumbering tokens"
    for other in others:
        tokenizer = _backend(other)
        own = tokenizer.get_vocab()
        if different := [t for t in {*numbers, *own} if numbers.get(t) != own.get(t)]:
            token = min(different)
            here, there = (
                f"number {ids[token]}" if token in ids else "absent" for ids in (own, numbers)
            )
            raise UserError(
                f"{other / FILE}: vocabulary: token {token!r} is {here}, but {there} in "
                f"{first / FILE}; {advice}"
            )
        for text in _PROBES:
            if base.encode(text).ids != tokenizer.encode(text).ids:
                raise UserError(
                    f"{other / FILE}: splits text into other tokens than {first / FILE} (merges or "
                    f"pre-tokenizer differ), for instance {text[:30]!r}; {advice}"
                )


def check_chat_template(directory: Path) -> None:
    """Check that a checkpoint has a tokenizer that can be read, and a chat template.

    The template stands in ``chat_template.jinja`` or in ``tokenizer_config.json``, there perhaps
    as the one of several that is named ``default``.

    Raises:
        UserError: either is missing, or the tokenizer cannot be read here.
    """
    _backend(directory)
    if (directory / "chat_template.jinja").exists():
        return
    config = directory / "tokenizer_config.json"
    templates = read_object(config).get("chat_template") if config.exists() else None
    note = ""
    if isinstance(templates, list):
        templates = "default" in [e.get("name") for e in templates if isinstance(e, dict)]
        note = " (of several templates one must be named 'default')"
    elif (directory / "chat_template.json").exists():
        note = " (chat_template.json is not the tokenizer's)"
    if not templates:
        raise UserError(
            f"{directory}: the tokenizer has no chat template{note}; name one under "
            "`chat_template` of the model in the config"
        )
