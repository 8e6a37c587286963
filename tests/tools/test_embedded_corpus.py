import json
from pathlib import Path

import pytest
from pydantic import ValidationError

from embedded_study.corpus import build_corpus
from mixmerge.checkpoint.settings import EmbeddedModel
from mixmerge.core.errors import UserError
from mixmerge.data.settings import CorpusSettings

SMALL = CorpusSettings(pretrain_items=150, train_items=80, validation_items=15, test_items=20)
KEYS = {
    "task_id", "prompt", "entry_point", "canonical_solution", "test", "contract", "base_input",
    "atol", "plus_input",
}  # fmt: skip


@pytest.fixture(scope="module")
def corpus(tmp_path_factory):
    out = tmp_path_factory.mktemp("corpus")
    build_corpus(out, SMALL, 7)
    return out


def rows(path: Path) -> list[dict]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def bodies(corpus: Path, *names: str) -> set[str]:
    """What the functions of these parts compute, whatever they and their variables are called."""
    found = set()
    for name in names:
        for row in rows(corpus / f"{name}.jsonl"):
            chat = [message["content"] for message in row.get("messages", [])]
            texts = [
                row.get("context", "") + row.get("text", ""),
                row.get("solution"),
                row.get("code"),
                *chat,
            ]
            if "canonical_solution" in row:
                texts.append(row["prompt"] + row["canonical_solution"])
            for text in filter(None, texts):
                lines = [line for line in text.splitlines() if line.startswith("    ")]
                code = "\n".join(line for line in lines if '"""' not in line)
                if "return " in code:
                    found.add(code)
    return found


def test_same_seed_same_bytes(corpus, tmp_path):
    build_corpus(tmp_path, SMALL, 7)
    names = sorted(path.name for path in corpus.iterdir())
    assert names == sorted(path.name for path in tmp_path.iterdir())
    assert all((corpus / name).read_bytes() == (tmp_path / name).read_bytes() for name in names)


def test_another_seed_gives_another_corpus(corpus, tmp_path):
    build_corpus(tmp_path, SMALL, 8)
    name = "problems-test.jsonl"
    assert (corpus / name).read_bytes() != (tmp_path / name).read_bytes()


def test_sizes_and_columns(corpus):
    sizes = {path.stem: len(rows(path)) for path in corpus.iterdir()}
    assert sizes == {
        "pretrain": 150, "codegen-train": 80, "codesum-train": 80, "problems-validation": 15,
        "problems-test": 20, "codesum-validation": 15, "codesum-test": 20,
    }  # fmt: skip
    assert all(
        set(row) == {"id", "problem", "solution"} for row in rows(corpus / "codegen-train.jsonl")
    )
    assert all(
        set(row) == {"id", "code", "docstring"} for row in rows(corpus / "codesum-test.jsonl")
    )
    assert all(set(row) == KEYS for row in rows(corpus / "problems-test.jsonl"))


def test_no_function_of_a_suite_was_trained_on(corpus):
    seen = bodies(corpus, "pretrain", "codegen-train", "codesum-train")
    suites = bodies(
        corpus, "problems-test", "problems-validation", "codesum-test", "codesum-validation"
    )
    assert len(seen) > 200 and len(suites) > 60
    assert not seen & suites


def test_a_directory_in_use_is_refused(corpus):
    with pytest.raises(UserError, match="empty directory"):
        build_corpus(corpus, SMALL, 7)


def test_more_items_than_the_grammar_has_is_a_clear_message(tmp_path, monkeypatch):
    monkeypatch.setattr("embedded_study.corpus._ATTEMPTS", 3)
    with pytest.raises(UserError, match="ask for fewer items"):
        build_corpus(tmp_path, SMALL.model_copy(update={"test_items": 100_000}), 7)


@pytest.mark.parametrize(
    ("field", "value", "message"),
    [
        ("heads", 3, "multiple of 2 x heads"),
        ("kv_heads", 3, "does not divide heads"),
        ("batch_tokens", 100, "less than context"),
        ("hiden_size", 64, "did you mean 'hidden_size'"),
    ],
)
def test_a_model_of_impossible_shape_is_refused(field, value, message):
    with pytest.raises(ValidationError, match=message):
        EmbeddedModel(architecture="qwen2", **{field: value})
