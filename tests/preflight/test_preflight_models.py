"""Preflight on checkpoints by their headers, and on chat templates by a chat rendered on trial."""

import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from fixtures.sound_study import write_base
from mixmerge.preflight.findings import Area

Config = dict[str, Any]
OneError = Callable[..., None]


def rewrite(model: str, family: str, **changed: Any) -> Path:
    """Write a model's checkpoint anew, its config changed."""
    folder = Path("given", model)
    shutil.rmtree(folder)
    return write_base(folder, family, **changed)


@pytest.mark.parametrize(
    ("model", "changed", "words"),
    [
        ("tied", {"vocab_size": 300}, ["vocab_size is 300", "has 264 rows"]),
        ("tied", {"tie_word_embeddings": False}, ["tie_word_embeddings is false", "lm_head"]),
        ("untied", {"max_position_embeddings": 32}, ["max_position_embeddings is 32", "64"]),
    ],
)
def test_configs_that_do_not_fit_their_weights(
    config: Config, one_error: OneError, model: str, changed: Config, words: list[str]
) -> None:
    file = rewrite(model, "qwen2" if model == "tied" else "llama", **changed) / "config.json"
    one_error(config, str(file), *words)


def test_a_tokenizer_with_more_tokens_than_rows(config: Config, one_error: OneError) -> None:
    file = Path("given/tied/tokenizer.json")
    content = json.loads(file.read_text())
    first = content["added_tokens"][0]
    more = [{**first, "id": number, "content": f"<{number}>"} for number in range(260, 265)]
    content["added_tokens"] += more
    file.write_text(json.dumps(content))
    one_error(config, "given/tied: the tokenizer has 266 tokens", "only 264 rows")


def test_lora_targets_that_a_model_lacks(config: Config, errors: Callable[..., list[str]]) -> None:
    config["sft"]["lora"] = {"targets": ["q_proj", "w1"]}
    found = errors(config)
    assert len(found) == 2, "one for each model"
    assert all("sft.lora.targets: 'w1' is no module of" in line for line in found)


def test_stored_buffers_are_no_weights(config: Config, errors: Callable[..., list[str]]) -> None:
    from safetensors.torch import load_file, save_file

    file = Path("given/untied/model.safetensors")
    masks = {
        f"model.layers.{n}.self_attn.bias": torch.ones(1, 1, 4, 4, dtype=torch.bool)
        for n in range(3)
    }
    save_file(load_file(file) | masks, file)
    assert not errors(config)


def test_broken_checkpoints(
    config: Config, one_error: OneError, errors: Callable[..., list[str]]
) -> None:
    weights = Path("given/tied/model.safetensors")
    whole = weights.read_bytes()
    weights.write_bytes(whole[:-10])
    one_error(config, f"{weights}: cut off, damaged")
    weights.unlink()
    Path("given/tied/pytorch_model.bin").write_bytes(b"x")
    one_error(config, "given/tied: holds", "pickle")
    weights.write_bytes(whole)
    Path("given/tied/tokenizer.json").write_text("{")
    found = errors(config)
    assert found and all("given/tied" in line and "tokenizer" in line for line in found)


def test_what_is_only_odd_is_warned_of(
    config: Config, inspect: Callable[..., dict[str, Area]]
) -> None:
    model = config["models"]["tied"]
    for parameters, words in (
        (
            7_000_000_000,
            "models.tied.parameters: 7_000_000_000, but given/tied has 31_904; write that",
        ),
        (None, "models.tied.parameters: missing, but given/tied has 31_904; write that"),
    ):
        model["parameters"] = parameters
        [warning] = inspect(config)["models"].warnings
        assert re.search(words, warning)
    model["parameters"] = 31904
    rewrite("untied", "llama", model_type="llamma")
    [warning] = inspect(config)["models"].warnings
    assert "model_type 'llamma' is unknown" in warning
    assert "models.untied.trust_remote_code" in warning


OPEN, GENERATED = "{% if add_generation_prompt %}<|assistant|>{% endif %}", "{{ m.content }}<|end|>"
GOOD = (
    "{% for m in messages %}<|{{ m.role }}|>"
    f"{{% generation %}}{GENERATED}{{% endgeneration %}}{{% endfor %}}{OPEN}"
)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (GOOD.replace("{% endfor %}", ""), "t.jinja:1: .*cannot be rendered.*TemplateSyntax"),
        (GOOD + "{{ raise_exception('not me') }}", "cannot be rendered.*not me"),
        (GOOD + "{{ messages.append(1) }}", "cannot be rendered.*SecurityError"),
        (GOOD.replace("{{ m.content }}", ""), "leaves out what the user says"),
        (GOOD.replace(OPEN, ""), "opens no turn of the assistant's; let it"),
        (GOOD.replace(OPEN, OPEN.replace("assistant", "bot")), "follows on other text"),
        (
            GOOD.replace("{% generation %}", "").replace("{% endgeneration %}", "")
            + "{% generation %}x{% endgeneration %}",
            "marks do not enclose the answer",
        ),
        (GOOD.replace("<|end|>", "<|user|>"), "closes an answer with '<|user|>'"),
    ],
)
def test_chat_templates_are_rendered(
    config: Config, errors: Callable[..., list[str]], text: str, words: str
) -> None:
    Path("t.jinja").write_text(text)
    config["models"]["untied"]["chat_template"] = "t.jinja"
    assert any(re.search(words.replace("|", r"\|"), line) for line in errors(config))


def test_a_checkpoint_without_template_or_stop_token(
    config: Config, errors: Callable[..., list[str]], one_error: OneError
) -> None:
    Path("given/untied/chat_template.jinja").unlink()
    one_error(config, "given/untied: the tokenizer has no chat template")
    Path("t.jinja").write_text(GOOD)
    config["models"]["untied"]["chat_template"] = "t.jinja"
    assert not errors(config)
    Path("given/untied/generation_config.json").write_text('{"eos_token_id": 999}')
    one_error(config, "generation_config.json: eos_token_id: 999 is no token")
