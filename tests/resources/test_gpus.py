"""Which GPUs a local job takes: real processes and real locks, on a machine without any."""

import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from mixmerge.resources.gpus import SCRIPTS, claiming, visible
from mixmerge.resources.requests import GPU_RULES

#: Says what it sees, waits until it is told to end.
SCRIPT = """
import os, pathlib, sys, time
place = pathlib.Path(sys.argv[-1])
(place / str(os.getpid())).write_text(os.environ["CUDA_VISIBLE_DEVICES"])
while not (place / "end").exists():
    time.sleep(0.05)
"""

Start = Callable[..., subprocess.Popen[str]]


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    """Starts a job as the shell of a rule does; all are ended when the test is over."""
    jobs: list[subprocess.Popen[str]] = []

    def run(script: str, *arguments: str, gpus: str) -> subprocess.Popen[str]:
        (tmp_path / script).write_text(SCRIPT, encoding="utf-8")
        command = ["-m", "mixmerge.resources.gpus", gpus, str(tmp_path / script), *arguments]
        command = [sys.executable, "-P", *command, str(tmp_path)]
        jobs.append(
            subprocess.Popen(command, env={**os.environ, "TMPDIR": str(tmp_path)}, text=True)
        )
        return jobs[-1]

    yield run
    (tmp_path / "end").touch()
    assert {job.wait(20) for job in jobs} <= {0, -9}


def seen(place: Path, job: subprocess.Popen[str], seconds: float = 30) -> list[str]:
    """GPUs that a job sees; it keeps its process id when it becomes the script."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        file = place / str(job.pid)
        if file.exists() and file.read_text():
            return file.read_text().split(",")
        assert job.poll() is None, "the job ended before it said anything"
        time.sleep(0.05)
    return []


@pytest.mark.slow
def test_jobs_side_by_side_share_no_gpu(tmp_path: Path, start: Start) -> None:
    jobs = [start("sft.py", "--processes", "2", gpus="0,1,2"), start("generate.py", gpus="0,1,2")]
    pair, single = (seen(tmp_path, job) for job in jobs)
    assert len(pair) == 2 and len(single) == 1
    assert sorted(pair + single) == ["0", "1", "2"]
    # One that wants more than are free holds none of them meanwhile ...
    waits = start("sft.py", "--processes", "2", gpus=f"{single[0]},3")
    assert seen(tmp_path, waits, seconds=1) == []
    third = start("generate.py", gpus=f"{single[0]},3")
    assert seen(tmp_path, third) == ["3"]
    # ... and gets those of the jobs that are killed.
    for job in (jobs[1], third):
        job.kill()
        job.wait()
    assert sorted(seen(tmp_path, waits)) == sorted([*single, "3"])


def test_a_run_that_wants_more_than_there_are_gets_all_and_says_so_itself(
    tmp_path: Path, start: Start
) -> None:
    assert seen(tmp_path, start("sft.py", "--processes", "4", gpus="0,1")) == ["0", "1"]


def test_gpus_are_those_that_cuda_would_see(tmp_path: Path) -> None:
    for given, expected in (
        ("2,3", ["2", "3"]),
        ("GPU-7f2a, GPU-91c0", ["GPU-7f2a", "GPU-91c0"]),
        ("", []),
        ("1,-1,2", ["1"]),
    ):
        assert visible({"CUDA_VISIBLE_DEVICES": given}) == expected
    for name in ("nvidia0", "nvidia3", "nvidiactl", "nvidia-uvm", "null"):
        (tmp_path / name).touch()
    assert visible({}, tmp_path) == ["0", "1"]
    assert visible({}, tmp_path / "none") == []


def test_the_shell_claims_for_scripts_that_take_gpus_and_only_among_several() -> None:
    assert {script.removesuffix(".py") for script in SCRIPTS} == GPU_RULES
    assert claiming([]) == claiming(["0"]) == "local claim=; "
    for script, expected in (("sft.py", "-m mixmerge.resources.gpus 0,1"), ("merge.py", "")):
        code = f'set -euo pipefail; f() {{ {claiming(["0", "1"])}echo "$claim"; }}; f {script}'
        done = subprocess.run(["bash", "-c", code], capture_output=True, text=True, check=True)
        assert done.stdout.strip() == expected
