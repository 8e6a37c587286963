"""Whether checkpoints share a tokenizer, and whether they bring a chat template.

Token ids are row numbers of the embeddings. Two tokenizers of the same size that number their
tokens differently merge without an error into a model that speaks gibberish.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

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


def check_same_tokenizer(directories: Sequence[Path]) -> None:
    """Check that checkpoints turn text into the same token ids.

    Padding and truncation settings may differ, and so may the way the file is written: libraries
    rewrite it. Where more than that differs, both tokenizers must agree on a few texts.

    Raises:
        UserError: a checkpoint without a tokenizer, or the first difference, with both places.
    """
    first = directories[0]
    for other in directories[1:]:
        _check_pair(first, other)
    if len(directories) == 1:
        _load(first)


def _check_pair(first: Path, other: Path) -> None:
    mine, theirs = _load(first), _load(other)
    if mine == theirs:
        return
    advice = "specialists must be trained from the same base, without adding or renumbering tokens"
    if isinstance(mine, bytes) or isinstance(theirs, bytes):
        raise UserError(f"{other}: its tokenizer differs from that of {first}; {advice}")
    for part, one, two in (
        ("vocabulary", _vocabulary(mine), _vocabulary(theirs)),
        ("added tokens", _added(mine), _added(theirs)),
    ):
        for token in sorted({*one, *two}, key=str):
            if one.get(token) != two.get(token):
                raise UserError(
                    f"{other / FILE}: {part}: token {token!r} is {_number(two.get(token))}, but "
                    f"{_number(one.get(token))} in {first / FILE}; {advice}"
                )
    for text in _PROBES:
        if _encode(first, text) != _encode(other, text):
            raise UserError(
                f"{other / FILE}: splits text into other tokens than {first / FILE} (merges or "
                f"pre-tokenizer differ), for instance {text[:30]!r}; {advice}"
            )


def _load(directory: Path) -> dict[str, Any] | bytes:
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


def _added(content: dict[str, Any]) -> dict[str, Any]:
    return {token["content"]: token["id"] for token in content.get("added_tokens") or []}


def _number(value: Any) -> str:
    return "absent" if value is None else f"number {value}"


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
    _load(directory)
    if (directory / "chat_template.jinja").exists():
        return
    config = directory / "tokenizer_config.json"
    found = read_object(config).get("chat_template") if config.exists() else None
    way = "name one under `chat_template` of the model in the config"
    if isinstance(found, list) and found:
        names = [entry.get("name") for entry in found if isinstance(entry, dict)]
        if "default" not in names:
            raise UserError(
                f"{config}: chat_template: of several templates one must be named 'default', found "
                f"{names}; {way}"
            )
    if found:
        return
    # transformers reads it for processors of images and sound, not for tokenizers.
    other = " (chat_template.json is not the tokenizer's)"
    held = other if (directory / "chat_template.json").exists() else ""
    raise UserError(f"{directory}: the tokenizer has no chat template{held}; {way}")
