"""Base checkpoints: copied, checked, published as a whole or not at all."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

import checkpoint_material as material
from mixmerge.checkpoint.snapshot import snapshot
from mixmerge.config.models import HubModel, LocalModel
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
    snapshot(LocalModel(kind="local", path=source), out)
    manifest = read_manifest(out, "checkpoint")
    assert manifest["facts"] == {"architecture": "LlamaForCausalLM", "parameters": 39_904}
    assert "optimizer.pt" not in manifest["files"]
    first = (out / "manifest.json").read_bytes()
    snapshot(LocalModel(kind="local", path=source), out)
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
        snapshot(LocalModel(kind="local", path=source), out)
    assert not out.exists()
    shard.write_bytes(whole)
    snapshot(LocalModel(kind="local", path=source), out)
    read_manifest(out, "checkpoint")


def test_chat_template_of_the_config_replaces_the_checkpoints_own(
    source: Path, tmp_path: Path
) -> None:
    config = json.loads((source / "tokenizer_config.json").read_text())
    (source / "tokenizer_config.json").write_text(json.dumps({**config, "chat_template": "old"}))
    template = tmp_path / "mine.jinja"
    template.write_text("{{ messages }}")
    snapshot(LocalModel(kind="local", path=source, chat_template=template), tmp_path / "base")
    assert (tmp_path / "base" / "chat_template.jinja").read_text() == "{{ messages }}"
    assert "chat_template" not in json.loads(
        (tmp_path / "base" / "tokenizer_config.json").read_text()
    )
    template.write_text("no template")
    with pytest.raises(UserError, match="is no chat template"):
        snapshot(LocalModel(kind="local", path=source, chat_template=template), tmp_path / "b2")


def test_checkpoint_without_chat_template_is_refused(source: Path, tmp_path: Path) -> None:
    (source / "chat_template.jinja").unlink()
    with pytest.raises(UserError, match="name one under `chat_template`"):
        snapshot(LocalModel(kind="local", path=source), tmp_path / "base")


def test_hub_without_connection_is_one_message(root: Path, tmp_path: Path) -> None:
    settings = HubModel(kind="hub", id="Qwen/Qwen2.5-Coder-1.5B-Instruct", revision="abc")
    done = subprocess.run(
        [
            sys.executable,
            str(root / "workflow/scripts/snapshot.py"),
            "--settings",
            settings.model_dump_json(),
            "--out",
            str(tmp_path / "base"),
        ],
        env={**os.environ, "HF_HUB_OFFLINE": "1"},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 1
    assert done.stderr.startswith("error: https://huggingface.co/Qwen/Qwen2.5-Coder-1.5B-Instruct")
    assert "Traceback" not in done.stderr
    assert "kind 'local'" in done.stderr
    assert not (tmp_path / "base").exists()
