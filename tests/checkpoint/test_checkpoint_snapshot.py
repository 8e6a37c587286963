"""Base checkpoints of this machine: copied, checked, published as a whole or not at all."""

import json
import pickle
import shlex
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from fixtures import sft_studies
from fixtures.checkpoints import edit, values, write_checkpoint, write_tokenizer
from mixmerge.artifacts.manifest import read_manifest
from mixmerge.checkpoint.index import SINGLE
from mixmerge.checkpoint.settings import HubCheckpoint, LocalCheckpoint
from mixmerge.checkpoint.side_files import code_digest, names_code, trusts_code
from mixmerge.checkpoint.snapshot import snapshot
from mixmerge.checkpoint.tokenizer import load_chat, load_tokenizer, stop_tokens
from mixmerge.core.errors import UserError
from mixmerge.sft.job import Job
from mixmerge.sft.settings import Sft


@pytest.fixture
def source(tmp_path: Path) -> Path:
    return write_checkpoint(tmp_path / "source", "llama", values("llama", 1))


def publish(source: Path, out: Path, **settings: Any) -> Path:
    snapshot("mine", LocalCheckpoint(kind="local", path=source, **settings), out)
    return out


def refusal(source: Path, out: Path, **settings: Any) -> str:
    """The message; nothing was published or left behind."""
    before = sorted(out.parent.iterdir())
    with pytest.raises(UserError) as caught:
        publish(source, out, **settings)
    assert sorted(out.parent.iterdir()) == before
    message = str(caught.value)
    assert "\n" not in message and len(message) < 900
    return message


def test_a_copy_has_a_manifest_and_is_repeatable(tmp_path: Path) -> None:
    source = write_checkpoint(tmp_path / "source", "llama", values("llama", 1), shards=2)
    shard = source / "model-00001-of-00002.safetensors"
    (source / "optimizer.pt").write_bytes(b"junk")
    shard.chmod(0o600)
    out = tmp_path / "results" / "base"
    out.mkdir(parents=True)  # Snakemake makes the directory before the job
    manifest = read_manifest(publish(source, out), "checkpoint")
    assert manifest["facts"] == {"architecture": "LlamaForCausalLM", "parameters": 39_904}
    assert "optimizer.pt" not in manifest["files"]
    first = (out / "manifest.json").read_bytes()
    assert (publish(source, out) / "manifest.json").read_bytes() == first
    assert [path.name for path in out.parent.iterdir()] == ["base"]
    # The user's own file keeps its mode.
    assert shard.stat().st_mode & 0o777 == 0o600


def test_chat_template_of_the_config_replaces_the_checkpoints_own(
    source: Path, tmp_path: Path
) -> None:
    edit(source / "tokenizer_config.json", chat_template="old")
    template = tmp_path / "mine.jinja"
    template.write_text("{{ messages }}")
    out = publish(source, tmp_path / "base", chat_template=template)
    assert (out / "chat_template.jinja").read_text() == "{{ messages }}"
    assert "chat_template" not in json.loads((out / "tokenizer_config.json").read_text())
    template.write_text("no template")
    assert "is no chat template" in refusal(source, tmp_path / "b2", chat_template=template)
    template.unlink()
    assert "file not found; it is a" in refusal(source, tmp_path / "b2", chat_template=template)
    (source / "chat_template.jinja").unlink()
    edit(source / "tokenizer_config.json", chat_template=None)
    assert "name one under `chat_template`" in refusal(source, tmp_path / "b2")


def test_a_tokenizer_that_cannot_be_read_here_is_refused_now(source: Path, tmp_path: Path) -> None:
    """Not after the checkpoint was published, by the first job that trains."""
    for old, new in (("tokenizer.json", "tokenizer.model"), ("tokenizer.model", "vocab.json")):
        (source / old).rename(source / new)
        message = refusal(source, tmp_path / "base")
        assert "make a tokenizer.json of its files once, " in message
        assert "(kind 'local')" in message


@pytest.mark.parametrize("content", ["[" * 100_000, '{"eos_token_id": ' + "9" * 5000 + "}"])
@pytest.mark.parametrize("name", ["config.json", "tokenizer_config.json", "tokenizer.json"])
def test_bombs_in_json(source: Path, tmp_path: Path, name: str, content: str) -> None:
    (source / name).write_text(content)
    refusal(source, tmp_path / "base")


class Bomb:
    """Unpickling one makes a file."""

    def __init__(self, canary: Path) -> None:
        self.canary = canary

    def __reduce__(self) -> tuple[Any, ...]:
        return open, (str(self.canary), "w")


