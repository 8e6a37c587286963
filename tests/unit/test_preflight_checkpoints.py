"""Preflight on checkpoints: their own files, and specialists against their base."""

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import checkpoint_material
import preflight_material as material
from mixmerge.checkpoint.finalize import finalize
from mixmerge.preflight.tokenizer import LightTokenizer
from preflight_material import one_error

Config = dict[str, Any]


@pytest.fixture
def config(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Config:
    monkeypatch.chdir(tmp_path)
    return material.sound(tmp_path)


def rewrite(model: str, family: str, seed: int = 1, **changed: Any) -> Path:
    """Write a model's checkpoint anew, its config changed."""
    folder = Path("given", model)
    shutil.rmtree(folder)
    return checkpoint_material.write_checkpoint(
        folder, family, checkpoint_material.values(family, seed), **changed
    )


@pytest.mark.parametrize(
    ("model", "changed", "words"),
    [
        ("tied", {"vocab_size": 300}, ["vocab_size is 300", "has 260 rows"]),
        ("tied", {"vocab_size": "many"}, ["vocab_size is 'many'", "has 260 rows"]),
        ("tied", {"tie_word_embeddings": False}, ["tie_word_embeddings is false", "lm_head"]),
        ("untied", {"max_position_embeddings": 32}, ["max_position_embeddings is 32", "64"]),
    ],
)
def test_configs_that_do_not_fit_their_weights(
    config: Config, model: str, changed: Config, words: list[str]
) -> None:
    family = "qwen2" if model == "tied" else "llama"
    file = rewrite(model, family, **changed) / "config.json"
    one_error(config, str(file), *words)


def test_a_tokenizer_with_more_tokens_than_rows(config: Config) -> None:
    file = Path("given/tied/tokenizer.json")
    content = json.loads(file.read_text())
    content["added_tokens"].append({**content["added_tokens"][0], "id": 260, "content": "<more>"})
    file.write_text(json.dumps(content))
    assert len(LightTokenizer(file.parent)) == 261
    one_error(config, f"{file}: 261 tokens", "only 260 rows")


def test_broken_checkpoints(config: Config) -> None:
    weights = Path("given/tied/model.safetensors")
    whole = weights.read_bytes()
    weights.write_bytes(whole[:-10])
    one_error(config, f"{weights}: truncated")
    weights.unlink()
    Path("given/tied/pytorch_model.bin").write_bytes(b"x")
    one_error(config, "given/tied: holds", "pickle")
    weights.write_bytes(whole)
    Path("given/tied/tokenizer.json").write_text("{")
    found = material.errors(material.looked(config))
    assert found and all("given/tied/tokenizer.json" in line for line in found)


def test_side_files_that_are_no_objects(config: Config) -> None:
    file = Path("given/tied/special_tokens_map.json")
    file.write_text("[1]")
    one_error(config, f"{file}: expected a JSON object, found list")


def test_a_count_of_parameters_that_is_another_models(config: Config) -> None:
    config["models"]["tied"]["parameters"] = 7_000_000_000
    [found] = material.warnings(material.looked(config))
    assert "models.tied.parameters: 7,000,000,000, but given/tied has" in found
    del config["models"]["tied"]["parameters"]
    [found] = material.warnings(material.looked(config))
    assert "models.tied.parameters: missing" in found and "write 31_776" in found


def test_an_architecture_that_is_not_known(config: Config) -> None:
    rewrite("untied", "llama", model_type="llamma")
    [found] = material.warnings(material.looked(config))
    assert "model_type 'llamma' has no folder of its own" in found
    assert "models.untied.trust_remote_code" in found


def publish(name: str, arrays: dict[str, np.ndarray], **changed: Any) -> Path:
    """A base or specialist of the model `untied`, as its rule publishes it."""
    folder = Path("results/checked/checkpoints/untied", name)
    checkpoint_material.write_checkpoint(folder, "llama", arrays, **changed)
    return folder


def test_specialists_against_their_base(config: Config) -> None:
    base = checkpoint_material.values("llama", 1)
    finalize(publish("base", base), inputs=[], settings=None, seed=None, packages=[])
    good = publish("sft-codegen-p100", checkpoint_material.moved(base, 2))
    finalize(good, inputs=[], settings=None, seed=None, packages=[])
    areas = material.looked(config)
    assert not material.errors(areas)
    assert "untied/sft-codegen-p100 like its base" in areas["models"].checked

    other = publish("sft-codesum-p100", checkpoint_material.moved(base, 3), rope_theta=5e5)
    finalize(other, inputs=[], settings=None, seed=None, packages=[])
    one_error(config, f"{other / 'config.json'}: rope_theta is 500000.0, but 10000.0")
    shutil.rmtree(other)
    publish("sft-codesum-p100", checkpoint_material.moved(base, 3))
    checkpoint_material.write_tokenizer(other, shift=7)
    finalize(other, inputs=[], settings=None, seed=None, packages=[])
    one_error(config, f"{other / 'tokenizer.json'}: vocabulary: token")
    shutil.rmtree(other)
    arrays = {k: v for k, v in checkpoint_material.moved(base, 3).items() if k != "lm_head.weight"}
    finalize(publish("sft-codesum-p100", arrays), inputs=[], settings=None, seed=None, packages=[])
    one_error(config, f"{other}: lacks tensor 'lm_head.weight'")


def test_gguf_files(config: Config) -> None:
    Path("m.gguf").write_bytes(b"GGUF" + bytes(60))
    config["models"]["small"] = {"kind": "gguf", "path": "m.gguf", "sha256": "0" * 64}
    one_error(config, "models.small.sha256: m.gguf has ", "not 0000")
    Path("m.gguf").write_bytes(b"PK\x03\x04")
    one_error(config, "models.small.path: m.gguf is no GGUF file")
