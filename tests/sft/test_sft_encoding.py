"""What is in the loss, and what a chat template must do for it."""

from pathlib import Path

import pytest
import yaml

from fixtures.sft_studies import TEMPLATE, write_base, write_tokenizer
from mixmerge.core.errors import UserError
from mixmerge.sft.encoding import IGNORED, Encoder, load_encoder
from mixmerge.sft.examples import check_length, check_vocabulary

CASES = yaml.safe_load(Path(__file__).with_name("unfit_templates.yaml").read_text("utf-8"))

ROW = [
    {"role": "user", "content": "Double x."},
    {"role": "assistant", "content": "def f(x):\n    return 2 * x"},
]
TURN = "{%- for m in messages %}{{- '<|im_start|>' + m.role + '\\n' }}"
END = "{%- endfor %}{%- if add_generation_prompt %}{{- '<|im_start|>assistant\\n' }}{%- endif %}"
OTHERS = "{%- else %}{{- m.content + '<|im_end|>' }}{%- endif %}"


def encoder(directory: Path, template: str | None = TEMPLATE) -> Encoder:
    write_tokenizer(directory, template)
    return load_encoder(directory)


def answers(answer: str) -> str:
    """A template that writes the assistant's turns in its own way."""
    return TURN + "{%- if m.role == 'assistant' %}" + answer + OTHERS + END


def test_what_follows_the_stop_token_is_not_learnt(tmp_path: Path) -> None:
    # Qwen's training template encloses the line break after <|im_end|>.
    enclosed = "{%- generation %}{{- m.content + '<|im_end|>\\n' }}{%- endgeneration %}"
    made = encoder(tmp_path, answers(enclosed))
    ids, labels = made.encode([*ROW, *ROW], "x:1")
    learnt = made.chat.tokenizer.decode([label for label in labels if label != IGNORED])
    assert learnt == "def f(x):\n    return 2 * x<|im_end|>" * 2
    assert labels[-1] == IGNORED and ids[-1] != made.chat.tokenizer.eos_token_id


@pytest.mark.parametrize("case", CASES["unfit"])
def test_a_template_that_teaches_something_else_is_refused(tmp_path: Path, case: str) -> None:
    template, message = CASES["unfit"][case]
    with pytest.raises(UserError, match=rf"^train.jsonl:7: .*{message}"):
        encoder(tmp_path, template).encode([*ROW, *ROW], "train.jsonl:7")


def test_an_answer_that_a_template_leaves_out_is_noticed(tmp_path: Path) -> None:
    made = encoder(tmp_path)
    _, labels = made.encode(ROW, "x:1")
    made.check_answer(ROW[1]["content"], labels, "x:1")
    with pytest.raises(UserError, match=r"^x:1: .*the loss covers 'def f.* whole answer"):
        made.check_answer("def g(x): pass", labels, "x:1")


def test_a_template_without_marks_is_named(tmp_path: Path) -> None:
    unmarked = TURN + "{{- m.content + '<|im_end|>' }}" + END
    with pytest.raises(UserError, match=rf"^{tmp_path / 'c'}: .*no `.*`chat_template`"):
        encoder(tmp_path / "c", unmarked)


def test_a_tokenizer_of_another_model_and_rows_too_long_are_refused(tmp_path: Path) -> None:
    base = write_base(tmp_path)
    tokenizer = load_encoder(base).chat.tokenizer
    check_vocabulary(base, tokenizer)
    tokenizer.add_tokens([f"<{number}>" for number in range(5)])
    with pytest.raises(UserError, match=r"has 305 tokens, .* \(model.embed.*\) only 304 rows"):
        check_vocabulary(base, tokenizer)
    check_length(base, 512)
    with pytest.raises(UserError, match="max_position_embeddings is 512, but"):
        check_length(base, 513)
