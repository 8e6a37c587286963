"""Checks of whole checkpoints against each other: tensors, tokenizers, chat templates."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from fixtures.checkpoints import TEMPLATE, edit, values, write_checkpoint, write_tokenizer
from mixmerge.checkpoint import tensors
from mixmerge.checkpoint.architecture import check_same_tensors, parameter_count
from mixmerge.checkpoint.index import read_index
from mixmerge.checkpoint.tensors import check_dtypes, check_finite
from mixmerge.checkpoint.tokenizer import check_same_tokenizer, load_chat, load_tokenizer
from mixmerge.core.errors import UserError

EMBED, HEAD = "model.embed_tokens.weight", "lm_head.weight"


@pytest.fixture
def qwen(tmp_path: Path) -> Path:
    return write_checkpoint(tmp_path / "qwen", "qwen2", values("qwen2", 1))


@pytest.mark.parametrize("dtype", ["BF16", "F16", "F32", "F64"])
@pytest.mark.parametrize(("value", "word"), [(np.nan, "NaN"), (-np.inf, "infinity")])
def test_names_the_first_bad_element(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, dtype: str, value: float, word: str
) -> None:
    monkeypatch.setattr(tensors, "CHUNK", 97)
    arrays = values("qwen2", 1)
    name = "model.layers.1.mlp.up_proj.weight"
    arrays[name][7, 3] = value
    directory = write_checkpoint(tmp_path / "m", "qwen2", arrays, dtype=dtype, shards=2)
    with pytest.raises(UserError) as caught:
        check_finite(directory)
    message = str(caught.value)
    assert name in message and word in message and "[7, 3]" in message
    assert str(read_index(directory)[name].file) in message


@pytest.mark.parametrize("dtype", ["BF16", "F32"])
def test_large_and_tiny_numbers_are_finite(tmp_path: Path, dtype: str) -> None:
    arrays = values("qwen2", 1)
    arrays[EMBED][0, :4] = [3e38, -3e38, 1e-40, 0.0]
    check_finite(write_checkpoint(tmp_path / "m", "qwen2", arrays, dtype=dtype))


def test_missing_extra_and_reshaped_tensors_and_other_dtypes(tmp_path: Path, qwen: Path) -> None:
    arrays = values("qwen2", 1)
    norm = arrays.pop("model.norm.weight")
    lacking = write_checkpoint(tmp_path / "lacking", "qwen2", arrays)
    with pytest.raises(UserError, match=r"lacks tensor 'model\.norm\.weight'"):
        check_same_tensors(lacking, qwen)
    with pytest.raises(UserError, match="holds an extra tensor"):
        check_same_tensors(qwen, lacking)
    arrays["model.norm.weight"] = norm[:16]
    reshaped = write_checkpoint(tmp_path / "reshaped", "qwen2", arrays, dtype="F32")
    with pytest.raises(UserError, match=r"has shape \[16\], but \[32\]"):
        check_same_tensors(reshaped, qwen)
    check_dtypes([qwen, lacking])
    with pytest.raises(UserError, match=r"is F32, but .* is BF16"):
        check_dtypes([qwen, reshaped])


def test_tied_head_may_be_stored_or_not(tmp_path: Path, qwen: Path) -> None:
    arrays = values("qwen2", 1)

    def with_head(name: str, shift: float = 0, **config: Any) -> Path:
        held = {**arrays, HEAD: arrays[EMBED] + shift}
        return write_checkpoint(tmp_path / name, "qwen2", held, **config)

    stored, other = with_head("stored"), with_head("other", 1)
    check_same_tensors(stored, qwen)
    check_same_tensors(qwen, stored)
    untied = with_head("untied", tie_word_embeddings=False)
    tied, *rest = (parameter_count(path, read_index(path)) for path in (stored, other, untied))
    assert tied == parameter_count(qwen, read_index(qwen))
    assert rest == [tied + arrays[EMBED].size] * 2
    with pytest.raises(UserError, match=r"lm_head\.weight"):
        check_same_tensors(untied, qwen)


def test_rewritten_tokenizer_is_the_same(tmp_path: Path, qwen: Path) -> None:
    other = write_checkpoint(tmp_path / "b", "qwen2", values("qwen2", 2))
    truncation = {"direction": "Right", "max_length": 5, "strategy": "LongestFirst", "stride": 0}
    splitting = json.loads((other / "tokenizer.json").read_text())["pre_tokenizer"]
    # The same splitting, written in another way.
    sequence = {"type": "Sequence", "pretokenizers": [splitting]}
    edit(other / "tokenizer.json", truncation=truncation, pre_tokenizer=sequence)
    check_same_tokenizer([qwen, other])


def test_differing_tokenizers(tmp_path: Path, qwen: Path) -> None:
    other = write_checkpoint(tmp_path / "other", "qwen2", values("qwen2", 2))
    write_tokenizer(other, shift=1)
    with pytest.raises(UserError, match=r"vocabulary: token '!' is number 1, but number 0 in"):
        check_same_tokenizer([qwen, other])
    write_tokenizer(other)
    file = other / "tokenizer.json"
    content = json.loads(file.read_text())
    edit(file, pre_tokenizer=content["pre_tokenizer"] | {"add_prefix_space": True})
    with pytest.raises(UserError, match="splits text into other tokens"):
        check_same_tokenizer([qwen, other])
    edit(file, added_tokens=content["added_tokens"][:-1])
    with pytest.raises(UserError, match=r"vocabulary: token .* is absent, but number 259"):
        check_same_tokenizer([qwen, other])
    file.unlink()
    with pytest.raises(UserError, match=f"{other}: holds no tokenizer"):
        check_same_tokenizer([qwen, other])


def test_chat_template_in_each_place(qwen: Path) -> None:
    """One that no tokenizer reads was published once, and its training failed hours later."""
    config, own = qwen / "tokenizer_config.json", qwen / "chat_template.jinja"

    def refused(note: str) -> None:
        with pytest.raises(UserError, match=f"has no chat template{note}; name one"):
            load_chat(qwen)

    assert load_chat(qwen).template == TEMPLATE
    own.unlink()
    refused("")
    (qwen / "chat_template.json").write_text(json.dumps({"chat_template": TEMPLATE}))
    refused(r" \(chat_template\.json is not the tokenizer's\)")
    several = [{"name": name, "template": TEMPLATE} for name in ("rag", "default")]
    edit(config, chat_template=several[:1])
    refused(r" \(of several templates one must be named 'default'\)")
    for template in (several, TEMPLATE):
        edit(config, chat_template=template)
        assert load_chat(qwen).template == TEMPLATE


@pytest.mark.parametrize(
    "change",
    [
        {"model": {"type": "BPE", "vocab": {"a": 2**40}, "merges": []}},
        {"model": {"type": "Strange"}},
        {"model": {}},
        {"added_tokens": [{"id": -1}]},
        {"added_tokens": 3},
        {"decoder": {"type": "ByteLevel", "pattern": {"Regex": "((((("}}},
        {"pre_tokenizer": {"type": "Split", "pattern": {"Regex": "(("}, "behavior": "Isolated"}},
    ],
)
def test_tokenizers_that_are_none(tmp_path: Path, change: dict[str, Any]) -> None:
    llama = write_checkpoint(tmp_path / "llama", "llama", values("llama", 1))
    edit(llama / "tokenizer.json", **change)
    with pytest.raises(UserError, match=r"tokenizer|Tokenizer"):
        load_tokenizer(llama)
