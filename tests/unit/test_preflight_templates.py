"""Preflight on chat templates: a small chat rendered as training and generation do."""

from pathlib import Path
from typing import Any

import pytest

import preflight_material as material
from preflight_material import one_error

Config = dict[str, Any]


@pytest.fixture
def config(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Config:
    monkeypatch.chdir(tmp_path)
    return material.sound(tmp_path)


GOOD = (
    "{% for m in messages %}<|{{ m.role }}|>"
    "{% generation %}{{ m.content }}<|end|>{% endgeneration %}{% endfor %}"
    "{% if add_generation_prompt %}<|assistant|>{% endif %}"
)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (GOOD.replace("{% endfor %}", ""), ["t.jinja:1", "cannot be rendered", "TemplateSyntax"]),
        (GOOD + "{{ raise_exception('not me') }}", ["cannot be rendered", "not me"]),
        (GOOD + "{{ messages.append(1) }}", ["cannot be rendered", "SecurityError"]),
        (GOOD.replace("{{ m.content }}", ""), ["leaves out what the user says"]),
        (GOOD.replace("{% if add_generation_prompt %}<|assistant|>{% endif %}", ""), ["turn"]),
        (GOOD.replace("<|assistant|>{% endif %}", "<|bot|>{% endif %}"), ["follows on other text"]),
        (
            GOOD.replace("{% generation %}", "").replace("{% endgeneration %}", "")
            + "{% generation %}x{% endgeneration %}",
            ["marks do not enclose the answer"],
        ),
        (GOOD.replace("<|end|>", "<|user|>"), ["closes an answer with '<|user|>'"]),
    ],
)
def test_chat_templates_are_rendered(config: Config, text: str, words: list[str]) -> None:
    Path("t.jinja").write_text(text)
    config["models"]["untied"]["chat_template"] = "t.jinja"
    found = material.errors(material.looked(config))
    assert found
    for word in words:
        assert any(word in line for line in found), found


def test_a_checkpoint_without_template_or_stop_token(config: Config) -> None:
    Path("given/untied/chat_template.jinja").unlink()
    one_error(config, "given/untied: the tokenizer has no chat template")
    Path("t.jinja").write_text(GOOD)
    config["models"]["untied"]["chat_template"] = "t.jinja"
    assert not material.errors(material.looked(config))
    Path("given/untied/generation_config.json").write_text('{"eos_token_id": 999}')
    one_error(config, "generation_config.json: eos_token_id: 999 is no token")
