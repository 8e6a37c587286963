"""A run with secrets in its environment: none stands in logs, records, manifests or report."""

import io
from pathlib import Path
from typing import Any

import pytest

from fixtures import checkpoints as material
from fixtures.hub_server import files_of, serving
from fixtures.workspace import Workspace

pa = pytest.importorskip("pyarrow")
pq = pytest.importorskip("pyarrow.parquet")

PLANTED = "pl4nted-S3cret"


@pytest.mark.slow
def test_nothing_that_a_run_writes_holds_a_secret(
    tmp_path: Path, shrunken: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    workspace = Workspace(tmp_path / "study")
    workspace.path.mkdir()
    data = io.BytesIO()
    rows = [{"problem": f"Do {n}.", "solution": f"x = {n}"} for n in range(20)]
    pq.write_table(pa.Table.from_pylist(rows), data)
    checkpoint = material.write_checkpoint(tmp_path / "m", "qwen2", material.values("qwen2", 1))
    shrunken = {**shrunken, "models": dict(shrunken["models"])}
    with serving() as hub:
        model = hub.repository("models", "some/model").commit(files_of(checkpoint))
        found = hub.repository("datasets", "some/rows").commit({"train.parquet": data.getvalue()})
        shrunken["models"]["from-hub"] = {"kind": "hub", "id": "some/model", "revision": model}
        shrunken["models"]["gone"] = {"kind": "hub", "id": "some/none", "revision": model}
        shrunken["sources"] = {
            **shrunken["sources"],
            "functions-to-write": {"kind": "hub", "id": "some/rows", "revision": found},
        }
        workspace.write_config(shrunken)
        secrets = {
            "HF_ENDPOINT": hub.endpoint.replace("http://", f"http://me:{PLANTED}@"),
            "HF_TOKEN": f"hf_{PLANTED}",
            "AWS_SECRET_ACCESS_KEY": f"aws-{PLANTED}",
            "PIP_INDEX_URL": f"https://me:{PLANTED}@127.0.0.1:9/simple",
            "SNAKEMAKE_STORAGE_S3_SECRET_KEY": PLANTED,
        }
        for name, value in {**hub.environment(workspace.path / "home"), **secrets}.items():
            monkeypatch.setenv(name, value)
        results = f"results/{shrunken['study']}"
        task = f"{results}/data/tasks/codegen/manifest.json"
        good = [f"{results}/checkpoints/from-hub/base/manifest.json", task]
        done = workspace.snakemake(*good)
        assert done.returncode == 0, done.stdout + done.stderr
        said = [done.stdout, done.stderr]
        failed = workspace.snakemake(f"{results}/checkpoints/gone/base/manifest.json")
        assert failed.returncode != 0
        log = (workspace.path / results / "logs/snapshot/gone.log").read_text()
        assert "'some/none' is not on the hub (http://***@" in log + failed.stderr
        report = workspace.snakemake(*good, "--report", str(workspace.path / "report.html"))
        assert report.returncode == 0, report.stdout + report.stderr
        said += [failed.stdout, failed.stderr, report.stdout, report.stderr]
        # A config with one is refused before anything copies it.
        shrunken["sources"]["functions-to-write"]["id"] = f"https://me:{PLANTED}@host/rows"
        workspace.write_config(shrunken, "bad.yaml")
        refused = workspace.snakemake(task, config="bad.yaml")
        assert refused.returncode != 0
        assert "sources.functions-to-write.id: holds a token, key or password" in refused.stderr
        said += [refused.stdout, refused.stderr]
        (workspace.path / "bad.yaml").unlink()
    assert not [text for text in said if PLANTED in text]
    written = [path for path in workspace.path.rglob("*") if path.is_file()]
    kinds = {path.relative_to(workspace.path).parts[0] for path in written}
    assert {".snakemake", "results", "report.html", "home"} <= kinds
    assert list((workspace.path / results / "benchmarks").rglob("*.tsv"))
    leaks = [str(p) for p in written if PLANTED.encode() in p.read_bytes() + bytes(p)]
    assert not leaks
