"""Token by token: what is in the loss, and what the templates must do for it."""

from pathlib import Path

import pytest

from fixtures.sft_studies import TEMPLATE, write_tokenizer
from mixmerge.core.errors import UserError
from mixmerge.sft.encoding import IGNORED, Encoder, load_encoder

ROW = [
    {"role": "user", "content": "Double x."},
    {"role": "assistant", "content": "def f(x):\n    return 2 * x"},
]
TURN = "{%- for m in messages %}{{- '<|im_start|>' + m.role + '\\n' }}"
END = "{%- endfor %}{%- if add_generation_prompt %}{{- '<|im_start|>assistant\\n' }}{%- endif %}"


def encoder(directory: Path, template: str | None = TEMPLATE) -> Encoder:
    write_tokenizer(directory, template)
    return load_encoder(directory, None)


def learnt(made: Encoder, labels: list[int]) -> str:
    text: str = made.tokenizer.decode([label for label in labels if label != IGNORED])
    return text


def test_the_loss_is_on_the_answer_and_its_stop_token(tmp_path: Path) -> None:
    made = encoder(tmp_path)
    ids, labels = made.encode(ROW, "x:1")
    prompt = made.tokenizer(
        "<|im_start|>user\nDouble x.<|im_end|>\n<|im_start|>assistant\n"
    ).input_ids
    answer = made.tokenizer("def f(x):\n    return 2 * x<|im_end|>").input_ids
    tail = made.tokenizer("\n").input_ids
    assert ids == prompt + answer + tail
    assert labels == [IGNORED] * len(prompt) + answer + [IGNORED] * len(tail)


def test_each_turn_of_a_conversation_is_learnt(tmp_path: Path) -> None:
    made = encoder(tmp_path)
    _, labels = made.encode([{"role": "system", "content": "Be brief."}, *ROW, *ROW], "x:1")
    assert learnt(made, labels) == "def f(x):\n    return 2 * x<|im_end|>" * 2


def test_what_follows_the_stop_token_is_not_learnt(tmp_path: Path) -> None:
    # Qwen's training template encloses the line break after <|im_end|>.
    template = TURN + (
        "{%- if m.role == 'assistant' %}{%- generation %}{{- m.content + '<|im_end|>\\n' }}"
        "{%- endgeneration %}{%- else %}{{- m.content + '<|im_end|>\\n' }}{%- endif %}" + END
    )
    made = encoder(tmp_path, template)
    ids, labels = made.encode([*ROW, *ROW], "x:1")
    assert learnt(made, labels) == "def f(x):\n    return 2 * x<|im_end|>" * 2
    assert labels[-1] == IGNORED and ids[-1] != made.tokenizer.eos_token_id


def test_a_stop_token_outside_the_loss_is_refused(tmp_path: Path) -> None:
    template = TURN + (
        "{%- if m.role == 'assistant' %}{%- generation %}{{- m.content }}{%- endgeneration %}"
        "{%- else %}{{- m.content }}{%- endif %}{{- '<|im_end|>\\n' }}" + END
    )
    with pytest.raises(UserError, match="never learn to stop") as caught:
        encoder(tmp_path, template).encode(ROW, "train.jsonl:7")
    assert "train.jsonl:7" in str(caught.value) and "`chat_template`" in str(caught.value)


def test_a_generation_mark_around_nothing_is_refused(tmp_path: Path) -> None:
    template = TURN + "{{- m.content + '<|im_end|>' }}{%- generation %}{%- endgeneration %}" + END
    with pytest.raises(UserError, match="marks no token as the assistant's"):
        encoder(tmp_path, template).encode(ROW, "x:1")


def test_trl_s_training_variant_of_a_known_template_is_used(tmp_path: Path) -> None:
    import trl

    own = Path(trl.__file__).parent / "chat_templates" / "qwen2_5.jinja"
    made = encoder(tmp_path, own.read_text())
    ids, labels = made.encode(ROW, "x:1")
    assert learnt(made, labels).strip() == "def f(x):\n    return 2 * x<|im_end|>"
    assert ids == made.tokenizer.apply_chat_template(ROW, return_dict=True)["input_ids"]


def test_an_unknown_template_without_marks_names_the_way_out(tmp_path: Path) -> None:
    template = TURN + "{{- m.content + '<|im_end|>' }}" + END
    with pytest.raises(UserError, match="`chat_template`") as caught:
        encoder(tmp_path, template)
    assert str(tmp_path) in str(caught.value)


def test_a_template_file_replaces_the_checkpoint_s_own(tmp_path: Path) -> None:
    write_tokenizer(tmp_path, "{{- 'nothing' }}")
    file = tmp_path / "mine.jinja"
    file.write_text(TEMPLATE)
    assert load_encoder(tmp_path, file).chat.template == TEMPLATE


def test_no_template_and_no_tokenizer_are_named(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no chat template"):
        encoder(tmp_path / "a", None)
    (tmp_path / "b").mkdir()
    with pytest.raises(UserError, match="tokenizer cannot be read"):
        load_encoder(tmp_path / "b", None)


def test_text_between_generation_s_prompt_and_the_loss_is_refused(tmp_path: Path) -> None:
    # The model would have to write "Answer: " by itself, but is never taught to.
    template = TURN + (
        "{%- if m.role == 'assistant' %}{{- 'Answer: ' }}{%- generation %}"
        "{{- m.content + '<|im_end|>' }}{%- endgeneration %}"
        "{%- else %}{{- m.content + '<|im_end|>' }}{%- endif %}" + END
    )
    with pytest.raises(UserError, match="the answer follows on other text or starts later"):
        encoder(tmp_path, template).encode(ROW, "x:1")


def test_another_prompt_than_generation_s_is_refused(tmp_path: Path) -> None:
    template = TEMPLATE.replace("assistant\\n' }}{%- endif %}", "assistant:' }}{%- endif %}")
    with pytest.raises(UserError, match=r"x:1.*ends with .*assistant:.*`add_generation_prompt`"):
        encoder(tmp_path, template).encode(ROW, "x:1")


def test_each_answer_of_a_conversation_must_hold_its_stop_token(tmp_path: Path) -> None:
    template = TURN + (
        "{%- if m.role == 'assistant' %}{%- generation %}{{- m.content }}"
        "{%- if loop.last %}{{- '<|im_end|>' }}{%- endif %}{%- endgeneration %}"
        "{%- else %}{{- m.content + '<|im_end|>' }}{%- endif %}" + END
    )
    made = encoder(tmp_path, template)
    assert learnt(made, made.encode(ROW, "x:1")[1]).endswith("<|im_end|>")
    with pytest.raises(UserError, match="never learn to stop"):
        made.encode([*ROW, *ROW], "x:1")
