"""Base checkpoints: copied, checked, published as a whole or not at all."""

import json
from pathlib import Path

import pytest

import checkpoint_material as material
from mixmerge.checkpoint.code import trusts_code
from mixmerge.checkpoint.snapshot import snapshot
from mixmerge.config.models import LocalModel
from mixmerge.errors import UserError
from mixmerge.manifest import read_manifest


@pytest.fixture
def source(tmp_path: Path) -> Path:
    directory = material.write_checkpoint(
        tmp_path / "source", "llama", material.values("llama", 1), shards=2
    )
    (directory / "optimizer.pt").write_bytes(b"junk")
    (directory / "model-00001-of-00002.safetensors").chmod(0o600)
    return directory


def test_local_copy_is_signed_and_repeatable(source: Path, tmp_path: Path) -> None:
    out = tmp_path / "results" / "base"
    out.mkdir(parents=True)  # Snakemake makes the directory before the job
    snapshot("mine", LocalModel(kind="local", path=source), out)
    manifest = read_manifest(out, "checkpoint")
    assert manifest["facts"] == {"architecture": "LlamaForCausalLM", "parameters": 39_904}
    assert "optimizer.pt" not in manifest["files"]
    first = (out / "manifest.json").read_bytes()
    snapshot("mine", LocalModel(kind="local", path=source), out)
    assert (out / "manifest.json").read_bytes() == first
    assert [path.name for path in out.parent.iterdir()] == ["base"]
    # The user's own file keeps its mode.
    assert (source / "model-00001-of-00002.safetensors").stat().st_mode & 0o777 == 0o600


def test_nothing_is_published_of_a_broken_source_and_mending_helps(
    source: Path, tmp_path: Path
) -> None:
    out = tmp_path / "base"
    shard = source / "model-00002-of-00002.safetensors"
    whole = shard.read_bytes()
    shard.write_bytes(whole[:-10])
    with pytest.raises(UserError, match="truncated"):
        snapshot("mine", LocalModel(kind="local", path=source), out)
    assert not out.exists()
    shard.write_bytes(whole)
    snapshot("mine", LocalModel(kind="local", path=source), out)
    read_manifest(out, "checkpoint")


def test_chat_template_of_the_config_replaces_the_checkpoints_own(
    source: Path, tmp_path: Path
) -> None:
    config = json.loads((source / "tokenizer_config.json").read_text())
    (source / "tokenizer_config.json").write_text(json.dumps({**config, "chat_template": "old"}))
    template = tmp_path / "mine.jinja"
    template.write_text("{{ messages }}")
    snapshot(
        "mine", LocalModel(kind="local", path=source, chat_template=template), tmp_path / "base"
    )
    assert (tmp_path / "base" / "chat_template.jinja").read_text() == "{{ messages }}"
    assert "chat_template" not in json.loads(
        (tmp_path / "base" / "tokenizer_config.json").read_text()
    )
    template.write_text("no template")
    with pytest.raises(UserError, match="is no chat template"):
        snapshot(
            "mine", LocalModel(kind="local", path=source, chat_template=template), tmp_path / "b2"
        )


def test_checkpoint_without_chat_template_is_refused(source: Path, tmp_path: Path) -> None:
    (source / "chat_template.jinja").unlink()
    with pytest.raises(UserError, match="name one under `chat_template`"):
        snapshot("mine", LocalModel(kind="local", path=source), tmp_path / "base")


def test_code_of_a_local_directory_is_taken_out_unless_it_is_trusted(
    source: Path, tmp_path: Path
) -> None:
    (source / "modeling.py").write_text("raise SystemExit")
    tokenizer = source / "tokenizer_config.json"
    content = {**json.loads(tokenizer.read_text()), "auto_map": {"AutoTokenizer": ["a.B", None]}}
    tokenizer.write_text(json.dumps(content))
    out = tmp_path / "base"
    snapshot("mine", LocalModel(kind="local", path=source), out)
    assert not trusts_code(out) and not (out / "modeling.py").exists()
    assert (source / "modeling.py").exists() and "auto_map" in tokenizer.read_text()
    snapshot("mine", LocalModel(kind="local", path=source, trust_remote_code=True), out)
    assert trusts_code(out) and (out / "modeling.py").exists()
    (source / "tokenizer.json").unlink()
    with pytest.raises(UserError, match=r"^models\.mine\.trust_remote_code: false, but .* no tok"):
        snapshot("mine", LocalModel(kind="local", path=source), tmp_path / "other")
    assert not (tmp_path / "other").exists()