def write_pickle(path: Path, canary: Path) -> None:
    import torch

    torch.save({"lm_head.weight": torch.zeros(2), "extra": Bomb(canary)}, path)


@pytest.mark.parametrize(
    ("name", "way"),
    [
        ("pytorch_model.bin", "save_pretrained('OUT')"),
        ("last.ckpt", "save_pretrained('OUT')"),
        ("w.pkl", "save_pretrained('OUT')"),
        ("pytorch_model-00001-of-00002.bin", "save_pretrained('OUT')"),
        ("consolidated.00.pth", "that its authors publish for transformers"),
        ("adapter_model.bin", "merge the adapter"),
        ("optimizer.pt", "name the model's own"),
    ],
)
def test_pickles_are_refused_or_left_where_they_are_and_never_opened(
    source: Path, tmp_path: Path, name: str, way: str
) -> None:
    pickle.loads(pickle.dumps(Bomb(tmp_path / "canary")))
    (tmp_path / "canary").unlink()  # the bomb goes off where it is unpickled
    write_pickle(source / name, tmp_path / "canary")
    assert name not in read_manifest(publish(source, tmp_path / "beside"))["files"]
    (source / SINGLE).unlink()
    message = refusal(source, tmp_path / "base")
    assert message.startswith(f"{source}: holds no safetensors weights, only pickles ({name})")
    assert way in message
    (source / name).rename(source / SINGLE)
    assert f"{SINGLE}: is no safetensors file whatever its name" in refusal(source, tmp_path / "b")
    assert not (tmp_path / "canary").exists()


@pytest.mark.parametrize("what", ["pickle", "code"])
def test_no_loader_falls_back_to_a_pickle_or_to_code(
    source: Path, tmp_path: Path, what: str
) -> None:
    """A recipe by hand may name any directory; only what a model's entry allowed runs."""
    from mixmerge.evaluate.engines import load_model
    from mixmerge.merge.execution import merge

    canary = tmp_path / "canary"
    if what == "pickle":
        (source / SINGLE).unlink()
        write_pickle(source / "pytorch_model.bin", canary)
    else:
        (source / "own.py").write_text(f"open({str(canary)!r}, 'w')\nclass C: pass\n")
        edit(source / "config.json", auto_map={"AutoConfig": "own.C"})
    match = {"pickle": "safetensors", "code": rf"{source}: its config names code of its own"}[what]
    with pytest.raises(UserError, match=match):
        load_model(source, "float32", "cpu")
    fine = write_checkpoint(tmp_path / "fine", "llama", values("llama", 1))
    recipe = tmp_path / "recipe.yaml"
    for first, second in ((fine, source), (source, fine)):
        models = "".join(f"- model: {m}\n  parameters: {{weight: 1.0}}\n" for m in (first, second))
        recipe.write_text(f"merge_method: linear\nmodels:\n{models}dtype: float32\n")
        with pytest.raises(UserError, match=match):
            merge(recipe, tmp_path / "merged", seed=1, shard_bytes=10**9)
    assert not canary.exists()


@pytest.mark.slow
def test_the_way_to_convert_is_one_that_works(source: Path, tmp_path: Path) -> None:
    """The command of the message, on a real checkpoint of torch's: what it writes is accepted."""
    import torch
    from safetensors.torch import load_file

    tensors = load_file(source / SINGLE)
    (source / SINGLE).unlink()
    torch.save(tensors, source / "pytorch_model.bin")
    message = refusal(source, tmp_path / "base")
    command = message.split("your files: ")[1].split(", copy the tokenizer")[0]
    converted = tmp_path / "converted"
    words = shlex.split(command.replace("'IN'", f"'{source}'").replace("'OUT'", f"'{converted}'"))
    subprocess.run([sys.executable, *words[1:]], check=True, capture_output=True)
    for path in source.glob("*"):
        if path.name.startswith(("tokenizer", "chat_template", "generation_config")):
            (converted / path.name).write_bytes(path.read_bytes())
    written = load_file(publish(converted, tmp_path / "base") / SINGLE)
    assert set(written) == set(tensors)
    assert all(torch.equal(written[name], tensors[name]) for name in tensors)


def names_own_tokenizer(directory: Path, name: object = ("a.B", None)) -> None:
    """Give a checkpoint code of its own; the code says so where it is run."""
    (directory / "a.py").write_text(f"open({str(directory / 'RAN')!r}, 'w')\nclass B: pass\n")
    edit(directory / "tokenizer_config.json", auto_map={"AutoTokenizer": name})


