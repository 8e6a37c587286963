"""The rules that fetch, run by Snakemake against a hub of ours, and the others without it."""

import io
import os
from pathlib import Path
from typing import Any

import pytest

from fixtures import checkpoints as material
from fixtures.hub_server import files_of, serving
from fixtures.workspace import Workspace
from mixmerge.core.io import read_json

pa = pytest.importorskip("pyarrow")
pq = pytest.importorskip("pyarrow.parquet")


@pytest.mark.slow
def test_base_models_and_rows_come_from_the_hub_and_then_no_more(
    tmp_path: Path, shrunken: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    workspace = Workspace(tmp_path / "study")
    workspace.path.mkdir()
    data = io.BytesIO()
    rows = [{"problem": f"Do {n}.", "solution": f"x = {n}"} for n in range(20)]
    pq.write_table(pa.Table.from_pylist(rows), data)
    checkpoint = material.write_checkpoint(tmp_path / "m", "qwen2", material.values("qwen2", 1))
    with serving() as hub:
        model = hub.repository("models", "some/model").commit(files_of(checkpoint))
        files = {"train-00000-of-00001.parquet": data.getvalue()}
        rows_at = hub.repository("datasets", "some/rows").commit(files)
        shrunken = {**shrunken, "models": dict(shrunken["models"])}
        shrunken["models"]["from-hub"] = {"kind": "hub", "id": "some/model", "revision": "main"}
        shrunken["sources"] = {
            **shrunken["sources"],
            "functions-to-write": {"kind": "hub", "id": "some/rows", "revision": rows_at},
        }
        workspace.write_config(shrunken)
        results = workspace.path / "results" / shrunken["study"]
        for name, value in hub.environment(tmp_path / "home").items():
            monkeypatch.setenv(name, value)
        base = f"results/{shrunken['study']}/checkpoints/from-hub/base/manifest.json"
        refused = workspace.snakemake(base)
        assert refused.returncode != 0
        said = refused.stdout + refused.stderr
        assert "from-hub" in said and "revision: 'main' is no commit" in said
        assert "allow_moving: true" in said and not hub.requests
        shrunken["models"]["from-hub"]["allow_moving"] = True
        workspace.write_config(shrunken)
        source = f"results/{shrunken['study']}/data/sources/functions-to-write/manifest.json"
        done = workspace.snakemake(base, source)
        assert done.returncode == 0, done.stdout + done.stderr
        assert read_json(results / "checkpoints/from-hub/base/provenance.json")["settings"] == {
            "kind": "hub",
            "id": "some/model",
            "revision": "main",
            "commit": model,
        }
        asked = len(hub.requests)
        task = f"results/{shrunken['study']}/data/tasks/codegen/manifest.json"
        done = workspace.snakemake(task)
        assert done.returncode == 0, done.stdout + done.stderr
        assert read_json(results / "data/tasks/codegen/manifest.json")["facts"] == {"rows": 20}
        assert len(hub.requests) == asked
    assert os.environ["HF_ENDPOINT"] == hub.endpoint
