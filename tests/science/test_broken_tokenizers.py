"""Broken configs and tokenizers of checkpoints: refused in one sentence where they come in."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from broken_damage import cut, edit
from broken_material import Case, Server, Stage, Worlds, cases
from fixtures import checkpoints as material

pytestmark = pytest.mark.slow


def write_given(folder: Path) -> None:
    """A base checkpoint in two shards, as a user brings it."""
    material.write_checkpoint(folder / "given", "qwen2", material.values("qwen2", 1), shards=2)


SETTINGS = json.dumps({"kind": "local", "path": "in/given"})

STAGES = {
    "snapshot": Stage(
        "snapshot.py",
        ("--model", "m", "--settings", SETTINGS, "--out", "out/base"),
        write_given,
    ),
}

G = "in/given"

SNAPSHOT = [
    Case(
        "no config", lambda i: (i / "given/config.json").unlink(), ("config.json: file not found",)
    ),
    Case(
        "broken config",
        lambda i: cut(i / "given/config.json", 9),
        ("config.json:1:", "not valid JSON"),
    ),
    Case(
        "a config that is a list",
        lambda i: (i / "given/config.json").write_text("[]"),
        ("config.json", "list"),
    ),
    Case(
        "a config in another encoding",
        lambda i: (i / "given/config.json").write_bytes('{"a": "é"}'.encode("utf-16")),
        ("config.json", "not UTF-8"),
    ),
    Case(
        "no tokenizer",
        lambda i: (i / "given/tokenizer.json").unlink(),
        ("holds no tokenizer", "copy the base model's tokenizer files there"),
    ),
    Case(
        "broken tokenizer",
        lambda i: cut(i / "given/tokenizer.json", 99),
        ("tokenizer.json", "not valid JSON"),
    ),
    Case(
        "a tokenizer without a model",
        lambda i: edit(i / "given/tokenizer.json", lambda c: c.pop("model")),
        ("tokenizer.json: holds no tokenizer model",),
    ),
    Case(
        "no chat template",
        lambda i: (i / "given/chat_template.jinja").unlink(),
        ("no chat template", "`chat_template`"),
    ),
    Case(
        "a broken tokenizer config",
        lambda i: cut(i / "given/tokenizer_config.json", 5),
        ("tokenizer_config.json", "not valid JSON"),
    ),
]

CASES = {
    "snapshot": SNAPSHOT,
}

MODULES = ("numpy", "mixmerge.checkpoint.snapshot")


@pytest.fixture(scope="module")
def worlds(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Worlds]:
    with Server(*MODULES) as server:
        yield Worlds(server, tmp_path_factory.mktemp("broken"))


@pytest.mark.parametrize(("stage", "case"), cases(CASES))
def test_a_broken_config_or_tokenizer_is_told_and_the_mended_goes_on(
    worlds: Worlds, stage: str, case: Case
) -> None:
    worlds.check(stage, STAGES[stage], case)
