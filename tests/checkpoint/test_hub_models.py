"""Base checkpoints from a hub: the real client and the real script against a server of ours."""

import json
import os
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from fixtures import checkpoints as material
from fixtures.hub_server import TOKEN, Hub, files_of
from mixmerge.artifacts.manifest import read_manifest
from mixmerge.checkpoint.hub import matching
from mixmerge.checkpoint.index import read_index
from mixmerge.core.io import read_json

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[2]
WEIGHTS = "model-00001-of-00002.safetensors"
PIECE = 10 << 20  # in which the client's library hands on what it receives
ID = "someone/some-model"
NOWHERE = "http://127.0.0.1:9"


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    """A sharded checkpoint as a repository, with what must not be fetched beside it."""
    root = tmp_path_factory.mktemp("model") / "checkpoint"
    values = material.values("llama", 1)
    # Large enough to be cut in the middle.
    values["model.embed_tokens.weight"] = np.ones((400_000, material.HIDDEN), np.float32)
    del values["lm_head.weight"]
    changed = {"vocab_size": 400_000, "tie_word_embeddings": True}
    directory = material.write_checkpoint(root, "llama", values, shards=2, **changed)
    others = {"pytorch_model.bin": b"pickle", "modeling.py": b"raise SystemExit", "README.md": b"#"}
    return {**files_of(directory), **others}


@pytest.fixture
def commit(hub: Hub, files: dict[str, bytes]) -> str:
    return hub.repository("models", ID).commit(files)


class Job:
    """The rule's script, with a cache and a results directory of its own."""

    def __init__(self, root: Path, hub: Hub, **environment: str) -> None:
        self.out = root / "checkpoints" / "mine" / "base"
        self.environment = {**os.environ, **hub.environment(root / "home"), **environment}

    def command(self, revision: str, **settings: Any) -> list[str]:
        settings = {"kind": "hub", "id": ID, "revision": revision, **settings}
        script = str(ROOT / "workflow/scripts/snapshot.py")
        arguments = ["--model", "mine", "--settings", json.dumps(settings), "--out", str(self.out)]
        return [sys.executable, "-P", script, *arguments]

    def run(self, revision: str, **settings: Any) -> str:
        """Run it; returns its one message, or nothing if it ended well."""
        command = self.command(revision, **settings)
        done = subprocess.run(command, env=self.environment, capture_output=True, text=True)
        assert "Traceback" not in done.stderr, done.stderr
        messages = [line for line in done.stderr.splitlines() if line.startswith("error: ")]
        assert len(messages) == (done.returncode != 0), done.stderr
        assert self.out.exists() == (done.returncode == 0)
        return "".join(messages).removeprefix("error: models.mine")


@pytest.fixture
def job(tmp_path: Path, hub: Hub) -> Job:
    return Job(tmp_path, hub)


def test_safetensors_tokenizer_and_config_of_the_pinned_commit(
    hub: Hub, job: Job, files: dict[str, bytes], commit: str
) -> None:
    hub.repository("models", ID).commit({**files, "config.json": b"{}"})  # the branch goes on
    assert job.run(commit) == ""
    manifest = read_manifest(job.out, "checkpoint")
    assert manifest["facts"] == {"architecture": "LlamaForCausalLM", "parameters": 12_823_264}
    for name in manifest["files"]:
        assert (job.out / name).read_bytes() == files[name]
    assert not {"pytorch_model.bin", "modeling.py", "README.md"} & set(manifest["files"])
    assert read_json(job.out / "provenance.json")["settings"]["commit"] == commit
    assert [path.name for path in job.out.parent.iterdir()] == ["base"]
    assert not any("main" in path for _, path, _ in hub.requests)


def test_what_is_refused_before_a_file_is_fetched(
    hub: Hub, tmp_path: Path, files: dict[str, bytes]
) -> None:
    offline = Job(tmp_path, hub, HF_HUB_OFFLINE="1")
    message = offline.run("0" * 40)
    assert "HF_HUB_OFFLINE forbids it" in message and "kind 'local'" in message
    assert not hub.requests
    repository, wanted = hub.repository("models", ID), "a" * 40
    job = Job(tmp_path, hub)
    kept = {name: data for name, data in files.items() if "safetensors" not in name}
    commit = repository.commit(kept)
    message = job.run(commit)
    assert message.startswith(f".id: {ID}@{commit} holds no safetensors weights")
    assert "only pickles (pytorch_model.bin)" in message and "use_safetensors=False" in message
    repository.branches[wanted] = commit
    message = f".revision: the hub answers with commit {commit} of {ID} where {wanted}"
    assert job.run(wanted).startswith(message)
    assert not any("resolve" in path for _, path, _ in hub.requests)
    assert not job.out.parent.exists() or not list(job.out.parent.iterdir())


