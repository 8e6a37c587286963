"""Merged weights: deleted when read, bounded in number, brought back only for who needs them."""

import json
import os
import shutil
import signal
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest

from fixtures.workspace import Workspace

pytestmark = pytest.mark.slow

MODEL = "qwen2-small"
SWEEP = ("linear-w0.3", "linear-w0.7")


@pytest.fixture(scope="module")
def copy(finished: Workspace, tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    """For dry runs alone."""
    return finished.copy_to(tmp_path_factory.mktemp("disk") / "copy")


def test_weights_that_are_to_be_kept_from_now_on_come_back_on_demand(
    copy: Workspace, shrunken: dict[str, Any]
) -> None:
    merging = {**shrunken.get("merging", {}), "keep": "all"}
    copy.write_config({**shrunken, "merging": merging}, "kept.yaml")
    planned = copy.planned("all_checkpoints", config="kept.yaml")
    assert {name: n for name, n in planned.items() if name != "all_checkpoints"} == {"merge": 3}


def test_a_reader_that_changed_merges_for_itself_alone(copy: Workspace) -> None:
    planned = copy.planned("--forcerun", "merged_layers", "--", "all")
    assert planned["merged_layers"] == 3
    assert set(planned) == {"merged_layers", "figures", "verdict", "timing"}


@contextmanager
def watched(folder: Path) -> Iterator[list[tuple[int, int]]]:
    """Directories below a folder and their bytes, again and again, while the block runs."""
    seen: list[tuple[int, int]] = []
    done = threading.Event()

    def watch() -> None:
        while not done.wait(0.01):
            # Hidden ones as well: merges that are being written.
            merges = list(folder.glob("*"))
            seen.append((len(merges), sum(map(size, merges))))

    thread = threading.Thread(target=watch)
    thread.start()
    try:
        yield seen
    finally:
        done.set()
        thread.join()


def size(folder: Path) -> int:
    """Bytes below a folder, of which anything may vanish meanwhile."""
    total = 0
    for root, _, names in os.walk(folder):
        for name in names:
            with suppress(FileNotFoundError):
                total += os.lstat(Path(root, name)).st_size
    return total


@pytest.mark.long
def test_at_most_as_many_as_allowed_are_on_disk_also_after_kill_9(
    finished: Workspace, tmp_path: Path
) -> None:
    """Two completions are lost; the run that makes them again is killed after its first merge."""
    copy = finished.copy_to(tmp_path / "copy")
    results = copy.path / "results/shrunken"
    before = {path: path.read_bytes() for path in results.rglob("manifest.json")}
    for variant in SWEEP:
        shutil.rmtree(results / "completions" / MODEL / variant)
        (results / "logs/generate" / MODEL / f"{variant}.log").unlink()
        # Else the job would see that nothing it reads has changed, and end at once.
        (results / "completions" / MODEL / f".{variant}.made").unlink(missing_ok=True)
    merged = results / "merged" / MODEL
    lost = [f"results/shrunken/completions/{MODEL}/{variant}/manifest.json" for variant in SWEEP]
    bound = ("--resources", "merged=1", "--", *lost)
    with watched(merged) as seen:
        run = subprocess.Popen(
            copy.command(*bound),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        deadline = time.monotonic() + 600
        while not list(merged.glob("*/manifest.json")):
            assert run.poll() is None and time.monotonic() < deadline
            time.sleep(0.05)
        # Published; recorded by Snakemake a moment later, when generation begins.
        record = results / "checkpoints" / MODEL / next(merged.glob("*/manifest.json")).parent.name
        while not (results / "logs/generate" / MODEL / f"{record.name}.log").exists():
            assert time.monotonic() < deadline
            time.sleep(0.05)
        os.killpg(run.pid, signal.SIGKILL)
        run.wait()
        assert list(merged.glob("*/manifest.json"))
        copy.snakemake("--unlock")
        # What is there is read, not merged again.
        assert copy.planned(*bound[2:]) == {"merge": 1, "generate": 2}
        result = copy.snakemake(*bound)
        assert result.returncode == 0, result.stdout + result.stderr
    weights = json.loads((record / "manifest.json").read_text())["files"].values()
    one = sum(entry["bytes"] for entry in weights)
    assert max(directories for directories, _ in seen) == 1
    # One checkpoint, its manifest and provenance.
    assert one <= max(bytes_ for _, bytes_ in seen) < one + 20_000
    assert not list(merged.glob("*"))
    assert {path: path.read_bytes() for path in before} == before
    assert copy.planned("all") == {}


def test_statistics_that_are_lost_are_measured_on_weights_merged_for_them(
    finished: Workspace, tmp_path: Path
) -> None:
    copy = finished.copy_to(tmp_path / "copy")
    path = copy.path / "results/shrunken/weights" / MODEL / "linear-w0.3.json"
    before = path.read_bytes()
    path.unlink()
    path.with_name(f".{path.name}.made").unlink(missing_ok=True)
    result = copy.snakemake(str(path.relative_to(copy.path)))
    assert result.returncode == 0, result.stdout + result.stderr
    assert path.read_bytes() == before
    assert not list((copy.path / "results/shrunken/scratch").rglob("*.safetensors"))
    assert not list((copy.path / "results/shrunken/merged").rglob("*.safetensors"))
