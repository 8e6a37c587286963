"""Pre-training of the embedded study's bases: weights, tokenizers, batches, bytes."""

import json

import pytest
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

from embedded_study.pretraining import form_batches, learning_rate, pretrain
from mixmerge.checkpoint.settings import EmbeddedModel
from mixmerge.core.errors import UserError

CHAT = [
    {"role": "user", "content": "Complete this function:\ndef f(numbers):"},
    {"role": "assistant", "content": "```python\ndef f(numbers):\n    return 1\n```"},
]
STOP = {"qwen2": "<|im_end|>", "llama": "<|EOT|>"}


def settings(family: str) -> EmbeddedModel:
    return EmbeddedModel(
        architecture=family, hidden_size=32, intermediate_size=64, layers=2, heads=4, kv_heads=2,
        vocab_size=400, tie_embeddings=family == "qwen2", context=256, steps=4,
        batch_tokens=256,
    )  # fmt: skip


@pytest.fixture(scope="module")
def bases(corpus, tmp_path_factory):
    """Family -> a base model."""
    outs = {family: tmp_path_factory.mktemp(family) for family in STOP}
    for family, out in outs.items():
        pretrain(out, corpus, settings(family), 3, progress=False)
    return outs


@pytest.mark.parametrize("family", STOP)
def test_the_model_loads_with_the_right_weights(bases, family):
    model, info = AutoModelForCausalLM.from_pretrained(bases[family], output_loading_info=True)
    assert not info["missing_keys"] and not info["unexpected_keys"]
    assert model.config.model_type == family
    assert {parameter.dtype for parameter in model.parameters()} == {torch.float32}
    tied = model.lm_head.weight.data_ptr() == model.model.embed_tokens.weight.data_ptr()
    assert tied == model.config.tie_word_embeddings == (family == "qwen2")
    assert all(torch.isfinite(parameter).all() for parameter in model.parameters())


@pytest.mark.parametrize("family", STOP)
def test_the_tokenizer_fits_chats_and_code(bases, family):
    tokenizer = AutoTokenizer.from_pretrained(bases[family])
    generation = json.loads((bases[family] / "generation_config.json").read_text())
    assert tokenizer.eos_token == STOP[family]
    assert tokenizer.eos_token_id in generation["eos_token_id"]
    assert tokenizer.pad_token_id not in {None, tokenizer.eos_token_id}
    assert len(tokenizer) <= 400
    text = "def f(x):\n    # naïve 日本 12\n\n    return  x[::-1]\t\n"
    assert tokenizer.decode(tokenizer(text, add_special_tokens=False)["input_ids"]) == text
    # The loss covers answer and stop token only, and a prompt is the chat's beginning.
    whole = tokenizer.apply_chat_template(
        CHAT, tokenize=True, return_dict=True, return_assistant_tokens_mask=True
    )
    pairs = zip(whole["input_ids"], whole["assistant_masks"], strict=True)
    answer = tokenizer.decode([token for token, mask in pairs if mask])
    assert answer == CHAT[1]["content"] + STOP[family]
    prompt = tokenizer.apply_chat_template(CHAT[:1], tokenize=True, add_generation_prompt=True)
    ids = prompt["input_ids"]
    assert whole["input_ids"][: len(ids)] == ids


def test_same_seed_same_bytes_and_the_families_tokenize_differently(bases, corpus, tmp_path):
    tokenizers = [AutoTokenizer.from_pretrained(path) for path in bases.values()]
    qwen, llama = (one("    return sorted(numbers)[:3]")["input_ids"] for one in tokenizers)
    assert qwen != llama
    pretrain(tmp_path, corpus, settings("llama"), 3, progress=False)
    for file in bases["llama"].iterdir():
        assert file.read_bytes() == (tmp_path / file.name).read_bytes(), file.name


def test_batches_hold_whole_documents_and_learn_the_text_only():
    small = settings("qwen2").model_copy(update={"batch_tokens": 10, "context": 9})
    documents = [([5, 6], [7]), ([8], [9, 10]), ([11], [12] * 20)]
    batches = form_batches(documents, 0, small, 1)
    assert len(batches) == small.steps
    for batch, again in zip(batches, form_batches(documents, 0, small, 1), strict=True):
        assert all(torch.equal(*pair) for pair in zip(batch, again, strict=True))
    rows = set()
    for ids, labels in batches:
        rows |= set(zip(map(tuple, ids.tolist()), map(tuple, labels.tolist()), strict=True))
    assert rows == {
        ((5, 6, 7, 0), (-100, -100, 7, 0)),
        ((8, 9, 10, 0), (-100, 9, 10, 0)),
        ((11, *[12] * 8), (-100, *[12] * 8)),
    }


def test_the_rate_rises_then_falls():
    long = settings("qwen2").model_copy(update={"steps": 100})
    rates = [learning_rate(step, long) for step in range(100)]
    assert max(rates) == pytest.approx(long.learning_rate)
    assert rates[0] < rates[4] and rates[-1] == pytest.approx(long.learning_rate / 10, rel=0.05)


def test_bad_input_is_named(corpus, tmp_path):
    with pytest.raises(UserError, match="empty directory"):
        pretrain(corpus, corpus, settings("qwen2"), 3)
    (tmp_path / "out").mkdir()
    with pytest.raises(UserError, match=r"pretrain\.jsonl: file not found"):
        pretrain(tmp_path / "out", tmp_path, settings("qwen2"), 3)
    (tmp_path / "pretrain.jsonl").write_text('{"txt": "x"}\n')
    with pytest.raises(UserError, match=r"pretrain\.jsonl:1: .*'text' or 'messages'"):
        pretrain(tmp_path / "out", tmp_path, settings("qwen2"), 3)
