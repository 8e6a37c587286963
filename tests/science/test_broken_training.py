"""What cannot be trained: refused in one sentence before any model computes."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from broken_chats import EMBED, LARGE, MARKED, MODULES, anew, eos, sealed, template, write_base
from broken_damage import SECOND, UP, cut, line, spoilt
from broken_material import Case, Server, Stage, Worlds, cases
from fixtures import checkpoints as material
from fixtures import sft_studies as sft_material
from mixmerge.core.io import write_jsonl

pytestmark = pytest.mark.slow


def write_training(folder: Path) -> None:
    write_base(folder)
    sft_material.write_set(folder / "set", 12, 4)


TRAINING = sft_material.SETTINGS | {"max_length": 128, "epochs": 1.0, "packing": False}

STAGES = {
    "sft": Stage(
        "sft.py",
        (
            "--base",
            "in/base",
            "--data",
            "in/set",
            "--out",
            "out/m",
            "--scratch",
            "out/work",
            "--seed",
            "1",
            "--settings",
            json.dumps(TRAINING),
        ),
        write_training,
    ),
}


def said(number: int, messages: Any) -> Callable[[Path], object]:
    """Put other messages into a row of the training set."""
    text = json.dumps({"id": "x", "messages": messages})
    return sealed("set", lambda s: line(s / "train.jsonl", number, text))


ROWS, USER = "in/set/train.jsonl", {"role": "user", "content": "?"}

SFT = [
    Case(
        "NaN in the base",
        anew(**{UP: spoilt(float("nan"))}),
        (UP, "holds NaN at [7, 3]"),
        mends=False,
    ),
    Case(
        "a base cut off",
        lambda i: cut(i / "base" / SECOND, 9),
        (f"in/base/{SECOND}", "in/base/manifest.json lists"),
        mends=False,
    ),
    Case(
        "fewer embeddings than tokens",
        anew(vocab_size=250, **{EMBED: LARGE[:250]}),
        ("in/base: the tokenizer has 261 tokens", "only 250 rows", "same revision"),
        mends=False,
    ),
    Case(
        "fewer positions than max_length",
        anew(max_position_embeddings=64),
        ("in/base/config.json: max_position_embeddings is 64", "Set max_length to 64"),
        mends=False,
    ),
    Case(
        "a template without marks",
        template(material.TEMPLATE),
        ("in/base: the chat template has no `{% generation %}` marks",),
        mends=False,
    ),
    Case("a template that is broken", template(MARKED + "{% for %}"), ("in/base",), mends=False),
    Case(
        "a stop token that is none",
        eos(9999),
        ("in/base/generation_config.json: eos_token_id: 9999 is no token", "from 0 to 260"),
        mends=False,
    ),
    Case(
        "a stop token that is text",
        eos("<|end|>"),
        ("in/base/generation_config.json: eos_token_id: '<|end|>' is no token",),
        mends=False,
    ),
    Case(
        "a row without messages",
        said(3, None),
        (f"{ROWS}:3: messages: expected a list",),
        mends=False,
    ),
    Case(
        "a row that ends with a question",
        said(3, [USER]),
        (f"{ROWS}:3: messages: expected a list that ends with the assistant's answer",),
        mends=False,
    ),
    Case("a row of texts", said(3, ["hi"]), (f"{ROWS}:3: messages:",), mends=False),
    Case(
        "an answer that is a number",
        said(3, [USER, {"role": "assistant", "content": 7}]),
        (f"{ROWS}:3: messages:",),
        mends=False,
    ),
    Case(
        "rows that are all too long",
        sealed(
            "set",
            lambda s: [
                write_jsonl(
                    s / "train.jsonl",
                    [{"id": "1", "messages": [USER, {"role": "assistant", "content": "x" * 500}]}],
                )
            ],
        ),
        (f"{ROWS}: no example is left to train on", "raise sft.max_length"),
        mends=False,
    ),
    Case(
        "an empty training set",
        sealed("set", lambda s: (s / "train.jsonl").write_text("")),
        (f"{ROWS}: no example is left to train on",),
        mends=False,
    ),
    Case(
        "a scratch folder of somebody else",
        lambda i: [
            (i.parent / "out/work").mkdir(parents=True),
            (i.parent / "out/work/mine.txt").write_text("mine"),
        ],
        ("out/work: --scratch: holds files but no job.json", "name another directory"),
        mends=False,
    ),
    Case(
        "no training set",
        lambda i: (i / "set/manifest.json").unlink(),
        ("in/set/manifest.json: no manifest",),
    ),
]

CASES = {
    "sft": SFT,
}


@pytest.fixture(scope="module")
def worlds(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Worlds]:
    with Server(*MODULES) as server:
        yield Worlds(server, tmp_path_factory.mktemp("broken"))


@pytest.mark.parametrize(("stage", "case"), cases(CASES))
def test_what_cannot_be_trained_is_told(worlds: Worlds, stage: str, case: Case) -> None:
    worlds.check(stage, STAGES[stage], case)
