"""The rules that fetch, beside a hub of ours and with secrets around: asked once, none stays."""

import copy
import io
from pathlib import Path
from typing import Any

import pytest

from fixtures import checkpoints as material
from fixtures.hub_server import files_of, serving
from fixtures.workspace import Workspace
from mixmerge.core.io import read_json

pa = pytest.importorskip("pyarrow")
pq = pytest.importorskip("pyarrow.parquet")

PLANTED = "pl4nted-S3cret"


@pytest.mark.slow
def test_what_is_fetched_comes_once_and_nothing_that_is_written_holds_a_secret(
    tmp_path: Path, shrunken: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    workspace = Workspace(tmp_path / "study")
    workspace.path.mkdir()
    data = io.BytesIO()
    rows = [{"problem": f"Do {n}.", "solution": f"x = {n}"} for n in range(20)]
    pq.write_table(pa.Table.from_pylist(rows), data)
    checkpoint = material.write_checkpoint(tmp_path / "m", "qwen2", material.values("qwen2", 1))
    config = copy.deepcopy(shrunken)
    results = workspace.path / "results" / config["study"]
    base, gone, source, task = (
        f"results/{config['study']}/{place}/manifest.json"
        for place in (
            *("checkpoints/from-hub/base", "checkpoints/gone/base"),
            *("data/sources/functions-to-write", "data/tasks/codegen"),
        )
    )
    printed = []

    def run(*arguments: str, config: str = "study.yaml", ends: int = 0) -> str:
        done = workspace.snakemake(*arguments, config=config)
        printed.append(done.stdout + done.stderr)
        assert bool(done.returncode) == bool(ends), printed[-1]
        return printed[-1]

    with serving() as hub:
        model = hub.repository("models", "some/model").commit(files_of(checkpoint))
        commit = hub.repository("datasets", "some/rows").commit({"train.parquet": data.getvalue()})
        config["models"]["from-hub"] = {"kind": "hub", "id": "some/model", "revision": "main"}
        config["models"]["gone"] = {"kind": "hub", "id": "some/none", "revision": model}
        hub_rows = {"kind": "hub", "id": "some/rows", "revision": commit}
        config["sources"]["functions-to-write"] = hub_rows
        workspace.write_config(config)
        secrets = {
            "HF_ENDPOINT": hub.endpoint.replace("http://", f"http://me:{PLANTED}@"),
            "HF_TOKEN": f"hf_{PLANTED}",
            "AWS_SECRET_ACCESS_KEY": f"aws-{PLANTED}",
            "PIP_INDEX_URL": f"https://me:{PLANTED}@127.0.0.1:9/simple",
            "SNAKEMAKE_STORAGE_S3_SECRET_KEY": PLANTED,
        }
        for name, value in {**hub.environment(workspace.path / "home"), **secrets}.items():
            monkeypatch.setenv(name, value)

        refused = run(base, ends=1)
        assert "from-hub" in refused and "revision: 'main' is no commit" in refused
        assert "allow_moving: true" in refused and not hub.requests
        config["models"]["from-hub"]["allow_moving"] = True
        workspace.write_config(config)
        run(base, source)
        settings = read_json(results / "checkpoints/from-hub/base/provenance.json")["settings"]
        wanted = {"kind": "hub", "id": "some/model", "revision": "main", "commit": model}
        assert settings == wanted
        asked = len(hub.requests)
        run(task)
        assert read_json(results / "data/tasks/codegen/manifest.json")["facts"] == {"rows": 20}
        assert len(hub.requests) == asked
        failed = run(gone, ends=1)
        log = (results / "logs/snapshot/gone.log").read_text()
        assert "'some/none' is not on the hub (http://***@" in log + failed
        run(base, task, "--report", str(workspace.path / "report.html"))
        # A config with one is refused before anything copies it.
        hub_rows["id"] = f"https://me:{PLANTED}@host/rows"
        workspace.write_config(config, "bad.yaml")
        refused = run(task, config="bad.yaml", ends=1)
        assert "sources.functions-to-write.id: holds a token, key or password" in refused
        (workspace.path / "bad.yaml").unlink()
    assert not [text for text in printed if PLANTED in text]
    written = [path for path in workspace.path.rglob("*") if path.is_file()]
    kinds = {path.relative_to(workspace.path).parts[0] for path in written}
    assert {".snakemake", "results", "report.html", "home"} <= kinds
    assert list((results / "benchmarks").rglob("*.tsv"))
    leaks = [str(p) for p in written if PLANTED.encode() in p.read_bytes() + bytes(p)]
    assert not leaks
