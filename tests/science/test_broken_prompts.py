"""What cannot be prompted: refused in one sentence before any model computes."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from broken_chats import MODULES, anew, eos, sealed, template, write_base
from broken_damage import SECOND, cut, edit, line
from broken_material import Case, Server, Stage, Worlds, cases
from mixmerge.artifacts.manifest import write_manifest
from mixmerge.core.io import write_jsonl

pytestmark = pytest.mark.slow


def write_prompts(folder: Path) -> None:
    write_base(folder)
    rows = [
        {"id": f"s/{n}", "messages": [{"role": "user", "content": f"Add {n}."}], "reference": None}
        for n in range(3)
    ]
    write_jsonl(folder / "s/items.jsonl", rows)
    write_manifest(folder / "s", "suite")


DECODING = {"decoding": {"threads": 1}, "suites": {"s": {"max_new_tokens": 4}}}

STAGES = {
    "generate": Stage(
        "generate.py",
        (
            "--checkpoint",
            "in/base",
            "--suites",
            "s=in/s",
            "--out",
            "out/c",
            "--scratch",
            "out/work",
            "--settings",
            json.dumps(DECODING),
        ),
        write_prompts,
    ),
}

GENERATE = [
    Case(
        "a checkpoint cut off",
        lambda i: cut(i / "base" / SECOND, 9),
        (f"in/base/{SECOND}", "in/base/manifest.json lists"),
    ),
    Case(
        "no tokenizer",
        sealed("base", lambda b: (b / "tokenizer.json").unlink()),
        ("in/base: the tokenizer", "tokenizer_config.json"),
    ),
    Case(
        "no chat template",
        sealed("base", lambda b: (b / "chat_template.jinja").unlink()),
        ("in/base", "chat template"),
        mends=False,
    ),
    Case(
        "a template that refuses",
        template("{{ raise_exception('no such role') }}"),
        ("in/base", "no such role"),
        mends=False,
    ),
    Case(
        "a template that runs on for ever",
        template("{% for i in range(99999) %}{% for j in range(99999) %}x{% endfor %}{% endfor %}"),
        ("in/base",),
        mends=False,
    ),
    Case(
        "another architecture than its weights'",
        sealed(
            "base",
            lambda b: edit(
                b / "config.json",
                lambda c: c.update(model_type="gpt2", architectures=["GPT2LMHeadModel"]),
            ),
        ),
        ("in/base",),
        mends=False,
    ),
    Case(
        "a config that names no known model",
        sealed("base", lambda b: edit(b / "config.json", lambda c: c.update(model_type="qwen99"))),
        ("in/base", "qwen99"),
    ),
    Case(
        "a tensor too few",
        anew(**{"model.norm.weight": None}),
        ("in/base", "model.norm.weight"),
        mends=False,
    ),
    Case(
        "a prompt longer than the context",
        sealed(
            "s",
            lambda s: line(
                s / "items.jsonl",
                2,
                json.dumps({"id": "s/1", "messages": [{"role": "user", "content": "y" * 200}]}),
            ),
        ),
        ("s/1", "128"),
    ),
    Case(
        "a stop token that is none",
        eos(-1),
        ("in/base/generation_config.json: eos_token_id: -1 is no token",),
        mends=False,
    ),
    Case(
        "a suite without items",
        sealed("s", lambda s: (s / "items.jsonl").write_text("\n")),
        ("in/s/items.jsonl: holds no items",),
    ),
]

CASES = {
    "generate": GENERATE,
}


@pytest.fixture(scope="module")
def worlds(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Worlds]:
    with Server(*MODULES) as server:
        yield Worlds(server, tmp_path_factory.mktemp("broken"))


@pytest.mark.parametrize(("stage", "case"), cases(CASES))
def test_what_cannot_be_prompted_is_told(worlds: Worlds, stage: str, case: Case) -> None:
    worlds.check(stage, STAGES[stage], case)