def test_a_gated_model_wants_a_token(hub: Hub, tmp_path: Path, commit: str) -> None:
    hub.repository("models", ID).gated = True
    message = Job(tmp_path, hub, HF_TOKEN="hf_another").run(commit)
    assert message.startswith(f".id: {hub.endpoint}/{ID} is gated")
    assert "`hf auth login` (or set HF_TOKEN)" in message
    assert Job(tmp_path, hub, HF_TOKEN=TOKEN).run(commit) == ""
    # Large files come from another host, which must not see the token.
    assert [path for _, path, _ in hub.requests if path.startswith("/cdn/")]


def test_a_connection_cut_within_a_file_goes_on_by_range(
    hub: Hub, job: Job, files: dict[str, bytes], commit: str
) -> None:
    hub.cuts[WEIGHTS] = [PIECE + 5_000_000, 3_000_000]
    of_another_commit = job.out.with_name(f".base.{'0' * 12}.snapshot")
    of_another_commit.mkdir(parents=True)
    assert job.run(commit) == ""
    assert not of_another_commit.exists()
    assert hub.transfers(WEIGHTS) == ["", f"bytes={PIECE}-", f"bytes={PIECE}-"]
    assert (job.out / WEIGHTS).read_bytes() == files[WEIGHTS]


def test_what_arrived_before_a_kill_is_not_fetched_again(
    hub: Hub, job: Job, files: dict[str, bytes], tmp_path: Path, commit: str
) -> None:
    hub.pause, hub.piece = 0.1, 1 << 20
    process = subprocess.Popen(job.command(commit), env=job.environment, stderr=subprocess.DEVNULL)
    deadline = time.monotonic() + 60
    arrived = 0
    while time.monotonic() < deadline and not arrived:
        time.sleep(0.05)
        parts = list(job.out.parent.glob(f".base.*/{WEIGHTS}.part"))
        arrived = parts[0].stat().st_size if parts else 0
    process.kill()
    process.wait()
    (part,) = parts
    arrived = part.stat().st_size
    assert 0 < arrived < len(files[WEIGHTS])
    # Without a connection it is not taken for the whole, and not thrown away.
    assert "could not be fetched" in Job(tmp_path, hub, HF_ENDPOINT=NOWHERE).run(commit)
    assert part.stat().st_size == arrived
    hub.requests.clear()
    hub.pause = 0.0
    assert job.run(commit) == ""
    assert hub.transfers(WEIGHTS) == [f"bytes={arrived}-"]
    assert hub.transfers("/config.json") == []
    assert (job.out / WEIGHTS).read_bytes() == files[WEIGHTS]


def test_flipped_bits_are_found_by_the_checksum(hub: Hub, job: Job, commit: str) -> None:
    for name in (WEIGHTS, "tokenizer.json"):  # the checksum of large files, and git's own
        hub.flips = {name}
        assert job.run(commit).startswith(f": {name} of {ID}@{commit} arrived damaged")


def test_remote_code_only_where_the_entry_allows_it(
    hub: Hub, job: Job, files: dict[str, bytes]
) -> None:
    config = json.loads(files["config.json"]) | {"auto_map": {"AutoModel": "modeling.Model"}}
    config["model_type"] = "never-heard-of"
    strange = {**files, "config.json": json.dumps(config).encode()}
    commit = hub.repository("models", ID).commit(strange)
    message = job.run(commit)
    assert message.startswith(".trust_remote_code: not set, but the checkpoint cannot be loaded")
    assert "'never-heard-of'" in message and "name their commit" in message
    assert job.run(commit, trust_remote_code=commit) == ""
    assert (job.out / "modeling.py").read_bytes() == files["modeling.py"]
    assert read_index(job.out)


def test_a_repository_s_names_never_lead_out_of_the_target() -> None:
    names = ["model.safetensors", "model-/../../x-of-y.safetensors", "a/../b.py", "c\n.py", "d.py"]
    repository = SimpleNamespace(siblings=[SimpleNamespace(rfilename=name) for name in names])
    files = matching(repository, ["*.safetensors", "*.py"])
    assert [file.rfilename for file in files] == ["model.safetensors", "d.py"]
