"""Generations, scores and tables on a real S3 server on loopback; weights stay where they are."""

import copy
import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from fixtures.s3_server import BUCKET, Server
from fixtures.workspace import Workspace
from mixmerge.config.load import load_config
from mixmerge.report.layout import VERDICT_FILES, figure_files, table_files
from mixmerge.study.layout import layout_of
from mixmerge.study.plan import Study

pytestmark = pytest.mark.long

TARGETS = ("tables", "figures", "verdict")
ON = ("--config", f"storage=s3://{BUCKET}/studies", "--", *TARGETS)

#: What a bucket holds of a study.
KINDS = ("completions", "scores", "uncertainty", "tables", "figures")


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    server = Server()
    with pytest.MonkeyPatch.context() as patch:
        for name, value in server.settings().items():
            patch.setenv(name, value)
        yield server
    server.stop()


@pytest.fixture(scope="module")
def stored(
    finished: Workspace, server: Server, tmp_path_factory: pytest.TempPathFactory
) -> Workspace:
    """One checkpoint generated from and scored to a bucket that has the others', and the report."""
    workspace = finished.copy_to(tmp_path_factory.mktemp("storage") / "stored")
    results = workspace.path / "results/shrunken"
    for kind in ("completions", "scores"):
        for file in (results / kind).rglob("[!.]*.json*"):
            key = f"studies/shrunken/{file.relative_to(results)}"
            if file.parent.name != "base":
                server.s3.put_object(Bucket=BUCKET, Key=key, Body=file.read_bytes())
    for kind in KINDS:
        shutil.rmtree(results / kind)
    run(workspace, *ON)
    return workspace


def run(workspace: Workspace, *arguments: str) -> str:
    result = workspace.snakemake(*arguments)
    output = result.stdout + result.stderr
    assert result.returncode == 0, output[-6000:]
    return output


def on_bucket(server: Server) -> dict[str, bytes]:
    """Path below the study's root -> bytes."""
    prefix = "studies/shrunken/"
    return {key.removeprefix(prefix): data for key, data in server.objects(prefix).items()}


def test_the_bucket_holds_what_the_file_system_would(
    finished: Workspace, stored: Workspace, server: Server
) -> None:
    found = on_bucket(server)
    root = finished.path / "results/shrunken"
    model = "qwen2-small"
    wanted = {
        path.relative_to(root).as_posix()
        for folder in (f"completions/{model}", f"scores/{model}", f"uncertainty/{model}.json")
        for path in [root / folder, *(root / folder).rglob("*")]
        if path.is_file() and not path.name.startswith(".")
    }
    assert len(wanted) == 7 * (6 + 7) + 1
    assert wanted <= set(found)
    for path in wanted | set(found):
        # Times, and the paths under which inputs were read, are the run's own.
        if not path.endswith("provenance.json") and not re.match(
            r"tables/verdict(\.|-costs)", path
        ):
            assert found[path] == (root / path).read_bytes(), path
    layout = layout_of(Study(load_config(stored.path / "study.yaml")))
    printed = {f"tables/{name}" for name in (*table_files(layout), *VERDICT_FILES)}
    printed |= {f"figures/{name}" for name in figure_files(layout)}
    assert set(found) == wanted | printed


def test_weights_data_logs_and_copies_of_tables_stay(stored: Workspace, server: Server) -> None:
    assert {path.split("/")[0] for path in on_bucket(server)} == set(KINDS)
    assert not [path for path in server.objects() if path.endswith((".safetensors", ".log"))]
    root = stored.path / "results/shrunken"
    assert not {path.name for path in root.iterdir()} & set(KINDS)
    assert list((root / "checkpoints").rglob("*.safetensors"))
    assert (root / "logs/generate/qwen2-small/base.log").exists()
    copies = stored.path / ".snakemake/storage/s3" / BUCKET / "studies/shrunken"
    files = [path for path in copies.rglob("[!.]*") if path.is_file()]  # not jobs' own records
    assert {path.relative_to(copies).parts[0] for path in files} == {"tables", "figures"}


def test_a_second_run_does_nothing_and_keys_are_nowhere(stored: Workspace, server: Server) -> None:
    secrets = [server.key.encode(), server.secret.encode()]
    output = run(stored, "--verbose", *ON)
    assert "Nothing to be done" in output
    texts = {Path("the terminal"): output.encode()}
    for path in stored.path.rglob("*"):
        if path.is_file() and path.suffix != ".safetensors":
            texts[path] = path.read_bytes()
    texts |= {Path(key): data for key, data in server.objects().items()}
    assert not [path for path, data in texts.items() if any(s in data for s in secrets)]


@pytest.fixture
def renamed(stored: Workspace, shrunken: dict[str, Any]) -> Workspace:
    """The study with another title for a strategy, as `other.yaml`."""
    other = copy.deepcopy(shrunken)
    other["strategies"]["ties"]["title"] = "Trim, elect, merge"
    stored.write_config(other, "other.yaml")
    return stored


def test_what_is_only_printed_otherwise_is_only_printed_again(renamed: Workspace) -> None:
    assert set(renamed.planned(*ON, config="other.yaml")) == set(TARGETS)


@pytest.mark.parametrize(
    ("lost", "config", "again"),
    [
        ("tables/index.md", "study.yaml", {"tables"}),
        # As on a file system, what nothing needs is not made again ...
        ("scores/qwen2-small/base/scores.json", "study.yaml", set()),
        # ... until a job needs it.
        (
            "scores/qwen2-small/base/scores.json",
            "other.yaml",
            {"score", "uncertainty", *TARGETS},
        ),
    ],
)
def test_a_lost_object_is_made_again_once_it_is_needed(
    renamed: Workspace,
    server: Server,
    lost: str,
    config: str,
    again: set[str],
) -> None:
    key = f"studies/shrunken/{lost}"
    before = server.objects(key)[key]
    server.s3.delete_object(Bucket=BUCKET, Key=key)
    try:
        assert set(renamed.planned(*ON, config=config)) == again
    finally:
        server.s3.put_object(Bucket=BUCKET, Key=key, Body=before)


def test_a_bucket_that_fails_stops_all_before_any_job(stored: Workspace) -> None:
    result = stored.snakemake("--config", "storage=s3://gone/studies", "--", *TARGETS)
    output = result.stdout + result.stderr
    assert result.returncode != 0
    assert "storage: s3://gone/studies: http" in output and "(NoSuchBucket)" in output
    assert "Traceback" not in output and "Building DAG" not in output
