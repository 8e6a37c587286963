"""Stop tokens, tokenizers that lose text, and templates held against each other."""

import json
from pathlib import Path

import pytest

from chat_material import CHATML, KINDS, SHIPPED, trl_template, write
from mixmerge.checkpoint.chat import first_difference
from mixmerge.checkpoint.tokenizer import load_tokenizer
from mixmerge.core.errors import UserError
from mixmerge.sft.encoding import load_encoder


def test_another_stop_token_than_the_template_s_is_refused(tmp_path: Path) -> None:
    # deepseek-coder's base models, and early revisions of the others, stop at this one.
    base = write(tmp_path, KINDS["deepseek-coder"](), stop="<｜end▁of▁sentence｜>")
    with pytest.raises(UserError, match="closes an answer with '<|EOT|>'".replace("|", r"\|")) as e:
        load_encoder(base, SHIPPED / "deepseek-coder.jinja")
    assert "generation_config.json" in str(e.value) and "end▁of▁sentence" in str(e.value)


def test_stop_tokens_stand_where_generation_looks_for_them(tmp_path: Path) -> None:
    base = write(tmp_path, KINDS["qwen2.5-coder"]())
    template = SHIPPED / "qwen2.5-coder.jinja"
    ids = {name: load_tokenizer(base).convert_tokens_to_ids(name) for name in CHATML}
    both = sorted([ids["<|im_end|>"], ids["<|endoftext|>"]])
    (base / "generation_config.json").write_text(json.dumps({"eos_token_id": both}))
    assert load_encoder(base, template).stops == set(both)
    # The tokenizer's own eos counts only where the configs name none.
    (base / "generation_config.json").write_text(json.dumps({"temperature": 0.7}))
    assert load_encoder(base, template).stops == {ids["<|im_end|>"]}
    (base / "generation_config.json").write_text(json.dumps({"eos_token_id": 99_999}))
    with pytest.raises(UserError, match=r"generation_config.json: eos_token_id: 99999 is no token"):
        load_encoder(base, template)


def test_a_tokenizer_that_loses_blanks_is_refused(tmp_path: Path) -> None:
    """What transformers 5 made of DeepSeek's before it looked for ByteLevel in tokenizer.json."""
    base = write(tmp_path, KINDS["deepseek-coder"]())
    content = json.loads((base / "tokenizer.json").read_text())
    metaspace = {"type": "Metaspace", "replacement": "▁", "prepend_scheme": "always", "split": True}
    (base / "tokenizer.json").write_text(
        json.dumps(content | {"pre_tokenizer": metaspace, "decoder": None})
    )
    with pytest.raises(UserError, match=r"tokenizer.*turns 'def f\(x\).*into.*tokenizer_class"):
        load_tokenizer(base)


def test_a_template_is_held_against_the_one_it_replaces(tmp_path: Path) -> None:
    tokenizer = load_tokenizer(write(tmp_path, KINDS["qwen2.5-coder"]()))
    ours = (SHIPPED / "qwen2.5-coder.jinja").read_text(encoding="utf-8")
    original = trl_template("qwen2_5.jinja")
    assert first_difference(tokenizer, ours, original) is None
    other = original.replace("You are Qwen,", "You are Qwen2,")
    found = first_difference(tokenizer, ours, other)
    assert found is not None and found[0].startswith(",") and found[1].startswith("2,")
    # Only in the prompt of generation.
    other = original.replace("assistant\\n' }}\n{%- endif %}", "assistant' }}\n{%- endif %}")
    assert first_difference(tokenizer, ours, other) == ("\n", "")
