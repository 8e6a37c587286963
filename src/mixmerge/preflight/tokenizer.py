"""A checkpoint's tokenizer without transformers: what rendering and stopping ask of it."""

import json
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from mixmerge.core.errors import UserError
from mixmerge.core.io import read_object

_NAMED = ("bos_token", "eos_token", "unk_token", "pad_token", "sep_token", "cls_token")


@dataclass(frozen=True)
class LightTokenizer:
    """What `mixmerge.checkpoint.chat` needs of a tokenizer, read from ``tokenizer.json``.

    transformers takes seconds to import, this takes hundredths.
    """

    directory: Path

    @cached_property
    def _fast(self) -> Any:
        from tokenizers import Tokenizer

        path = self.directory / "tokenizer.json"
        try:
            return Tokenizer.from_file(str(path))
        except Exception as error:  # the library raises nothing narrower
            raise UserError(f"{path}: cannot be read as a tokenizer: {error}") from None

    @cached_property
    def _config(self) -> dict[str, Any]:
        path = self.directory / "tokenizer_config.json"
        return read_object(path) if path.exists() else {}

    @cached_property
    def special_tokens_map(self) -> dict[str, str]:
        """Role -> token, as templates name them."""
        path = self.directory / "special_tokens_map.json"
        given = {**self._config, **(read_object(path) if path.exists() else {})}
        found = {}
        for name in _NAMED:
            value = given.get(name)
            text = value.get("content") if isinstance(value, dict) else value
            if isinstance(text, str):
                found[name] = text
        return found

    @cached_property
    def added_tokens_decoder(self) -> dict[int, Any]:
        """Id -> added token, with ``content`` and ``special``."""
        added = json.loads(self._fast.to_str()).get("added_tokens") or []
        return {
            token["id"]: SimpleNamespace(content=token["content"], special=token["special"])
            for token in added
        }

    @property
    def all_special_tokens(self) -> list[str]:
        """Their texts."""
        special = [t.content for t in self.added_tokens_decoder.values() if t.special]
        return list(dict.fromkeys([*self.special_tokens_map.values(), *special]))

    @property
    def eos_token_id(self) -> int | None:
        """Id of the token that ends a text, None where none is named."""
        name = self.special_tokens_map.get("eos_token")
        found: int | None = None if name is None else self._fast.token_to_id(name)
        return found

    @property
    def chat_template(self) -> str | None:
        """The checkpoint's own template: from its file, else from the tokenizer's config."""
        file = self.directory / "chat_template.jinja"
        if file.exists():
            return file.read_text(encoding="utf-8")
        found = self._config.get("chat_template")
        if isinstance(found, list):
            found = {entry.get("name"): entry.get("template") for entry in found}
        if isinstance(found, dict):
            found = found.get("default")
        return found if isinstance(found, str) else None

    def __len__(self) -> int:
        """Number of tokens, added ones included."""
        count: int = self._fast.get_vocab_size(with_added_tokens=True)
        return count

    def __call__(self, texts: list[str], add_special_tokens: bool = True) -> dict[str, Any]:
        """Token ids of each text."""
        encoded = self._fast.encode_batch(texts, add_special_tokens=add_special_tokens)
        return {"input_ids": [entry.ids for entry in encoded]}

    def convert_ids_to_tokens(self, ids: list[int]) -> list[str]:
        """Tokens as text."""
        return [str(self._fast.id_to_token(number)) for number in ids]
