"""Checks of whole checkpoints against each other."""

import json
from pathlib import Path

import numpy as np
import pytest

import checkpoint_material as material
from mixmerge.checkpoint.index import read_index
from mixmerge.checkpoint.tensors import (
    check_dtypes,
    check_finite,
    check_same_tensors,
    without_tied_head,
)
from mixmerge.checkpoint.tokenizer import (
    check_chat_template,
    check_same_tokenizer,
    load_tokenizer,
    template_of,
)
from mixmerge.core.errors import UserError

EMBED, HEAD = "model.embed_tokens.weight", "lm_head.weight"


@pytest.fixture
def qwen(tmp_path: Path) -> Path:
    return material.write_checkpoint(tmp_path / "qwen", "qwen2", material.values("qwen2", 1))


@pytest.mark.parametrize("dtype", ["BF16", "F16", "F32", "F64"])
@pytest.mark.parametrize(("value", "word"), [(np.nan, "NaN"), (-np.inf, "infinity")])
def test_names_the_first_bad_element(tmp_path: Path, dtype: str, value: float, word: str) -> None:
    arrays = material.values("qwen2", 1)
    name = "model.layers.1.mlp.up_proj.weight"
    arrays[name][7, 3] = value
    directory = material.write_checkpoint(tmp_path / "m", "qwen2", arrays, dtype=dtype, shards=2)
    with pytest.raises(UserError) as caught:
        check_finite(directory)
    message = str(caught.value)
    assert name in message and word in message and "[7, 3]" in message
    assert str(read_index(directory)[name].file) in message


@pytest.mark.parametrize("dtype", ["BF16", "F32"])
def test_large_and_tiny_numbers_are_finite(tmp_path: Path, dtype: str) -> None:
    arrays = material.values("qwen2", 1)
    arrays[EMBED][0, :4] = [3e38, -3e38, 1e-40, 0.0]
    check_finite(material.write_checkpoint(tmp_path / "m", "qwen2", arrays, dtype=dtype))


def test_missing_extra_and_reshaped_tensors(tmp_path: Path, qwen: Path) -> None:
    arrays = material.values("qwen2", 1)
    norm = arrays.pop("model.norm.weight")
    lacking = material.write_checkpoint(tmp_path / "lacking", "qwen2", arrays)
    with pytest.raises(UserError, match=r"lacks tensor 'model\.norm\.weight'"):
        check_same_tensors(lacking, qwen)
    with pytest.raises(UserError, match="holds an extra tensor"):
        check_same_tensors(qwen, lacking)
    reshaped = material.write_checkpoint(
        tmp_path / "reshaped", "qwen2", {**arrays, "model.norm.weight": norm[:16]}
    )
    with pytest.raises(UserError, match=r"has shape \[16\], but \[32\]"):
        check_same_tensors(reshaped, qwen)


def test_tied_head_may_be_stored_or_not(tmp_path: Path, qwen: Path) -> None:
    arrays = material.values("qwen2", 1)
    stored = material.write_checkpoint(
        tmp_path / "stored", "qwen2", {**arrays, HEAD: arrays[EMBED]}
    )
    check_same_tensors(stored, qwen)
    check_same_tensors(qwen, stored)
    assert HEAD not in without_tied_head(stored, read_index(stored))
    other = material.write_checkpoint(
        tmp_path / "other", "qwen2", {**arrays, HEAD: arrays[EMBED] + 1}
    )
    assert HEAD in without_tied_head(other, read_index(other))
    untied = material.write_checkpoint(
        tmp_path / "untied", "qwen2", {**arrays, HEAD: arrays[EMBED]}, tie_word_embeddings=False
    )
    with pytest.raises(UserError, match=r"lm_head\.weight"):
        check_same_tensors(untied, qwen)


def test_dtypes(tmp_path: Path, qwen: Path) -> None:
    other = material.write_checkpoint(
        tmp_path / "f32", "qwen2", material.values("qwen2", 1), dtype="F32"
    )
    check_dtypes([qwen, qwen])
    with pytest.raises(UserError, match=r"is F32, but .* is BF16"):
        check_dtypes([qwen, other])


def test_rewritten_tokenizer_is_the_same(tmp_path: Path, qwen: Path) -> None:
    other = material.write_checkpoint(tmp_path / "b", "qwen2", material.values("qwen2", 2))
    content = json.loads((other / "tokenizer.json").read_text())
    content["truncation"] = {
        "direction": "Right", "max_length": 5, "strategy": "LongestFirst", "stride": 0,
    }  # fmt: skip
    # The same splitting, said in another way.
    content["pre_tokenizer"] = {
        "type": "Sequence",
        "pretokenizers": [content["pre_tokenizer"]],
    }
    (other / "tokenizer.json").write_text(json.dumps(content, indent=1))
    check_same_tokenizer([qwen, other])


def test_differing_tokenizers(tmp_path: Path, qwen: Path) -> None:
    shifted = material.write_checkpoint(tmp_path / "s", "qwen2", material.values("qwen2", 2))
    material.write_tokenizer(shifted, shift=1)
    with pytest.raises(UserError, match=r"vocabulary: token '!' is number"):
        check_same_tokenizer([qwen, shifted])
    merges = material.write_checkpoint(tmp_path / "p", "qwen2", material.values("qwen2", 2))
    content = json.loads((merges / "tokenizer.json").read_text())
    content["pre_tokenizer"]["add_prefix_space"] = True
    (merges / "tokenizer.json").write_text(json.dumps(content))
    with pytest.raises(UserError, match="splits text into other tokens"):
        check_same_tokenizer([qwen, merges])
    (merges / "tokenizer.json").unlink()
    with pytest.raises(UserError, match="holds no tokenizer"):
        check_same_tokenizer([qwen, merges])


def test_chat_template_in_each_place(qwen: Path) -> None:
    check_chat_template(qwen)
    (qwen / "chat_template.jinja").unlink()
    with pytest.raises(UserError, match="no chat template"):
        check_chat_template(qwen)
    config = json.loads((qwen / "tokenizer_config.json").read_text())
    (qwen / "tokenizer_config.json").write_text(
        json.dumps({**config, "chat_template": material.TEMPLATE})
    )
    check_chat_template(qwen)


def test_a_chat_template_that_no_tokenizer_reads(qwen: Path) -> None:
    """Such a checkpoint was published, and its training failed hours later."""
    (qwen / "chat_template.jinja").unlink()
    (qwen / "chat_template.json").write_text(json.dumps({"chat_template": material.TEMPLATE}))
    assert template_of(load_tokenizer(qwen)) is None
    with pytest.raises(UserError, match=r"no chat template \(chat_template\.json is not"):
        check_chat_template(qwen)
    path = qwen / "tokenizer_config.json"
    config = json.loads(path.read_text())
    for names, works in ((["rag", "tool_use"], False), (["rag", "default"], True)):
        several = [{"name": name, "template": material.TEMPLATE} for name in names]
        path.write_text(json.dumps({**config, "chat_template": several}))
        assert (template_of(load_tokenizer(qwen)) is not None) == works
        if works:
            check_chat_template(qwen)
        else:
            with pytest.raises(UserError, match=r"must be named 'default', found \['rag', 'tool"):
                check_chat_template(qwen)