def test_code_is_taken_out_unless_its_digest_is_named(source: Path, tmp_path: Path) -> None:
    names_own_tokenizer(source)
    out = publish(source, tmp_path / "base")
    assert not trusts_code(out) and not (out / "a.py").exists()
    assert (source / "a.py").exists() and names_code(source)
    digest = code_digest(source)
    publish(source, out, trust_remote_code=digest)
    assert trusts_code(out) and (out / "a.py").exists()
    assert read_manifest(out)["files"]["remote_code.json"]
    # What was changed after it was published does not run.
    (out / "a.py").write_text("another")
    with pytest.raises(UserError, match=r"names code of its own .* which was changed since"):
        trusts_code(out)
    (source / "tokenizer.json").unlink()
    message = refusal(source, tmp_path / "other")
    assert message.startswith("models.mine.trust_remote_code: not set, but ")
    assert "no tokenizer.json); read its " in message and digest in message
    (source / "b.py").write_text("more")
    message = refusal(source, tmp_path / "other", trust_remote_code=digest)
    assert f"allows {digest}, but the code there is another" in message
    assert not (source / "RAN").exists()


def test_a_directory_does_not_vouch_for_itself(source: Path, tmp_path: Path) -> None:
    names_own_tokenizer(source)
    with pytest.raises(UserError, match="which no model's entry allowed"):
        load_tokenizer(source)
    record = {"allowed": "a" * 40, "sha256": code_digest(source)}
    (source / "remote_code.json").write_text(json.dumps(record))
    out = publish(source, tmp_path / "base")
    assert not (out / "remote_code.json").exists() and not names_code(out)
    assert not (source / "RAN").exists()


def test_code_of_another_repository_is_refused_even_where_code_is_trusted(
    source: Path, tmp_path: Path
) -> None:
    for name in ("someone/other--a.B", ["someone/other--a.B", None]):
        names_own_tokenizer(source, name)
        message = refusal(source, tmp_path / "base", trust_remote_code=code_digest(source))
        assert message.startswith("models.mine: ") and "is code of another repository" in message
    assert not names_code(publish(source, tmp_path / "base"))
    kernel = {"attn_implementation": "someone/flash"}
    for config in (kernel, {"attn_implementation": "eager", "text_config": [kernel]}):
        edit(source / "config.json", **config)
        message = refusal(source, tmp_path / "other")
        assert "config.json: attn_implementation: 'someone/flash' is compiled code" in message


CODE = """
from transformers import LlamaConfig, LlamaForCausalLM

class OwnConfig(LlamaConfig):
    model_type = "never-heard-of"

class OwnForCausalLM(LlamaForCausalLM):
    config_class = OwnConfig
"""


