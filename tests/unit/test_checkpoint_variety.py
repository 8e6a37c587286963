"""Honest checkpoints as people have them: none may be refused for what is only unusual."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

import checkpoint_material as material
from mixmerge.checkpoint.chat import Chat, check_stops
from mixmerge.checkpoint.snapshot import snapshot
from mixmerge.checkpoint.tokenizer import load_tokenizer, stop_tokens, template_of
from mixmerge.config.models import LocalModel

SIZES = {
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "head_dim": 8,
    "vocab_size": 260,
    "pad_token_id": 256,
    "bos_token_id": None,
    "eos_token_id": 256,
}
OLD_SIZES = {"n_embd": 32, "n_layer": 2, "n_head": 4, "vocab_size": 260, "eos_token_id": 256}
FAMILIES = ("llama", "qwen2", "qwen3", "mistral", "gemma", "phi3", "starcoder2", "gpt2")
#: What lies about in real directories and repositories.
BESIDE = ("README.md", ".gitattributes", "LICENSE", "training_args.bin", "optimizer.pt")


def published(source: Path, out: Path) -> Path:
    snapshot("mine", LocalModel(kind="local", path=source), out)
    tokenizer = load_tokenizer(out)
    template = template_of(tokenizer)
    assert template is not None
    check_stops(out, Chat(tokenizer, template), stop_tokens(out, tokenizer))
    return out


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize(
    ("tied", "dtype", "shard"),
    [(True, "bfloat16", "20KB"), (False, "float16", "5GB"), (None, "float32", "20KB")],
)
def test_what_transformers_saves_is_taken_as_it_is(
    tmp_path: Path, family: str, tied: bool | None, dtype: str, shard: str
) -> None:
    import torch
    from transformers import AutoConfig, AutoModelForCausalLM

    sizes: dict[str, Any] = OLD_SIZES if family == "gpt2" else SIZES
    config = AutoConfig.for_model(family, **sizes)
    if tied is not None:
        config.tie_word_embeddings = tied
    model = AutoModelForCausalLM.from_config(config, dtype=getattr(torch, dtype))
    source = tmp_path / "with blanks, é" / "source"
    model.save_pretrained(source, max_shard_size=shard)
    assert (source / "model.safetensors.index.json").exists() == (shard == "20KB")
    material.write_tokenizer(source)
    for name in BESIDE:
        (source / name).write_bytes(b"{}")
    out = published(source, tmp_path / "base")
    again = AutoModelForCausalLM.from_pretrained(out, dtype="auto").state_dict()
    held = model.state_dict()
    assert held.keys() == again.keys()
    assert all(torch.equal(held[name], again[name]) for name in held)
    assert not {path.name for path in out.iterdir()} & set(BESIDE)


def test_the_hubs_cache_of_links_and_a_directory_that_may_not_be_written(tmp_path: Path) -> None:
    plain = material.write_checkpoint(
        tmp_path / "plain", "llama", material.values("llama", 1), shards=2
    )
    blobs = tmp_path / "models--a--b" / "blobs"
    cache = blobs.parent / "snapshots" / ("0" * 40)
    for folder in (blobs, cache):
        folder.mkdir(parents=True)
    for number, path in enumerate(sorted(plain.iterdir())):
        blob = Path(shutil.copyfile(path, blobs / f"{number:040x}"))
        blob.chmod(0o444)
        (cache / path.name).symlink_to(f"../../blobs/{blob.name}")
    (tmp_path / "link").symlink_to(cache)
    cache.chmod(0o555)
    sources = (plain, cache, tmp_path / "link")
    found = [published(path, tmp_path / "out" / path.name) for path in sources]
    cache.chmod(0o755)
    for path in sorted(plain.iterdir()):
        assert all((out / path.name).read_bytes() == path.read_bytes() for out in found)
        assert not any((out / path.name).is_symlink() for out in found)
        assert (cache / path.name).is_symlink()


LLAMA_3 = """{{- bos_token }}
{%- if not date_string is defined %}
    {%- if strftime_now is defined %}
        {%- set date_string = strftime_now("%d %b %Y") %}
    {%- else %}
        {%- set date_string = "26 Jul 2024" %}
    {%- endif %}
{%- endif %}
{%- if messages[0]['role'] == 'system' %}
    {%- set system_message = messages[0]['content']|trim %}
    {%- set messages = messages[1:] %}
{%- else %}
    {%- set system_message = "" %}
{%- endif %}
{{- "<|system|>Today Date: " + date_string + "\\n\\n" + system_message + "<|end|>" }}
{%- for message in messages %}
    {%- if 'tool_calls' in message %}
        {{- raise_exception("This model only supports single tool-calls at once!") }}
    {%- endif %}
    {{- '<|' + message['role'] + '|>\\n\\n'+ message['content'] | trim + '<|end|>' }}
{%- endfor %}
{%- if add_generation_prompt %}{{- '<|assistant|>\\n\\n' }}{%- endif %}"""
GEMMA = (
    "{{ bos_token }}{% if messages[0]['role'] == 'system' %}"
    "{{ raise_exception('System role not supported') }}{% endif %}{% for message in messages %}"
    "{% if (message['role'] == 'user') != (loop.index0 % 2 == 0) %}"
    "{{ raise_exception('Conversation roles must alternate user/assistant/...') }}{% endif %}"
    "{% set role = 'model' if message['role'] == 'assistant' else message['role'] %}"
    "{{ '<|user|>' + role + '\n' + message['content'] | trim + '<|end|>\n' }}{% endfor %}"
    "{% if add_generation_prompt %}{{'<|user|>model\n'}}{% endif %}"
)
QWEN_3 = """{%- set ns = namespace(multi_step_tool=true, last=messages|length - 1) %}
{%- for message in messages[::-1] %}
    {%- set index = (messages|length - 1) - loop.index0 %}
    {%- if ns.multi_step_tool and message.role == "user" and message.content is string %}
        {%- set ns.multi_step_tool = false %}{%- set ns.last = index %}
    {%- endif %}
{%- endfor %}
{%- for message in messages %}
    {%- if message.role == "tool" %}{%- continue %}{%- endif %}
    {%- if message.role == "assistant" and loop.index0 > ns.last %}
        {%- set thought = message.content.split('</think>')[0].strip('\\n') %}
        {{- '<|assistant|><think>\\n' + thought + '<|end|>' }}
    {%- else %}
        {{- '<|' + message.role + '|>' + (message.content | tojson) + '<|end|>\\n' }}
    {%- endif %}
{%- endfor %}
{%- if add_generation_prompt %}{{- '<|assistant|>' }}{%- endif %}"""


@pytest.mark.parametrize("template", [LLAMA_3, GEMMA, QWEN_3], ids=["Llama 3", "Gemma", "Qwen 3"])
@pytest.mark.parametrize("place", ["file", "config", "list"])
def test_templates_in_the_manner_of_well_known_models(
    tmp_path: Path, template: str, place: str
) -> None:
    source = material.write_checkpoint(tmp_path / "in", "llama", material.values("llama", 1))
    content = json.loads((source / "tokenizer_config.json").read_text())
    (source / "chat_template.jinja").unlink()
    if place == "file":
        (source / "chat_template.jinja").write_text(template)
    else:
        several = [{"name": "default", "template": template}, {"name": "rag", "template": "{{x}}"}]
        content["chat_template"] = several if place == "list" else template
    content["bos_token"] = "<|system|>"
    (source / "tokenizer_config.json").write_text(json.dumps(content))
    tokenizer = load_tokenizer(published(source, tmp_path / "base"))
    chat = Chat(tokenizer, str(template_of(tokenizer)))
    question, answer = {"role": "user", "content": "Q é"}, {"role": "assistant", "content": "A"}
    text = chat.render([question, answer, question], prompt=True)[0]
    assert text.count("Q é") == 2 and text.count("A<") + text.count('"A"') == 1
