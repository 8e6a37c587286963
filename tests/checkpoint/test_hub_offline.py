"""What the sources say of what is loaded from outside, and jobs that stay offline."""

import ast
import os
import subprocess
import sys
from pathlib import Path

import pytest

from fixtures.hub_server import Hub
from mixmerge.checkpoint.hub import check_endpoint
from mixmerge.config.load import load_config
from mixmerge.core.errors import UserError
from mixmerge.core.section import is_commit

ROOT = Path(__file__).parents[2]
SCRIPTS = sorted((ROOT / "workflow/scripts").glob("*.py"))
FETCHING = {"fetch.py", "snapshot.py"}
#: A job's `main` that asks the hub for what no rule has fetched.
JOB = """
from mixmerge.core.cli import run
def main():
    from huggingface_hub import snapshot_download
    try:
        snapshot_download("someone/some-model")
    except Exception as error:
        print(type(error).__name__)
run(main{online})
"""


def calls(file: Path) -> dict[str, list[ast.Call]]:
    """Calls in a file by the name called, its dots left out but for the last part."""
    found: dict[str, list[ast.Call]] = {}
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Call):
            found.setdefault(ast.unparse(node.func).rpartition(".")[2], []).append(node)
    return found


def test_every_loader_in_the_source_is_told_so() -> None:
    """No call may leave it to a library's default whether pickles are read or code is run."""
    seen = 0
    for path in sorted((ROOT / "src/mixmerge").rglob("*.py")):
        by_name = calls(path)
        for call in by_name.get("from_pretrained", []):
            given = {word.arg: ast.unparse(word.value) for word in call.keywords}
            where = f"{path}:{call.lineno}"
            assert given.get("local_files_only") == "True", where
            trust = given.get("trust_remote_code", "")
            # Adapters hold no code.
            assert (
                "PeftModel" in ast.unparse(call.func)
                or trust in ("False", "trusted")
                or trust.startswith("trusts_code(")
            ), where
            if "AutoModel" in ast.unparse(call.func):
                assert given.get("use_safetensors") == "True", where
            seen += 1
        for call in [*by_name.get("load", []), *by_name.get("loads", [])]:
            module = ast.unparse(call.func).partition(".")[0]
            assert module not in ("torch", "pickle", "joblib", "dill"), f"{path}:{call.lineno}"
    assert seen >= 5


def test_the_models_of_the_shipped_configs_are_pinned() -> None:
    for path in (ROOT / "config").glob("*.yaml"):
        config = load_config(path)
        assert not any(
            getattr(model, "trust_remote_code", None) for model in config.models.values()
        )
        for entry in [*config.models.values(), *config.sources.values()]:
            if entry.kind == "hub" and not is_commit(entry.revision):
                # The one whose commit could not be looked up; the file says so beside it.
                assert entry.id == "google/code_x_glue_ct_code_to_text"
                assert "Its commit could not be looked up" in path.read_text(encoding="utf-8")
    presets = [path.read_text("utf-8") for path in (ROOT / "config/presets").rglob("*.yaml")]
    assert not any("allow_moving" in text or "trust_remote_code" in text for text in presets)


def test_only_fetching_scripts_go_online() -> None:
    online = set()
    for script in SCRIPTS:
        (end,) = [call for call in calls(script)["run"] if isinstance(call.func, ast.Name)]
        if end.keywords:
            online.add(script.name)
    assert online == FETCHING


def test_no_script_imports_the_hubs_library_before_it_is_told() -> None:
    code = (
        "import runpy, sys\n"
        "for script in sys.argv[1:]:\n"
        "    runpy.run_path(script, run_name='imported')\n"
        "    early = {'huggingface_hub', 'transformers', 'datasets', 'torch'} & set(sys.modules)\n"
        "    assert not early, (script, early)\n"
    )
    command = [sys.executable, "-P", "-c", code, *map(str, SCRIPTS)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_a_job_that_asks_the_hub_never_reaches_it(hub: Hub, tmp_path: Path) -> None:
    environment = {**os.environ, **hub.environment(tmp_path), "HF_HUB_OFFLINE": "0"}
    for online, raised in (("", "LocalEntryNotFoundError"), (", online=True", "RepositoryNot")):
        command = [sys.executable, "-c", JOB.format(online=online)]
        done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
        assert done.stdout.startswith(raised), done.stdout + done.stderr
        assert bool(hub.requests) == bool(online)


@pytest.mark.parametrize(
    "endpoint", ["http://[no", "ftp://host", "nowhere", "http://", "host:80", "http://host:0"]
)
def test_an_endpoint_that_is_no_url_is_told(monkeypatch: pytest.MonkeyPatch, endpoint: str) -> None:
    monkeypatch.setenv("HF_ENDPOINT", endpoint)
    with pytest.raises(UserError, match="is no URL of a hub; write https://host"):
        check_endpoint()
