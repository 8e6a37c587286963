"""Tokenizers of checkpoints: loaded, compared, with chat template and stop tokens.

Token ids are row numbers of the embeddings. Two tokenizers of the same size that number their
tokens differently merge without an error into a model that speaks gibberish.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from mixmerge.checkpoint.chat import Chat
from mixmerge.checkpoint.side_files import trusts_code
from mixmerge.core.errors import UserError, one_line
from mixmerge.core.io import read_json

_FILE, _SENTENCEPIECE = "tokenizer.json", "tokenizer.model"

#: The way out for tokenizers of the older forms; SentencePiece's wants a newer protobuf than ours.
_CONVERSION = (
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


def load_tokenizer(checkpoint: Path, *, run_code: bool = True) -> Any:
    """Load a checkpoint's tokenizer and make sure that it gives a text back as it was.

    transformers 5 lost every blank of a ``LlamaTokenizer`` whose file has other rules than Llama's,
    as DeepSeek-Coder's (its issues 45488, 46489). Without ``run_code`` a tokenizer's own class is
    not used even where it is trusted.
    """
    from transformers import AutoTokenizer, PreTrainedTokenizerFast
    from transformers import __version__ as version

    if not any((checkpoint / name).exists() for name in (_FILE, _SENTENCEPIECE)):
        # transformers makes an empty one for some models.
        older = (checkpoint / "vocab.json").exists()
        way = _CONVERSION if older else "copy the base model's tokenizer files there"
        problem = f"holds no tokenizer (no {_FILE}, no {_SENTENCEPIECE})"
        raise UserError(f"{checkpoint}: {problem}; {way}")
    trusted = trusts_code(checkpoint)
    kind = AutoTokenizer if run_code or not trusted else PreTrainedTokenizerFast
    try:
        tokenizer = kind.from_pretrained(
            checkpoint, local_files_only=True, trust_remote_code=trusted
        )
    except Exception as error:  # the tokenizers library raises nothing else than that
        raise _unreadable(checkpoint, error) from None
    ids = tokenizer(_ROUND_TRIP, add_special_tokens=False)["input_ids"]
    text = tokenizer.decode(ids, clean_up_tokenization_spaces=False)
    if text != _ROUND_TRIP:
        raise UserError(
            f"{checkpoint}: the tokenizer, as transformers {version} reads it "
            f"({type(tokenizer).__name__}), turns {_ROUND_TRIP!r} into {text!r}; set in "
            "tokenizer_config.json `tokenizer_class` 'PreTrainedTokenizerFast'"
        )
    return tokenizer


def _unreadable(checkpoint: Path, error: Exception) -> UserError:
    reason = one_line(f"{type(error).__name__}: {error}", 500)
    way = "fetch or write its files again" if (checkpoint / _FILE).exists() else _CONVERSION
    return UserError(f"{checkpoint}: the tokenizer cannot be read: {reason}; {way}")


def template_of(tokenizer: Any) -> str | None:
    """The tokenizer's own chat template, the default one where it has several."""
    template = tokenizer.chat_template
    return (template.get("default") if isinstance(template, dict) else template) or None


def load_chat(checkpoint: Path, *, run_code: bool = True) -> Chat:
    """Load a checkpoint's tokenizer, as `load_tokenizer` does, with its own chat template."""
    tokenizer = load_tokenizer(checkpoint, run_code=run_code)
    if template := template_of(tokenizer):
        return Chat(tokenizer, template, str(checkpoint))
    note = ""
    if tokenizer.chat_template:
        note = " (of several templates one must be named 'default')"
    elif (checkpoint / "chat_template.json").exists():
        note = " (chat_template.json is not the tokenizer's)"
    way = "name one under `chat_template` of the model in the config"
    raise UserError(f"{checkpoint}: the tokenizer has no chat template{note}; {way}")


def stop_tokens(checkpoint: Path, chat: Chat) -> list[int]:
    """Ids at which generation stops, ascending, found as transformers and vLLM do.

    Raises `UserError` where they are none, or not what the template closes an answer with.
    """
    tokens, source = chat.tokenizer.eos_token_id, checkpoint
    for name in ("config.json", "generation_config.json"):
        path = checkpoint / name
        value = read_json(path).get("eos_token_id") if path.exists() else None
        if value is not None:
            tokens, source = value, path
    if tokens is None:
        way = "set eos_token_id in generation_config.json"
        raise UserError(f"{checkpoint}: no stop token in its configs or tokenizer; {way}")
    size = len(chat.tokenizer)
    listed = tokens if isinstance(tokens, list) else [tokens]
    for token in listed:
        if not isinstance(token, int) or not 0 <= token < size:
            problem = f"{token!r} is no token; ids go from 0 to {size - 1}"
            raise UserError(f"{source}: eos_token_id: {problem}")
    stops, closing = sorted(set(listed)), chat.closing_token()
    if closing is not None and closing not in stops:
        names = chat.tokenizer.convert_ids_to_tokens([closing, *stops])
        raise UserError(
            f"{checkpoint}: the chat template closes an answer with {names[0]!r} ({closing}), but "
            f"generation stops only at {', '.join(map(repr, names[1:]))} ({stops}) and would run "
            "on. Set eos_token_id in generation_config.json of a copy (kind: local), or take a "
            "`chat_template` that closes with a stop token"
        )
    return stops


def check_same_tokenizer(directories: Sequence[Path]) -> None:
    """Check that checkpoints number and split text alike, however their files are written.

    `UserError` names the first difference.
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
            here, there = (f"number {i[token]}" if token in i else "absent" for i in (own, numbers))
            problem = f"token {token!r} is {here}, but {there} in {first / _FILE}"
            raise UserError(f"{other / _FILE}: vocabulary: {problem}; {advice}")
        for text in _PROBES:
            if base.encode(text).ids != tokenizer.encode(text).ids:
                raise UserError(
                    f"{other / _FILE}: splits text into other tokens than {first / _FILE} (merges "
                    f"or pre-tokenizer differ), for instance {text[:30]!r}; {advice}"
                )


def _backend(directory: Path) -> Any:
    """A checkpoint's `tokenizers.Tokenizer`: as its file says, else as transformers makes it."""
    from tokenizers import Tokenizer

    if (directory / _FILE).exists():
        try:
            tokenizer = Tokenizer.from_file(str(directory / _FILE))
        except Exception as error:  # the library raises nothing narrower
            raise _unreadable(directory, error) from None
    else:
        tokenizer = load_tokenizer(directory).backend_tokenizer
    tokenizer.no_padding()
    tokenizer.no_truncation()
    return tokenizer
