"""Base checkpoints: copied, checked, published as a whole or not at all."""

import json
from pathlib import Path

import pytest
from pydantic import ValidationError

import checkpoint_material as material
from mixmerge.artifacts.manifest import read_manifest
from mixmerge.checkpoint.code import code_digest, names_code, trusts_code
from mixmerge.checkpoint.snapshot import snapshot
from mixmerge.checkpoint.tokenizer import load_tokenizer
from mixmerge.config.models import HubModel, LocalModel
from mixmerge.core.errors import UserError


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


@pytest.mark.parametrize("name", ["tokenizer.model", "vocab.json"])
def test_a_tokenizer_that_cannot_be_read_here_is_told_now(
    source: Path, tmp_path: Path, name: str
) -> None:
    """Not after the checkpoint was published, by the first job that trains."""
    (source / "tokenizer.json").rename(source / name)
    with pytest.raises(
        UserError, match=r"make a tokenizer\.json of its files once, .*\(kind 'local'"
    ):
        snapshot("mine", LocalModel(kind="local", path=source), tmp_path / "base")
    assert not list(tmp_path.glob("*base*"))
    (source / name).rename(source / "tokenizer.json")
    snapshot("mine", LocalModel(kind="local", path=source), tmp_path / "base")


def names_own_tokenizer(directory: Path, name: object = ("a.B", None)) -> Path:
    """Give a checkpoint code of its own; the code says so where it is run."""
    (directory / "a.py").write_text(f"open({str(directory / 'RAN')!r}, 'w')\nclass B: pass\n")
    tokenizer = directory / "tokenizer_config.json"
    content = {**json.loads(tokenizer.read_text()), "auto_map": {"AutoTokenizer": name}}
    tokenizer.write_text(json.dumps(content))
    return tokenizer


def local(path: Path, **settings: object) -> LocalModel:
    return LocalModel.model_validate({"kind": "local", "path": path, **settings})


def test_code_of_a_local_directory_is_taken_out_unless_its_digest_is_named(
    source: Path, tmp_path: Path
) -> None:
    tokenizer = names_own_tokenizer(source)
    out = tmp_path / "base"
    snapshot("mine", local(source), out)
    assert not trusts_code(out) and not (out / "a.py").exists()
    assert (source / "a.py").exists() and "auto_map" in tokenizer.read_text()
    digest = code_digest(source)
    snapshot("mine", local(source, trust_remote_code=digest), out)
    assert trusts_code(out) and (out / "a.py").exists()
    assert read_manifest(out)["files"]["remote_code.json"]
    (source / "tokenizer.json").unlink()
    said = r"^models\.mine\.trust_remote_code: not set, but .* no tokenizer\.json\); read its .* "
    with pytest.raises(UserError, match=said + digest):
        snapshot("mine", local(source), tmp_path / "other")
    assert not (tmp_path / "other").exists()
    assert not (source / "RAN").exists()


def test_the_digest_stands_for_the_very_code(source: Path, tmp_path: Path) -> None:
    names_own_tokenizer(source)
    allowed = code_digest(source)
    out = tmp_path / "base"
    snapshot("mine", local(source, trust_remote_code=allowed), out)
    (source / "a.py").write_text("another")
    (source / "b.py").write_text("more")
    with pytest.raises(UserError, match=f"allows {allowed}, but the code there is another.*SHA-2"):
        snapshot("mine", local(source, trust_remote_code=allowed), tmp_path / "other")
    # What was changed after it was published does not run either.
    (out / "a.py").write_text("another")
    with pytest.raises(UserError, match=r"names code of its own .* which was changed since"):
        trusts_code(out)


def test_a_directory_does_not_vouch_for_itself(source: Path, tmp_path: Path) -> None:
    names_own_tokenizer(source)
    with pytest.raises(UserError, match="which no model's entry allowed"):
        load_tokenizer(source)
    record = {"allowed": "a" * 40, "sha256": code_digest(source)}
    (source / "remote_code.json").write_text(json.dumps(record))
    out = tmp_path / "base"
    snapshot("mine", local(source), out)
    assert not (out / "remote_code.json").exists() and not names_code(out)
    with pytest.raises(UserError, match="but the code there is another"):
        snapshot("mine", local(source, trust_remote_code="0" * 64), out)
    assert not (source / "RAN").exists()


@pytest.mark.parametrize("name", ["someone/other--a.B", ["someone/other--a.B", None]])
@pytest.mark.parametrize("trusted", [False, True])
def test_code_of_another_repository_is_refused_even_where_code_is_trusted(
    source: Path, tmp_path: Path, name: object, trusted: bool
) -> None:
    names_own_tokenizer(source, name)
    allowed = {"trust_remote_code": code_digest(source)} if trusted else {}
    if not trusted:  # with a tokenizer.json it is taken out like other code
        (source / "tokenizer.json").unlink()
    with pytest.raises(UserError) as caught:
        snapshot("mine", local(source, **allowed), tmp_path / "base")
    message = str(caught.value)
    assert ("is code of another repository" in message) == trusted
    assert message.startswith("models.mine")


def test_kernels_of_the_hub_are_refused(source: Path, tmp_path: Path) -> None:
    config = source / "config.json"
    content = json.loads(config.read_text()) | {"attn_implementation": "someone/flash"}
    for given in (content, {**content, "attn_implementation": "eager", "text_config": [content]}):
        config.write_text(json.dumps(given))
        with pytest.raises(UserError, match=r"config.json: attn_implementation: 'someone/flash' i"):
            snapshot("mine", local(source), tmp_path / "base")


@pytest.mark.parametrize("value", [True, "main", "yes", "a" * 41, 1, ["a" * 40]])
def test_trust_names_the_code_or_is_refused(value: object) -> None:
    hub = {"kind": "hub", "id": "a/b", "revision": "a" * 40}
    for kind, given in ((HubModel, hub), (LocalModel, {"kind": "local", "path": "p"})):
        with pytest.raises(ValidationError, match=r"name the (commit|SHA-256) .*or leave it out"):
            kind.model_validate({**given, "trust_remote_code": value})
        assert kind.model_validate({**given, "trust_remote_code": False}).trust_remote_code is None


def test_trust_does_not_go_along_to_another_revision() -> None:
    given = {"kind": "hub", "id": "a/b", "trust_remote_code": "a" * 40}
    assert HubModel.model_validate({**given, "revision": "a" * 40}).trust_remote_code
    for other in ({"revision": "b" * 40}, {"revision": "main", "allow_moving": True}):
        with pytest.raises(ValidationError, match="was read and allowed, but `revision` is"):
            HubModel.model_validate({**given, **other})