@pytest.mark.slow
def test_own_code_reaches_every_loader(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from transformers import dynamic_module_utils

    from mixmerge.evaluate.engines import load_model
    from mixmerge.merge.execution import merge
    from mixmerge.sft.stage import fine_tune

    monkeypatch.setattr(dynamic_module_utils, "HF_MODULES_CACHE", str(tmp_path / "modules"))
    source = sft_studies.write_base(tmp_path / "source", "llama")
    (source / "own.py").write_text(CODE)
    names = {"AutoConfig": "own.OwnConfig", "AutoModelForCausalLM": "own.OwnForCausalLM"}
    kind = {"model_type": "never-heard-of", "architectures": ["OwnForCausalLM"]}
    edit(source / "config.json", **kind, auto_map=names)
    tuned, merged, digest = tmp_path / "tuned", tmp_path / "merged", code_digest(source)
    message = refusal(source, tmp_path / "base")
    assert message.startswith("models.mine.trust_remote_code: not set") and digest in message
    base = publish(source, tmp_path / "base", trust_remote_code=digest)

    data = sft_studies.write_set(tmp_path / "set", 12, 4)
    changed = {"max_steps": 2, "packing": False, "evaluations": 1}
    settings = Sft.model_validate({**sft_studies.SETTINGS, **changed})
    scratch = tmp_path / "scratch"
    fine_tune(Job(base=base, data=data, out=tuned, scratch=scratch, settings=settings, seed=1))
    assert (tuned / "own.py").read_text() == CODE

    other = shutil.copytree(tuned, tmp_path / "other")
    models = [{"model": str(path), "parameters": {"weight": 0.5}} for path in (tuned, other)]
    recipe = tmp_path / "recipe.yaml"
    recipe.write_text(json.dumps({"merge_method": "linear", "models": models, "dtype": "float32"}))
    merge(recipe, merged, seed=1, shard_bytes=100_000_000)
    assert (merged / "own.py").read_text() == CODE
    assert type(load_model(merged, "float32", "cpu")).__name__ == "OwnForCausalLM"


HUB = {"kind": "hub", "id": "a/b", "revision": "a" * 40}


@pytest.mark.parametrize("value", [True, "main", "yes", "a" * 41, 0, 1, ["a" * 40]])
def test_trust_names_the_code_or_is_refused(value: object) -> None:
    for kind, entry in ((HubCheckpoint, HUB), (LocalCheckpoint, {"kind": "local", "path": "p"})):
        with pytest.raises(ValidationError, match=r"name the (commit|SHA-256) .*or leave it out"):
            kind.model_validate({**entry, "trust_remote_code": value})
        assert kind.model_validate({**entry, "trust_remote_code": False}).trust_remote_code is None


def test_a_commit_is_no_digest_of_a_local_models_code() -> None:
    with pytest.raises(ValidationError, match="or leave it out"):
        LocalCheckpoint.model_validate(
            {"kind": "local", "path": "p", "trust_remote_code": "a" * 40}
        )


def test_trust_does_not_go_along_to_another_revision() -> None:
    entry = {**HUB, "trust_remote_code": "a" * 40}
    assert HubCheckpoint.model_validate(entry).trust_remote_code
    for other in ({"revision": "b" * 40}, {"revision": "m", "allow_moving": True}):
        with pytest.raises(ValidationError, match="was read and allowed, but `revision` is"):
            HubCheckpoint.model_validate({**entry, **other})


SIZES = {
    "hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 2, "num_attention_heads": 4,
    "num_key_value_heads": 2, "head_dim": 8, "vocab_size": 260, "pad_token_id": 256,
    "bos_token_id": None, "eos_token_id": 256,
}  # fmt: skip
OLD_SIZES = {"n_embd": 32, "n_layer": 2, "n_head": 4, "vocab_size": 260, "eos_token_id": 256}
#: What lies about in real directories and repositories.
BESIDE = ("README.md", ".gitattributes", "LICENSE", "training_args.bin", "optimizer.pt")


@pytest.mark.parametrize("family", ["llama", "qwen2", "qwen3", "gemma", "phi3", "gpt2"])
def test_what_transformers_saves_is_taken_as_it_is(tmp_path: Path, family: str) -> None:
    import torch
    from transformers import AutoConfig, AutoModelForCausalLM

    sizes: dict[str, Any] = OLD_SIZES if family == "gpt2" else SIZES
    config = AutoConfig.for_model(family, **sizes)
    sharded = family in ("llama", "qwen3", "gemma")
    if sharded:
        config.tie_word_embeddings = True
    dtype = torch.bfloat16 if sharded else torch.float32
    model = AutoModelForCausalLM.from_config(config, dtype=dtype)
    source = tmp_path / "with blanks, é" / "source"
    model.save_pretrained(source, max_shard_size="20KB" if sharded else "5GB")
    assert (source / "model.safetensors.index.json").exists() == sharded
    write_tokenizer(source)
    for name in BESIDE:
        (source / name).write_bytes(b"{}")
    out = publish(source, tmp_path / "base")
    assert stop_tokens(out, load_chat(out)) == [256]
    again = AutoModelForCausalLM.from_pretrained(out, dtype="auto").state_dict()
    held = model.state_dict()
    assert held.keys() == again.keys()
    assert all(torch.equal(held[name], again[name]) for name in held)
    assert not {path.name for path in out.iterdir()} & set(BESIDE)


def test_the_hubs_cache_of_links_and_a_directory_that_may_not_be_written(tmp_path: Path) -> None:
    plain = write_checkpoint(tmp_path / "plain", "llama", values("llama", 1), shards=2)
    blobs = tmp_path / "models--a--b" / "blobs"
    cache = blobs.parent / "snapshots" / ("0" * 40)
    for folder in (blobs, cache):
        folder.mkdir(parents=True)
    for number, path in enumerate(sorted(plain.iterdir())):
        blob = Path(shutil.copyfile(path, blobs / f"{number:040x}"))
        blob.chmod(0o444)
        (cache / path.name).symlink_to(f"../../blobs/{blob.name}")
    (tmp_path / "link").symlink_to(cache)
    cache.chmod(0o555)
    sources = (plain, cache, tmp_path / "link")
    made = [publish(path, tmp_path / "out" / path.name) for path in sources]
    cache.chmod(0o755)
    for path in sorted(plain.iterdir()):
        assert all((out / path.name).read_bytes() == path.read_bytes() for out in made)
        assert not any((out / path.name).is_symlink() for out in made)
        assert (cache / path.name).is_symlink()
