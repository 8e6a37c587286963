"""Only jobs that fetch may ask the hub; every other one runs with the hub offline."""

import ast
import os
import subprocess
import sys
from pathlib import Path

from fixtures.hub_server import serving

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


def test_only_fetching_scripts_go_online() -> None:
    online = set()
    for script in SCRIPTS:
        calls = [
            node
            for node in ast.walk(ast.parse(script.read_text(encoding="utf-8")))
            if isinstance(node, ast.Call)
            and isinstance(node.func, ast.Name)
            and node.func.id == "run"
        ]
        assert len(calls) == 1, f"{script.name} must end in mixmerge.core.cli.run"
        if calls[0].keywords:
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


def test_a_job_that_asks_the_hub_never_reaches_it(tmp_path: Path) -> None:
    with serving() as hub:
        environment = {**os.environ, **hub.environment(tmp_path), "HF_HUB_OFFLINE": "0"}
        for online, raised in (("", "LocalEntryNotFoundError"), (", online=True", "RepositoryNot")):
            command = [sys.executable, "-c", JOB.format(online=online)]
            done = subprocess.run(
                command, env=environment, capture_output=True, text=True, check=True
            )
            assert done.stdout.startswith(raised), done.stdout + done.stderr
            assert bool(hub.requests) == bool(online)
