"""kill -9 of each kind of victim while a study runs; afterwards the tables are the same bytes."""

import json
import os
import shutil
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from fixtures.kills import KINDS, Kills, Run, descendants, fingerprints
from fixtures.workspace import Workspace
from mixmerge.core.parent_watchdog import token

pytestmark = pytest.mark.long

STUDY = "shrunken"
MODEL = "qwen2-small"


@pytest.fixture
def undone(finished: Workspace, tmp_path: Path) -> Workspace:
    """The finished study without a specialist, a merge, what was made of them, and the tables."""
    copy = finished.copy_to(tmp_path / "copy")
    root = copy.path / "results" / STUDY
    for variant in ("sft-codegen-p100", "ties-w0.3"):
        for folder in ("checkpoints", "completions", "scores"):
            shutil.rmtree(root / folder / MODEL / variant)
    shutil.rmtree(root / "tables")
    (root / "uncertainty" / f"{MODEL}.json").unlink()
    return copy


@pytest.fixture
def run(undone: Workspace) -> Iterator[Run]:
    found = Run(undone, cores=2)
    yield found
    found.close()


def wait_for(true: Callable[[], object], run: Run, seconds: float = 120) -> None:
    limit = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < limit and run.ended() is None, run.said()[-3000:]
        time.sleep(0.1)


def test_the_tables_are_the_same_after_a_kill_of_every_kind(finished: Workspace, run: Run) -> None:
    """The full fifty are those of benchmarks/kills.py; their figure is in docs/cluster.md."""
    kills = Kills(len(KINDS), seed=7, longest=5)
    while kills.left.total():
        if run.strike(kills) is None:  # done before all were hit: let the rest be made once more
            assert run.ended() == 0
            break
    run.finish()
    assert kills.left["driver"] == 0 and kills.left.total() <= 1, kills.left
    assert fingerprints(run.workspace, STUDY) == fingerprints(finished, STUDY)


def test_a_killed_driver_leaves_no_job_behind_and_its_lock_goes_by_itself(run: Run) -> None:
    run.start()
    wait_for(lambda: run.running(), run)
    assert run.driver is not None
    jobs = descendants(run.driver.pid)
    locks = run.workspace.path / ".snakemake/locks"
    assert any(locks.iterdir())
    run.driver.kill()
    run.driver.wait()
    limit = time.monotonic() + 15
    while any(token(pid) for pid in jobs) and time.monotonic() < limit:
        time.sleep(0.1)
    assert not [pid for pid in jobs if token(pid)]
    assert any(locks.iterdir())

    # A dry run plans as ever and leaves the lock alone.
    assert run.workspace.planned("all_tables")["sft"] == 1
    assert any(locks.iterdir())

    run.start()
    wait_for(lambda: run.running(), run)
    assert "removed the lock of a Snakemake that was killed" in run.said()


def test_a_living_driver_keeps_its_lock_and_the_other_is_told_whose_it_is(run: Run) -> None:
    run.start()
    wait_for(lambda: run.running(), run)
    assert run.driver is not None
    second = run.workspace.snakemake("all_tables")
    said = second.stdout + second.stderr
    assert second.returncode != 0
    assert f"Snakemake {run.driver.pid} of" in said and "wait until it has ended" in said
    assert run.ended() is None

    # Stopped in the usual way, it takes its record along.
    records = run.workspace.path / ".snakemake/drivers"
    (record,) = records.iterdir()
    assert json.loads(record.read_text())["pid"] == run.driver.pid
    os.kill(run.driver.pid, signal.SIGINT)
    run.driver.wait(600)  # until the job that runs is done, however loaded the machine
    assert not list(records.iterdir())
